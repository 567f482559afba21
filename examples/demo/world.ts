import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTradingApi } from '../trading-api/start-trading-api.ts';

const CLI = join(import.meta.dirname, '../../cli/main.ts');
const POLICIES = join(import.meta.dirname, '../policies');

/** So fast that a visitor sees five rotations; a real key set rotates monthly. */
const FAST_ROTATION = `  maxTokenLifetime: 10s
  propagation: 1s
  jwksMaxAge: 0s
  clockSkew: 1s
  rotation: { period: 4s, prePublish: 2s, maxKeys: 8 }
`;

/** For whoever tries it afterwards: tokens that live long enough to be copied. */
const CALM_ROTATION = FAST_ROTATION.replace('maxTokenLifetime: 10s', 'maxTokenLifetime: 5m').replace(
  'period: 4s',
  'period: 5m',
);

/** Everything the tour runs: the trading API, and Portcullis in local mode in front of it. */
export interface World {
  /** `http://HOST:PORT` of the guarded API. */
  readonly url: string;
  readonly admin: string;
  readonly policies: string;
  readonly state: string;
  /** JSON log lines of the sidecar so far. */
  log(): readonly string[];
  /** Sets `mode` in both policies, as a person would with an editor. */
  setMode(mode: 'Shadow' | 'Enforce'): void;
  /** Lets tokens live 5 minutes and keys sign as long. */
  calmDown(): void;
  /** Runs `portcullis token` and returns what it prints. */
  token(claims: object): Promise<string>;
  stop(): Promise<void>;
}

/** Starts the world in a temporary directory; rejects with local mode's own words when it does not come up. */
export async function startWorld(port: number): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), 'portcullis-demo-'));
  const policies = join(directory, 'policies');
  const state = join(directory, 'state');
  cpSync(POLICIES, policies, { recursive: true });
  rewrite(
    join(policies, 'keys.yaml'),
    (text) => `${text.slice(0, text.indexOf('  # Tokens that live longer'))}${FAST_ROTATION}`,
  );
  const setMode = (mode: string): void => {
    for (const file of ['access.yaml', 'limits.yaml']) {
      rewrite(join(policies, file), (text) => text.replace(/^ {2}mode: \w+$/m, `  mode: ${mode}`));
    }
  };
  setMode('Shadow');

  const api = await startTradingApi({ host: '127.0.0.1', port: 0 });
  const traffic = port === 0 ? await freePort() : port;
  const adminPort = await freePort();
  const lines: string[] = [];
  const local = spawn(
    process.execPath,
    [
      CLI,
      'local',
      ...['--policies', policies, '--state', state, '--upstream', `http://127.0.0.1:${api.port}`],
      ...['--listen', `127.0.0.1:${traffic}`, '--admin', `127.0.0.1:${adminPort}`],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  // However this process ends: no orphan, and no private keys left behind.
  process.once('exit', () => {
    local.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  });
  let errors = '';
  local.stderr.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  let rest = '';
  local.stdout.on('data', (data: Buffer) => {
    const parts = (rest + data.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
    if (lines.length > 10_000) lines.splice(0, 5_000);
  });

  const stop = async (): Promise<void> => {
    await ended(local);
    await api.close();
  };
  const admin = `http://127.0.0.1:${adminPort}`;
  try {
    await ready(admin, local);
  } catch (error) {
    await stop();
    const hint = errors.includes('EADDRINUSE') ? 'Another port: npm run demo -- --port 18080' : '';
    throw new Error(`local mode did not start: ${(error as Error).message}\n${errors}${hint}`);
  }
  return {
    url: `http://127.0.0.1:${traffic}`,
    admin,
    policies,
    state,
    log: () => lines,
    setMode,
    calmDown: () => rewrite(join(policies, 'keys.yaml'), (text) => text.replace(FAST_ROTATION, CALM_ROTATION)),
    token: (claims) => printToken(state, claims),
    stop,
  };
}

function rewrite(file: string, change: (text: string) => string): void {
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}

async function ready(admin: string, local: ChildProcess): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (local.exitCode !== null) throw new Error(`it ended with code ${local.exitCode}`);
    const answer = await fetch(`${admin}/readyz`).catch(() => null);
    if (answer?.ok) return;
    await sleep(50);
  }
  throw new Error('it was not ready within 10 s');
}

function printToken(state: string, claims: object): Promise<string> {
  const args = [CLI, 'token', '--state', state, '--key-set', 'trading'];
  const child = spawn(process.execPath, [...args, '--claims', JSON.stringify(claims)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  return new Promise((resolve, reject) => {
    child.on('close', (code) => {
      if (code === 0) resolve(output.trim());
      else reject(new Error(`portcullis token ended with code ${code}`));
    });
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await gone;
  clearTimeout(late);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
