import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import type { CommandResult } from '../cluster/program.ts';
import { skipOrFail } from '../cluster/skip-or-fail.ts';
import { type Client, startClient } from './client.ts';

/** Any object as kubectl prints it. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into objects of many kinds, and fail where a member is missing
export type Manifest = any;

/** The repository. */
export const ROOT = join(import.meta.dirname, '../..');

/** A real cluster with a client in it, and the tools of an admin. */
export interface World {
  readonly cluster: Cluster;
  readonly client: Client;
  /** Runs kubectl; throws with its output when it fails. */
  kubectl(args: readonly string[], stdin?: string): Promise<string>;
  /** Runs any command in the cluster's network with its kubeconfig, whatever its exit code. */
  run(command: string, args: readonly string[], stdin?: string): Promise<CommandResult>;
  /** Runs the kubectl plugin. */
  portcullis(args: readonly string[], stdin?: string): Promise<CommandResult>;
  /** The object, or null. */
  get(kind: string, name: string, namespace?: string): Promise<Manifest | null>;
  list(kind: string, namespace: string, selector?: string): Promise<readonly Manifest[]>;
  /** `kubectl patch --type=merge`. */
  patch(kind: string, name: string, namespace: string, change: object, ...flags: readonly string[]): Promise<string>;
  /** `kubectl apply` of these objects in one go; gives what kubectl wrote, warnings included. */
  apply(namespace: string, ...objects: readonly Manifest[]): Promise<string>;
}

/** A world for this test, stopped after it; undefined, and the test skipped, where there can be none. */
export async function worldFor(t: TestContext): Promise<World | undefined> {
  const cluster = await startCluster();
  if ('reason' in cluster) return skipOrFail(t, cluster.reason);
  const client = startClient(cluster);
  t.after(() => {
    client.close();
    return cluster.stop();
  });
  const run: World['run'] = (command, args, stdin) => cluster.exec(command, args, stdin);
  const kubectl: World['kubectl'] = async (args, stdin) => {
    const { code, stdout, stderr } = await run('kubectl', args, stdin);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} failed:\n${stderr}${stdout}`);
    return stdout + stderr;
  };
  const json = async (args: readonly string[]): Promise<Manifest> => {
    const { code, stdout, stderr } = await run('kubectl', [...args, '-o', 'json']);
    if (code === 0) return JSON.parse(stdout);
    if (stderr.includes('NotFound')) return null;
    throw new Error(`kubectl ${args.join(' ')} failed:\n${stderr}`);
  };
  return {
    cluster,
    client,
    run,
    kubectl,
    portcullis: (args, stdin) => run(process.execPath, [join(ROOT, 'cli/main.ts'), ...args], stdin),
    get: (kind, name, namespace = 'default') => json(['get', kind, name, '-n', namespace]),
    list: async (kind, namespace, selector) =>
      (await json(['get', kind, '-n', namespace, ...(selector === undefined ? [] : ['-l', selector])])).items,
    patch: (kind, name, namespace, change, ...flags) =>
      kubectl(['patch', kind, name, '-n', namespace, '--type=merge', '-p', JSON.stringify(change), ...flags]),
    apply: (namespace, ...objects) =>
      kubectl(
        ['apply', '-n', namespace, '-f', '-'],
        JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
      ),
  };
}

/** The documents of a YAML file, as objects. */
export function documents(yaml: string): readonly Manifest[] {
  return parseAllDocuments(yaml).map((document) => document.toJS());
}

/** Repeats `look` until it gives something other than undefined, null or false; throws with `what` and the last thing seen. */
export async function until<Found>(
  what: string,
  look: () => Promise<Found | undefined | null | false>,
  { timeoutMs = 60_000, everyMs = 100 } = {},
): Promise<Found> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  while (performance.now() < deadline) {
    try {
      const found = await look();
      if (found !== undefined && found !== null && found !== false) return found;
    } catch (error) {
      last = error;
    }
    await sleep(everyMs);
  }
  throw new Error(`waited ${timeoutMs / 1_000} s in vain: ${what}`, { cause: last });
}

/** Seconds that `work` takes, with what it gives. */
export async function timed<Result>(work: () => Promise<Result>): Promise<{ seconds: number; result: Result }> {
  const began = performance.now();
  const result = await work();
  return { seconds: (performance.now() - began) / 1_000, result };
}

/** A part of a test, which says what came of it, with the seconds that it took. Gives whether it passed. */
export async function part(t: TestContext, name: string, work: () => Promise<string>): Promise<boolean> {
  let passed = false;
  await t.test(name, async () => {
    const { seconds, result } = await timed(work);
    console.log(`     e2e: ${name}: ${result} (${seconds.toFixed(1)} s)`);
    passed = true;
  });
  return passed;
}

/** Whether a program is in PATH. */
export function installed(program: string): boolean {
  return spawnSync(program, ['--version']).error === undefined;
}
