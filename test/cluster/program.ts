import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/** A program that runs in the background until it is stopped, or this process ends. */
export interface Program {
  readonly path: string;
  /** The end of what it wrote. */
  log(): string;
  ended(): boolean;
  /** SIGTERM, and SIGKILL where it is still there after 5 s; resolves once it has ended. */
  stop(): Promise<void>;
}

/** What a command that ran to its end left. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const LOG_CHARACTERS = 20_000;

let exitsOnSignals = false;

/** A signal ends a process without its exit listeners, which end the programs; so exit in order instead. */
function exitOnSignals(): void {
  if (exitsOnSignals) return;
  exitsOnSignals = true;
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
}

/** Starts a program in the background; `env` default: ours. */
export function startProgram(path: string, args: readonly string[], env = process.env): Program {
  exitOnSignals();
  const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
  let log = '';
  let ended = false;
  const write = (chunk: string): void => {
    log = (log + chunk).slice(-LOG_CHARACTERS);
  };
  child.stdout.setEncoding('utf8').on('data', write);
  child.stderr.setEncoding('utf8').on('data', write);
  const end = new Promise<void>((resolve) => {
    child.on('error', (error) => write(String(error)));
    child.on('close', () => {
      ended = true;
      resolve();
    });
  });
  const killAtExit = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', killAtExit);
  return {
    path,
    log: () => log,
    ended: () => ended,
    async stop() {
      child.kill('SIGTERM');
      const late = new AbortController();
      await Promise.race([end, sleep(5000, undefined, { signal: late.signal }).catch(() => undefined)]);
      late.abort();
      if (!ended) child.kill('SIGKILL');
      await end;
      process.removeListener('exit', killAtExit);
    },
  };
}

/** Runs a command to its end; a code that is not 0 is an answer, a command that cannot start an error. */
export function runCommand(
  command: string,
  args: readonly string[],
  stdin = '',
  env = process.env,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject).on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.end(stdin);
  });
}
