import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';

const USAGE = `node scripts/build.ts [sidecar | operator | portcullis]...

Bundles each program (default: all) into one file, dist/NAME.mjs, beside its source map and the licences of what is in it.`;

const ROOT = join(import.meta.dirname, '..');

/** Entry of each program. */
const PROGRAMS: Readonly<Record<string, string>> = {
  sidecar: 'sidecar/main.ts',
  operator: 'operator/main.ts',
  portcullis: 'cli/main.ts',
};

/** CommonJS packages ask for Node's own modules by `require`, which an ES module does not have. Some bring a createRequire. */
const REQUIRE =
  "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);";

/** Of every bundle. */
const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  target: 'node26',
  format: 'esm',
  minifySyntax: true,
  minifyWhitespace: true,
  tsconfigRaw: '{}', // ours say nothing to esbuild
  logLevel: 'warning',
} as const;

/** What a bundle cannot have as it is in the repository. Adds to `threads` what is bundled for threads. */
const replaced = (threads: Metafile[]): Plugin => ({
  name: 'replaced',
  setup(bundle) {
    const { version }: { version: string } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    bundle.onLoad({ filter: /\/runtime\/version\.ts$/ }, () => ({
      contents: `export const packageVersion = () => ${JSON.stringify(version)};`,
    }));
    // Imported as an ES module, node:http would read each of its exports, and so load undici; the hooks of a pod wait for that.
    bundle.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, namespace: 'builtin' }));
    bundle.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
    }));
    // A thread is started from a file of its own, or from a URL that holds its program.
    bundle.onLoad({ filter: /\/token-service\/bcrypt-worker-url\.ts$/ }, async ({ path }) => {
      const entryPoints = [path.replace('-url.ts', '.ts')];
      const { outputFiles, metafile } = await build({ ...OPTIONS, entryPoints, write: false, metafile: true });
      threads.push(metafile);
      const url = `data:text/javascript,${encodeURIComponent(outputFiles[0]?.text ?? '')}`;
      return { contents: `export const bcryptWorkerUrl = () => new URL(${JSON.stringify(url)});` };
    });
    // pino's transports run in worker threads, from files that are not in the bundle; we log from the main thread.
    bundle.onLoad({ filter: /\/pino\/lib\/transport\.js$/ }, () => ({ contents: 'module.exports = undefined;' }));
  },
});

async function bundle(name: string, entry: string): Promise<string> {
  const outfile = join(ROOT, 'dist', `${name}.mjs`);
  const threads: Metafile[] = [];
  const { metafile } = await build({
    ...OPTIONS,
    entryPoints: [entry],
    outfile,
    sourcemap: 'linked',
    legalComments: 'eof',
    define: { 'import.meta.main': 'true' }, // unset in older Nodes, which would end with 0 and say nothing
    banner: { js: REQUIRE },
    plugins: [replaced(threads)],
    metafile: true,
  });
  writeFileSync(join(ROOT, 'dist', `${name}.licenses.txt`), licenses([metafile, ...threads]));
  const { status, stderr } = spawnSync(process.execPath, ['--check', outfile], { encoding: 'utf8' });
  if (status !== 0)
    throw new Error(
      `${outfile} is no module: ${stderr
        .trim()
        .split('\n')
        .findLast((line) => line.includes('Error'))}`,
    );
  const bytes = readFileSync(outfile).length;
  return `dist/${name}.mjs  ${(bytes / 1024).toFixed(0)} KiB from ${Object.keys(metafile.inputs).length} files`;
}

/** The licence texts of all packages in bundles. */
function licenses(metafiles: readonly Metafile[]): string {
  const packages = new Set(
    metafiles
      .flatMap(({ inputs }) => Object.keys(inputs))
      .flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []),
  );
  return [...packages]
    .sort()
    .map((path) => {
      const { name, version, license } = JSON.parse(readFileSync(join(ROOT, path, 'package.json'), 'utf8'));
      const texts = globSync('{LICEN[CS]E,licen[cs]e,NOTICE,COPYING}*', { cwd: join(ROOT, path) }).sort();
      return [`${name} ${version} (${license})`, ...texts.map((file) => readFileSync(join(ROOT, path, file), 'utf8'))];
    })
    .map((parts) => parts.join('\n\n'))
    .join('\n\n----\n\n');
}

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !Object.hasOwn(PROGRAMS, name));
  if (unknown.length > 0) {
    console.log(USAGE);
    return names.includes('--help') ? 0 : 2;
  }
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  for (const [name, entry] of Object.entries(PROGRAMS)) {
    if (names.length > 0 && !names.includes(name)) continue;
    console.log(await bundle(name, entry));
  }
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
