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

/** Why a program is not to be had here, and what to install. */
export interface Unavailable {
  readonly reason: string;
}

/** A program that is built from a pinned Go module in a folder beside this file. */
export interface GoProgram {
  /** Folder with go.mod, go.sum and, unless `target` says otherwise, main.go; also the name of the binary. */
  readonly module: string;
  /** What `go build` builds; default: the module's own main package. */
  readonly target?: string;
  /** Linker flags besides -s -w. */
  readonly ldflags?: (goMod: string) => string;
  /** Names under which the binary is also to be called. */
  readonly links?: readonly string[];
  /** Processor time of a build with an empty Go cache, in seconds, as measured. */
  readonly cpuSeconds: number;
}

const PROGRESS_MS = 15_000;

/** etcd and every component of Kubernetes in one binary, run by the name that it is called by. */
export const KUBENODE: GoProgram = {
  module: 'kubenode',
  ldflags: kubernetesVersion,
  links: ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy'],
  cpuSeconds: 570,
};

/** The cluster's DNS server. */
export const COREDNS: GoProgram = { module: 'coredns', cpuSeconds: 170 };

/** helm, the chart's installer. */
export const HELM: GoProgram = { module: 'helm', target: 'helm.sh/helm/v4/cmd/helm', cpuSeconds: 350 };

/** Where Portcullis keeps what tests built or fetched. */
export function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'portcullis');
}

/**
 * The directory that holds `program`, from the cache or built into it with `go build`, telling on stderr how far it is.
 * Two runs at once build once.
 */
export async function goBinary(program: GoProgram): Promise<{ readonly directory: string } | Unavailable> {
  const directory = join(cacheDirectory(), `${program.module}-${sourceHash(program)}`);
  const found = { directory };
  if (isComplete(program, directory)) return found;
  if (spawnSync('go', ['version']).error)
    return { reason: `no ${program.module} here: install Go 1.26, from which it is built once` };
  return withLock(`${directory}.lock`, program.module, () =>
    isComplete(program, directory) ? Promise.resolve(found) : build(program, directory),
  );
}

function moduleFolder({ module }: GoProgram): string {
  return join(import.meta.dirname, module);
}

function sourceHash(program: GoProgram): string {
  const hash = createHash('sha256');
  const sources = program.target === undefined ? ['go.mod', 'go.sum', 'main.go'] : ['go.mod', 'go.sum'];
  for (const name of sources) hash.update(readFileSync(join(moduleFolder(program), name)));
  return hash.digest('hex').slice(0, 12);
}

function isComplete({ module, links = [] }: GoProgram, directory: string): boolean {
  try {
    for (const name of [module, ...links]) accessSync(join(directory, name), constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function build(program: GoProgram, directory: string): Promise<{ readonly directory: string } | Unavailable> {
  const { module, target = '.', ldflags, links = [], cpuSeconds } = program;
  const partial = `${directory}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  const minutes = Math.ceil(cpuSeconds / availableParallelism() / 60);
  const linker = `-s -w ${ldflags?.(readFileSync(join(moduleFolder(program), 'go.mod'), 'utf8')) ?? ''}`;
  const args = ['build', '-v', '-trimpath', '-ldflags', linker, '-o', join(partial, module), target];
  const output: string[] = [];
  const began = performance.now();
  const progress = (): void => {
    const seconds = Math.round((performance.now() - began) / 1000);
    console.error(
      `building ${module}, once: ${seconds} s, ${output.length} packages, about ${minutes} min in all on this machine`,
    );
  };
  progress();
  const timer = setInterval(progress, PROGRESS_MS);
  const code = await new Promise<number | null>((resolve) => {
    const go = spawn('go', args, {
      cwd: moduleFolder(program),
      env: { ...process.env, CGO_ENABLED: '0' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    go.stderr.setEncoding('utf8').on('data', (chunk: string) => output.push(...chunk.trimEnd().split('\n')));
    go.on('error', () => resolve(null)).on('close', resolve);
  });
  clearInterval(timer);
  if (code !== 0) {
    rmSync(partial, { recursive: true, force: true });
    const end = output.slice(-5).join(' | ');
    return { reason: `go build in test/cluster/${module} failed (Go 1.26 and a module proxy are needed): ${end}` };
  }
  for (const link of links) symlinkSync(module, join(partial, link));
  rmSync(directory, { recursive: true, force: true });
  renameSync(partial, directory);
  return { directory };
}

/** Linker flags that make Kubernetes tell its version, which clients and CEL environments look at. */
function kubernetesVersion(goMod: string): string {
  const version = /k8s\.io\/kubernetes (v1\.(\d+)\.\d+)/.exec(goMod);
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
async function withLock<Result>(path: string, what: string, work: () => Promise<Result>): Promise<Result> {
  mkdirSync(join(path, '..'), { recursive: true });
  for (let waited = 0; !tryLock(path); waited += 500) {
    if (waited % PROGRESS_MS === 0) console.error(`waiting for another run that builds ${what}: ${waited / 1000} s`);
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
