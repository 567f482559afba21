import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, copyFileSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { OperatorConfig } from '../../operator/config.ts';
import { processTicks, residentMiB, TICKS_PER_SECOND } from '../proc-readings.ts';
import { Metrics } from './metrics-text.ts';

const ROOT = join(import.meta.dirname, '../..');

/** What a start needs. */
export interface OperatorParts {
  readonly config: OperatorConfig;
  /** Path. */
  readonly kubeconfig: string;
  /** Where its program, configuration and log are put. */
  readonly directory: string;
}

/** Bundles the operator as its image has it, and writes its configuration. */
export function prepareOperator({ config, directory }: OperatorParts): void {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/build.ts', 'operator'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the operator cannot be built: ${stderr.slice(-2000)}`);
  copyFileSync(join(ROOT, 'dist/operator.mjs'), join(directory, 'operator.mjs'));
  const { namespace: _, podName: __, defaults, ...rest } = config;
  const file = { ...rest, defaults: { capture: defaults.capture, clientIP: defaults.clientIp } };
  writeFileSync(join(directory, 'config.yaml'), stringify(file));
}

/** The operator as a process of its own. */
export class OperatorProcess {
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #healthPort: number;
  /** On the clock of performance.now(). */
  readonly startedAt = performance.now();
  readonly #killAtExit = () => void this.#child.kill('SIGKILL');

  constructor({ config, kubeconfig, directory }: OperatorParts) {
    this.#log = join(directory, 'operator.log');
    this.#healthPort = config.healthPort;
    const log = openSync(this.#log, 'a');
    const args = [join(directory, 'operator.mjs'), '--config', join(directory, 'config.yaml')];
    const { namespace: POD_NAMESPACE, podName: POD_NAME } = config;
    const env = { ...process.env, NODE_ENV: 'production', KUBECONFIG: kubeconfig, POD_NAMESPACE, POD_NAME };
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', log, log], env });
    closeSync(log);
    process.once('exit', this.#killAtExit);
  }

  /** Resolves when webhooks are answered from complete caches; to the milliseconds since its start. */
  async untilReady(): Promise<number> {
    const isReady = () =>
      this.#get('/readyz').then(
        ({ status }) => status === 200,
        () => false,
      );
    while (!(await isReady())) {
      this.assertRunning();
      await sleep(20);
    }
    return performance.now() - this.startedAt;
  }

  async metrics(): Promise<Metrics> {
    return new Metrics((await this.#get('/metrics')).body);
  }

  /** Memory in MiB, and the milliseconds of processor time since its start. */
  usage(): { readonly rss: number; readonly pss: number; readonly peak: number; readonly cpuMs: number } {
    const pid = this.#child.pid!;
    return {
      rss: residentMiB(pid),
      pss: mebibytes(`/proc/${pid}/smaps_rollup`, 'Pss'),
      peak: mebibytes(`/proc/${pid}/status`, 'VmHWM'),
      cpuMs: (processTicks(pid) * 1000) / TICKS_PER_SECOND,
    };
  }

  /** What it logged at warning or above, by message. */
  warnings(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const line of readFileSync(this.#log, 'utf8').split('\n')) {
      const { level = 0, msg = '' } = line.startsWith('{') ? JSON.parse(line) : {};
      if (level >= 40) counts.set(msg, (counts.get(msg) ?? 0) + 1);
    }
    return counts;
  }

  /** Throws, with the end of its log, when it is not running any more. */
  assertRunning(): void {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) return;
    throw new Error(`the operator ended (${signalCode ?? exitCode}): ${readFileSync(this.#log, 'utf8').slice(-2000)}`);
  }

  /** SIGTERM; resolves to the milliseconds that it takes. Throws when it does not end with 0. */
  async stop(): Promise<number> {
    const begun = performance.now();
    this.assertRunning();
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const [code, signal] = await ended;
    process.removeListener('exit', this.#killAtExit);
    if (code !== 0) throw new Error(`the operator ended with ${signal ?? code} when it was asked to stop`);
    return performance.now() - begun;
  }

  /** Ends it at once, if it still runs. */
  kill(): void {
    this.#killAtExit();
    process.removeListener('exit', this.#killAtExit);
  }

  /** On a connection of its own: one that is kept may just be closed from the other side. */
  async #get(path: string): Promise<{ readonly status: number; readonly body: string }> {
    const [response] = await once(get({ port: this.#healthPort, path, agent: false }), 'response');
    return { status: response.statusCode, body: await text(response) };
  }
}

function mebibytes(file: string, name: string): number {
  const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(file, 'utf8'))?.[1];
  return Number(kibibytes ?? Number.NaN) / 1024;
}
