import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Why there is no API server here, and what to install. */
export interface Unavailable {
  readonly reason: string;
}

/** Paths of the two programs. */
export interface ApiServerBinaries {
  readonly etcd: string;
  readonly kubeApiserver: string;
}

const MODULE = join(import.meta.dirname, 'apiserver');
const PROGRESS_MS = 15_000;
/** Processor time of a build with an empty Go cache: measured 566 s on two cores. */
const BUILD_CPU_SECONDS = 570;

/**
 * Finds etcd and kube-apiserver in KUBEBUILDER_ASSETS, else in the cache, else builds them there from the pinned module
 * in test/cluster/apiserver with `go build`, telling on stderr how far it is. Two runs at once build once.
 */
export async function findApiServerBinaries(): Promise<ApiServerBinaries | Unavailable> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets) {
    const found = binariesIn(assets);
    return isComplete(found) ? found : { reason: `KUBEBUILDER_ASSETS=${assets} does not hold etcd and kube-apiserver` };
  }
  const directory = cacheDirectory();
  const cached = binariesIn(directory);
  if (isComplete(cached)) return cached;
  if (spawnSync('go', ['version']).error) {
    return {
      reason:
        'no etcd and kube-apiserver here: set KUBEBUILDER_ASSETS to a directory with both (setup-envtest use -p path), or install Go 1.26, from which they are built once',
    };
  }
  return withLock(`${directory}.lock`, () => (isComplete(cached) ? Promise.resolve(cached) : build(directory)));
}

function cacheDirectory(): string {
  const hash = createHash('sha256');
  for (const name of ['go.mod', 'go.sum', 'main.go']) hash.update(readFileSync(join(MODULE, name)));
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(cache, 'portcullis', `apiserver-${hash.digest('hex').slice(0, 12)}`);
}

function binariesIn(directory: string): ApiServerBinaries {
  return { etcd: join(directory, 'etcd'), kubeApiserver: join(directory, 'kube-apiserver') };
}

function isComplete(binaries: ApiServerBinaries): boolean {
  try {
    for (const path of [binaries.etcd, binaries.kubeApiserver]) accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function build(directory: string): Promise<ApiServerBinaries | Unavailable> {
  const partial = `${directory}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  const minutes = Math.ceil(BUILD_CPU_SECONDS / availableParallelism() / 60);
  const args = [
    'build',
    '-v',
    '-trimpath',
    '-ldflags',
    `-s -w ${versionStamp()}`,
    '-o',
    join(partial, 'kube-apiserver'),
    '.',
  ];
  const output: string[] = [];
  const began = performance.now();
  const progress = (): void => {
    const seconds = Math.round((performance.now() - began) / 1000);
    console.error(
      `building etcd and kube-apiserver, once: ${seconds} s, ${output.length} packages, about ${minutes} min in all on this machine`,
    );
  };
  progress();
  const timer = setInterval(progress, PROGRESS_MS);
  const code = await new Promise<number | null>((resolve) => {
    const go = spawn('go', args, {
      cwd: MODULE,
      env: { ...process.env, CGO_ENABLED: '0' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    go.stderr.setEncoding('utf8').on('data', (chunk: string) => output.push(...chunk.trimEnd().split('\n')));
    go.on('error', () => resolve(null)).on('close', resolve);
  });
  clearInterval(timer);
  if (code !== 0) {
    rmSync(partial, { recursive: true, force: true });
    return {
      reason: `go build in test/cluster/apiserver failed (Go 1.26 and a module proxy are needed): ${output.slice(-5).join(' | ')}`,
    };
  }
  symlinkSync('kube-apiserver', join(partial, 'etcd'));
  rmSync(directory, { recursive: true, force: true });
  renameSync(partial, directory);
  return binariesIn(directory);
}

/** Linker flags that make the server tell its version, which clients and CEL environments look at. */
function versionStamp(): string {
  const version = /k8s\.io\/kubernetes (v1\.(\d+)\.\d+)/.exec(readFileSync(join(MODULE, 'go.mod'), 'utf8'));
  const base = 'k8s.io/component-base/version';
  return [
    `-X ${base}.gitVersion=${version?.[1]}`,
    `-X ${base}.gitMajor=1`,
    `-X ${base}.gitMinor=${version?.[2]}`,
    `-X ${base}.gitTreeState=clean`,
    `-X k8s.io/client-go/pkg/version.gitVersion=${version?.[1]}`,
  ].join(' ');
}

/** Runs `work` while no other process does, by a file with our pid; a dead owner's file is taken over. */
async function withLock<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  mkdirSync(join(path, '..'), { recursive: true });
  for (let waited = 0; !tryLock(path); waited += 500) {
    if (waited % PROGRESS_MS === 0)
      console.error(`waiting for another run that builds etcd and kube-apiserver: ${waited / 1000} s`);
    await sleep(500);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function tryLock(path: string): boolean {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    if (!ownerLives(path)) rmSync(path, { force: true });
    return false;
  }
}

function ownerLives(path: string): boolean {
  try {
    process.kill(Number(readFileSync(path, 'utf8')) || process.pid, 0);
    return true;
  } catch {
    return false;
  }
}
