import { type ChildProcess, spawn } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { encodeBundle } from '../../policy/bundle/encode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import type { Bundle } from '../../policy/bundle/types.ts';
import {
  type HostPort,
  type Listener,
  SIDECAR_PATHS,
  type SidecarArguments,
  sidecarArgv,
} from '../../runtime/sidecar-arguments.ts';
import { baseAccess, baseIssuer, baseLimits, type PolicyUnderTest, signer } from './sidecar-under-test.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'sidecar', 'main.ts');
const FREE: HostPort = { host: '127.0.0.1', port: 0 };

/** What one further command of the sidecar's program did. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The sidecar's program as a pod runs it: its own process, its Secrets in directories that change as the kubelet changes them. */
export interface SidecarProcess extends AsyncDisposable {
  readonly root: string;
  readonly child: ChildProcess;
  readonly log: readonly Readonly<Record<string, unknown>>[];
  /** Resolves with the first log line of this message, past or to come. */
  logged(message: string): Promise<Readonly<Record<string, unknown>>>;
  /** Ports that the process said it listens on. */
  ports(): Promise<{ readonly traffic: readonly number[]; readonly admin: number }>;
  /** Mounts new bundles, `serial` in each. */
  mount(serial: number, policy: PolicyUnderTest): Promise<void>;
  /** Runs a command beside the process, as `kubectl exec` and hooks do. */
  exec(...argv: readonly string[]): Promise<CommandResult>;
  /** Sends a signal and resolves with the exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** What a test wants otherwise than: no listeners, a free admin port, no limits policy. */
export type ProcessSettings = Partial<Omit<SidecarArguments, 'listeners'>> & {
  /** Listen on free ports of the loopback, in front of these ports of it. */
  readonly upstreams?: readonly number[];
  readonly listeners?: readonly Listener[];
  /** Mounted under serial 1 before the start; absent: nothing is. */
  readonly policy?: PolicyUnderTest;
  /** The program; default: its source. */
  readonly program?: string;
  /** Whether there is a place for the control socket; default true. */
  readonly controlDirectory?: boolean;
};

/** Starts it in a directory of its own. */
export async function startSidecarProcess(settings: ProcessSettings = {}): Promise<SidecarProcess> {
  const { upstreams = [], listeners = [], policy, program = MAIN, controlDirectory = true, ...more } = settings;
  const root = await mkdtemp(join(tmpdir(), 'portcullis-process-'));
  await mkdir(join(root, SIDECAR_PATHS.access), { recursive: true });
  await mkdir(join(root, SIDECAR_PATHS.limits), { recursive: true });
  if (controlDirectory) await mkdir(join(root, SIDECAR_PATHS.run), { recursive: true });
  await mkdir(join(root, SIDECAR_PATHS.issuer), { recursive: true });
  const mount = async (serial: number, { access, limits, issuer }: PolicyUnderTest): Promise<void> => {
    if (issuer !== undefined)
      await mountBundle(join(root, SIDECAR_PATHS.issuer), { ...baseIssuer, name: baseAccess.name, ...issuer, serial });
    await mountBundle(join(root, SIDECAR_PATHS.access), { ...baseAccess, ...access, serial });
    if (limits !== undefined) await mountBundle(join(root, SIDECAR_PATHS.limits), { ...baseLimits, ...limits, serial });
  };
  if (policy !== undefined) await mount(1, policy);
  const argv = sidecarArgv({
    namespace: baseAccess.namespace,
    accessPolicy: baseAccess.name,
    rateLimitPolicy: policy?.limits === undefined ? null : baseLimits.name,
    issueTokens: false,
    bundleKey: createPublicKey(signer).export({ format: 'der', type: 'spki' }).toString('base64'),
    minimumSerials: { access: 0, limits: 0, issuer: 0 },
    tlsSecret: null,
    listeners: [...upstreams.map((port) => ({ listen: FREE, upstream: { host: '127.0.0.1', port } })), ...listeners],
    admin: FREE,
    probes: [],
    refuse: [],
    ...more,
  });
  const env = { ...process.env, PORTCULLIS_ROOT: root };
  const child = spawn(process.execPath, [program, ...argv], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const log: Record<string, unknown>[] = [];
  const waiting = new Set<() => void>();
  createInterface(child.stdout).on('line', (line) => {
    log.push(JSON.parse(line));
    for (const look of waiting) look();
  });

  const logged = (message: string) =>
    new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
      void exited.then((code) => reject(new Error(`the sidecar ended with ${code} before it said "${message}"`)));
      const look = (): void => {
        const line = log.find(({ msg }) => msg === message);
        if (line === undefined) return;
        waiting.delete(look);
        resolve(line);
      };
      waiting.add(look);
      look();
    });
  const end = (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    return exited;
  };
  return {
    root,
    child,
    log,
    logged,
    ports: async () => {
      const started = (await logged('sidecar started')) as unknown as {
        readonly traffic: readonly { readonly port: number }[];
        readonly admin: { readonly port: number };
      };
      return { traffic: started.traffic.map(({ port }) => port), admin: started.admin.port };
    },
    mount,
    exec: (...command) => run([program, ...command], env),
    end,
    [Symbol.asyncDispose]: async () => {
      await end('SIGKILL');
      await rm(root, { recursive: true });
    },
  };
}

/** Runs the sidecar's program to its end. */
export function run(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<CommandResult> {
  const child = spawn(process.execPath, [...argv], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => {
    stdout += String(data);
  });
  child.stderr.on('data', (data) => {
    stderr += String(data);
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

/** As the kubelet changes a mounted Secret (KEP-1412): a new directory, and `..data` renamed to point to it. */
async function mountBundle(directory: string, bundle: Bundle): Promise<void> {
  const version = `..${bundle.serial}-${process.hrtime.bigint()}`;
  await mkdir(join(directory, version));
  await writeFile(join(directory, version, BUNDLE_FILE), encodeBundle(bundle, signer));
  await symlink(version, join(directory, '..data_tmp'));
  await rename(join(directory, '..data_tmp'), join(directory, '..data'));
  await symlink(join('..data', BUNDLE_FILE), join(directory, BUNDLE_FILE)).catch(() => {}); // it is there already
}
