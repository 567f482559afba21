import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missingPrograms } from '../support/system-programs.ts';

const START_TIMEOUT_MS = 10_000;

/**
 * Why tests on a real Redis cannot run here, or false. As root it installs redis-server by apt when there is none.
 * Throws instead of giving a reason when REQUIRE_CLUSTER=1.
 */
export function redisMissing(): string | false {
  const reason = missingPrograms({ 'redis-server': 'redis-server' });
  if (reason !== null && process.env['REQUIRE_CLUSTER'] === '1') throw new Error(reason);
  return reason ?? false;
}

/** A redis-server of a test's own: on a free port of 127.0.0.1, without persistence, killed by its process id only. */
export class RedisServer {
  readonly port: number;
  /** Its working directory, removed with it. */
  readonly directory: string;
  readonly #password: string;
  readonly #more: readonly string[];
  #child: ChildProcess | null = null;

  private constructor(port: number, password: string, more: readonly string[]) {
    this.port = port;
    this.#password = password;
    this.#more = more;
    this.directory = mkdtempSync(join(tmpdir(), 'portcullis-redis-'));
  }

  /** Starts a server; `password`: what clients must give, default none; `more`: further arguments of redis-server. */
  static async start(password = '', more: readonly string[] = []): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), password, more);
    await server.start();
    return server;
  }

  get url(): string {
    const credentials = this.#password === '' ? '' : `:${this.#password}@`;
    return `redis://${credentials}127.0.0.1:${this.port}`;
  }

  /** Starts it again, empty, on the same port. Resolves when it accepts connections. */
  async start(): Promise<void> {
    const password = this.#password === '' ? [] : ['--requirepass', this.#password];
    const args = ['--bind', '127.0.0.1', '--port', String(this.port), '--save', '', '--appendonly', 'no'];
    const all = [...args, '--dir', this.directory, ...password, ...this.#more];
    this.#child = spawn('redis-server', all, { stdio: 'ignore' });
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await accepts(this.port))) {
      if (this.#child.exitCode !== null || Date.now() > deadline) throw new Error('redis-server did not start');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Stops it as an operator would (SIGTERM) or as a crash does (SIGKILL). Resolves when it is gone. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    child.kill('SIGCONT');
    await exited;
  }

  /** Keeps its connections but answers nothing any more. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Kills it for good and removes its directory. */
  async remove(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A port of 127.0.0.1 on which nobody listens. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
