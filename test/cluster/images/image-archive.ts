import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheDirectory } from '../go-binaries.ts';
import { runCommand } from '../program.ts';

const ROOT = join(import.meta.dirname, '../../..');
const KEPT_MS = 24 * 3_600_000;
const BUILD = join(import.meta.dirname, 'build');

/** The images that `images/build` makes, by what pods call them. */
export const IMAGES = {
  pause: 'localhost/pause:1',
  node: 'localhost/node:26',
  'node-build': 'localhost/node-build:26',
  iptables: 'localhost/iptables:1',
  redis: 'localhost/redis:7',
  operator: 'localhost/portcullis-operator:test',
  sidecar: 'localhost/portcullis-sidecar:test',
  'trading-api': 'localhost/trading-api:test',
} as const;

/** One of `IMAGES`. */
export type ImageName = keyof typeof IMAGES;

/** What each image is made of besides `images/build` itself, as globs from the repository's root. */
const BUNDLED = ['package-lock.json', '.npmrc', '.dockerignore', 'scripts/build.ts', '{policy,runtime}/**/*.ts'];
const SOURCES: Readonly<Partial<Record<ImageName, readonly string[]>>> = {
  pause: ['test/cluster/images/pause/*'],
  node: ['node_modules/node/package.json'],
  'node-build': ['node_modules/node/package.json'],
  operator: ['Dockerfile.operator', 'operator/**/*.ts', ...BUNDLED],
  sidecar: ['Dockerfile.sidecar', 'sidecar/**/*.ts', ...BUNDLED],
  'trading-api': ['examples/trading-api/*.ts', 'package-lock.json'],
};

/**
 * Path of an OCI archive of an image under its name in `IMAGES`, from the cache while its sources are the same, else built
 * now. `tag` names it otherwise. Throws with the end of buildah's output.
 */
export async function imageArchive(image: ImageName, tag: string = IMAGES[image]): Promise<string> {
  const path = join(cacheDirectory(), 'images', `${image}-${sourceHash(image, tag)}.tar`);
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  const env = { ...process.env };
  if (image === 'operator' || image === 'sidecar' || image === 'trading-api')
    env['NODE_ARCHIVE'] = await imageArchive('node');
  if (image === 'operator' || image === 'sidecar') env['NODE_BUILD_ARCHIVE'] = await imageArchive('node-build');
  const partial = `${path}.${process.pid}`;
  const { code, stdout, stderr } = await runCommand(BUILD, [image, partial, tag], '', env);
  if (code !== 0) throw new Error(`building the image ${image} failed: ${`${stdout}${stderr}`.slice(-2000)}`);
  renameSync(partial, path);
  removeOld(dirname(path), image);
  return path;
}

/** Every change of sources makes another archive; those of other checkouts may be in use now. */
function removeOld(directory: string, image: ImageName): void {
  for (const file of globSync(`${image}-${'?'.repeat(12)}.tar`, { cwd: directory })) {
    const path = join(directory, file);
    if (Date.now() - statSync(path).mtimeMs > KEPT_MS) rmSync(path, { force: true });
  }
}

function sourceHash(image: ImageName, tag: string): string {
  const hash = createHash('sha256').update(readFileSync(BUILD)).update(tag);
  const files = globSync([...(SOURCES[image] ?? [])], { cwd: ROOT, exclude: ['**/*.test.ts', '**/testing/**'] });
  for (const file of files.sort())
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(ROOT, file)));
  return hash.digest('hex').slice(0, 12);
}
