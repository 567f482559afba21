import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const STOP_MS = 3_000;

/** A process that runs until it is stopped. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  /** Milliseconds on the clock of performance.now() when it was started. */
  readonly startedAt: number;
  /** Throws, with the end of its output, when the process is not running any more. */
  assertRunning(): void;
}

/** All processes that a run started, so that none outlives it. They are ended by process id only. */
export class Children {
  readonly #running = new Map<number, ChildProcess>();
  readonly #outputDirectory: string;
  #closed = false;

  /** `outputDirectory`: where each process's output goes, one file a process. */
  constructor(outputDirectory: string) {
    this.#outputDirectory = outputDirectory;
  }

  /** Starts a process that stays, pinned to `core`. Throws when there is no such command. */
  start(name: string, core: number, command: string, args: readonly string[]): Child {
    const outputFile = join(this.#outputDirectory, `${name.replaceAll(/[^\w.-]+/g, '-')}.out`);
    const output = openSync(outputFile, 'w');
    const startedAt = performance.now();
    const child = this.#spawn(core, command, args, ['ignore', output, output]);
    closeSync(output);
    return {
      name,
      pid: child.pid as number,
      startedAt,
      assertRunning: () => {
        if (child.exitCode === null && child.signalCode === null) return;
        throw new Error(`${name} stopped by itself: ${readFileSync(outputFile, 'utf8').trim().slice(-600)}`);
      },
    };
  }

  /** Runs a command to its end, pinned to `core`, and resolves to its standard output; rejects when it fails. */
  run(core: number, command: string, args: readonly string[]): Promise<string> {
    const child = this.#spawn(core, command, args, ['ignore', 'pipe', 'pipe']);
    return new Promise((resolve, reject) => {
      let output = '';
      let errors = '';
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        errors += text;
      });
      child.once('error', reject);
      child.once('close', (code, signal) => {
        if (code === 0) resolve(output);
        else reject(new Error(`${command} ended with ${signal ?? code}: ${(errors + output).trim().slice(-600)}`));
      });
    });
  }

  /** Asks a process to end (SIGTERM), then ends it (SIGKILL) after 3 s. */
  async stop({ pid }: Child): Promise<void> {
    await this.#stop(pid);
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((pid) => this.#stop(pid)));
  }

  /** Stops all and starts none any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.stopAll();
  }

  /** Ends everything at once: for the exit handler, which cannot wait. */
  killAll(): void {
    for (const child of this.#running.values()) child.kill('SIGKILL');
  }

  #spawn(core: number, command: string, args: readonly string[], stdio: ('ignore' | 'pipe' | number)[]): ChildProcess {
    if (this.#closed) throw new Error('stopping');
    // taskset replaces itself with the command, so the process id is the command's.
    const child = spawn('taskset', ['-c', String(core), command, ...args], {
      stdio,
      env: { ...process.env, NODE_ENV: 'production' },
    });
    const { pid } = child;
    if (pid === undefined) throw new Error('taskset (package util-linux) is not there');
    this.#running.set(pid, child);
    child.once('exit', () => this.#running.delete(pid));
    return child;
  }

  async #stop(pid: number): Promise<void> {
    const child = this.#running.get(pid);
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(timer);
  }
}
