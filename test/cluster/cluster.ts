import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { missingPrograms } from '../support/system-programs.ts';
import { COREDNS, cacheDirectory, goBinary, KUBENODE, type Unavailable } from './go-binaries.ts';
import { imageArchive } from './images/image-archive.ts';
import { type CommandResult, runCommand } from './program.ts';

const SCRIPT = join(import.meta.dirname, 'node', 'cluster');

/** Debian's packages for what the node runs, by program. */
const PROGRAMS = {
  containerd: 'containerd',
  runc: 'runc',
  '/usr/lib/cni/bridge': 'containernetworking-plugins',
  iptables: 'iptables',
  conntrack: 'conntrack',
  socat: 'socat',
  ethtool: 'ethtool',
  ipset: 'ipset',
  buildah: 'buildah',
  busybox: 'busybox-static',
  gcc: 'gcc libc6-dev',
  openssl: 'openssl',
  curl: 'curl',
} as const;

/** A real one-node Kubernetes in network and mount namespaces of its own; see test/cluster/node/cluster. */
export interface Cluster {
  /** Path of the admin's kubeconfig; its server is reached only from inside: see `exec`. */
  readonly kubeconfig: string;
  /** Runs a command in the node's network namespace, with KUBECONFIG set. */
  exec(command: string, args: readonly string[], stdin?: string): Promise<CommandResult>;
  /** Imports an OCI archive into the node's image store. */
  load(archive: string): Promise<void>;
  /** What makes any command run in the node's network namespace: program and arguments to put before it. */
  readonly enter: readonly string[];
  /** The environment that `enter` needs. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends everything and removes all state. */
  stop(): Promise<void>;
}

/** Starts the cluster, building and installing what it needs; says why where that cannot be. One at a time on a machine. */
export async function startCluster(): Promise<Cluster | Unavailable> {
  const prepared = await prepareCluster();
  if ('reason' in prepared) return prepared;
  const { env } = prepared;
  const script = async (...args: string[]): Promise<CommandResult> => {
    const result = await runScript(args, env);
    if (result.code !== 0) throw new Error(`cluster ${args.join(' ')} failed: ${result.stderr}${result.stdout}`);
    return result;
  };
  await script('down', '--purge');
  await script('up');
  const stopAtExit = (): void => void spawnSync(SCRIPT, ['down', '--purge'], { env, stdio: 'ignore' });
  process.once('exit', stopAtExit);
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  const enter = [SCRIPT, 'exec'];
  return {
    kubeconfig: join(env.CLUSTER_DIR, 'kubeconfig'),
    enter,
    env,
    exec: (command, args, stdin) => runCommand(SCRIPT, ['exec', command, ...args], stdin, env),
    load: async (archive) => void (await script('load', archive)),
    stop: async () => {
      process.removeListener('exit', stopAtExit);
      await script('down', '--purge');
    },
  };
}

/** Builds and installs all that the cluster needs, or says what is missing. */
export async function prepareCluster(): Promise<{ readonly env: ClusterEnvironment } | Unavailable> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    return { reason: 'no real cluster here: it needs Linux and root (network namespaces, containerd); run as root' };
  }
  const missing = missingPrograms(PROGRAMS);
  if (missing !== null) return { reason: `no real cluster here: ${missing}` };
  if (spawnSync('kubectl', ['version', '--client']).error) {
    return { reason: 'no real cluster here: put kubectl 1.30 or newer into PATH' };
  }
  const kubenode = await goBinary(KUBENODE);
  if ('reason' in kubenode) return kubenode;
  const coredns = await goBinary(COREDNS);
  if ('reason' in coredns) return coredns;
  return {
    env: {
      ...(process.env as Record<string, string>),
      CLUSTER_DIR: join(cacheDirectory(), 'cluster'),
      KUBENODE: join(kubenode.directory, 'kubenode'),
      COREDNS: join(coredns.directory, 'coredns'),
      PAUSE_IMAGE: await imageArchive('pause'),
    },
  };
}

/** What test/cluster/node/cluster is told. */
export type ClusterEnvironment = Readonly<Record<string, string>> & { readonly CLUSTER_DIR: string };

/** As runCommand, but done once the script ends: the daemons that it starts hold its pipes open. */
function runScript(args: readonly string[], env: ClusterEnvironment): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(SCRIPT, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject).on('exit', (code) => resolve({ code, stdout, stderr }));
  });
}
