import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiServerBinaries, findApiServerBinaries } from './api-server-binaries.ts';
import type { Unavailable } from './go-binaries.ts';
import { type CommandResult, type Program, runCommand, startProgram } from './program.ts';

/** What kube-apiserver answered. */
export interface ApiResponse {
  readonly status: number;
  /** The parsed JSON, or the text where it is none. */
  readonly body: unknown;
}

/** A real kube-apiserver with an etcd of its own, on loopback, for as long as a test file runs. */
export interface ApiServer {
  readonly url: string;
  /** Path of a kubeconfig for a member of system:masters. */
  readonly kubeconfig: string;
  readonly adminToken: string;
  /** Sends JSON as that admin. */
  request(method: string, path: string, body?: unknown): Promise<ApiResponse>;
  /** Runs kubectl with that kubeconfig; undefined where there is no kubectl. */
  readonly kubectl: ((args: readonly string[], stdin?: string) => Promise<CommandResult>) | undefined;
  /** Ends both programs and removes their data. */
  stop(): Promise<void>;
}

const READY_MS = 60_000;

/**
 * Starts etcd and kube-apiserver without root on free ports of loopback, and waits until they are ready; says why where
 * the programs are not to be had. Throws with the end of their logs when they do not become ready.
 */
export async function startApiServer(): Promise<ApiServer | Unavailable> {
  const binaries = await findApiServerBinaries();
  if ('reason' in binaries) return binaries;
  const directory = mkdtempSync(join(tmpdir(), 'portcullis-apiserver-'));
  const programs: Program[] = [];
  const removeData = (): void => rmSync(directory, { recursive: true, force: true });
  process.once('exit', removeData);
  const stop = async (): Promise<void> => {
    for (const program of programs.toReversed()) await program.stop();
    removeData();
    process.removeListener('exit', removeData);
  };
  try {
    return { ...(await start(binaries, directory, programs)), stop };
  } catch (error) {
    const logs = programs.map((program) => program.log().slice(-2000)).join('\n');
    await stop();
    throw new Error(`kube-apiserver did not become ready:\n${logs}`, { cause: error });
  }
}

async function start(
  binaries: ApiServerBinaries,
  directory: string,
  programs: Program[],
): Promise<Omit<ApiServer, 'stop'>> {
  const [clientPort, peerPort, port] = await freePorts(3);
  const etcdUrl = `http://127.0.0.1:${clientPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const adminToken = randomBytes(24).toString('hex');
  const keys = serviceAccountKeys(directory);
  const tokens = join(directory, 'tokens.csv');
  writeFileSync(tokens, `${adminToken},admin,admin,"system:masters"\n`, { mode: 0o600 });
  programs.push(
    startProgram(binaries.etcd, [
      `--data-dir=${join(directory, 'etcd')}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
    ]),
    startProgram(binaries.kubeApiserver, [
      `--etcd-servers=${etcdUrl}`,
      `--secure-port=${port}`,
      '--bind-address=127.0.0.1',
      '--endpoint-reconciler-type=none', // a loopback address is refused as an endpoint
      `--cert-dir=${join(directory, 'certificates')}`,
      `--token-auth-file=${tokens}`,
      '--authorization-mode=RBAC',
      '--service-cluster-ip-range=10.96.0.0/16',
      '--disable-admission-plugins=ServiceAccount',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${keys.publicKey}`,
      `--service-account-signing-key-file=${keys.privateKey}`,
    ]),
  );
  const url = `https://127.0.0.1:${port}`;
  const certificate = join(directory, 'certificates', 'apiserver.crt');
  const request = (method: string, path: string, body?: unknown): Promise<ApiResponse> =>
    send(`${url}${path}`, readFileSync(certificate), adminToken, method, body);
  await untilReady(() => request('GET', '/readyz'), programs);
  const kubeconfig = writeKubeconfig(directory, url, certificate, adminToken);
  return { url, kubeconfig, adminToken, request, kubectl: kubectlWith(kubeconfig, directory) };
}

/** Ports of loopback that were free a moment ago, each a different one. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  return Promise.all(
    servers.map(async (server) => {
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
      const address = server.address();
      await sleep(20); // all listen before the first closes, so that no port comes twice
      await new Promise((resolve) => server.close(resolve));
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
}

function serviceAccountKeys(directory: string): { publicKey: string; privateKey: string } {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const paths = { publicKey: join(directory, 'sa.pub'), privateKey: join(directory, 'sa.key') };
  writeFileSync(paths.publicKey, pair.publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(paths.privateKey, pair.privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  return paths;
}

async function untilReady(check: () => Promise<ApiResponse>, programs: readonly Program[]): Promise<void> {
  const deadline = performance.now() + READY_MS;
  let last: unknown;
  while (performance.now() < deadline) {
    const ended = programs.find((program) => program.ended());
    if (ended) throw new Error(`${ended.path} ended`);
    try {
      const response = await check();
      if (response.status === 200) return;
      last = response.body;
    } catch (error) {
      last = error;
    }
    await sleep(100);
  }
  throw new Error(`not ready after ${READY_MS / 1000} s`, { cause: last });
}

function send(url: string, ca: Buffer, token: string, method: string, body: unknown): Promise<ApiResponse> {
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const headers = { authorization: `Bearer ${token}`, 'content-type': type, accept: 'application/json' };
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, { method, ca, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parsed(text) })).on('error', reject);
    });
    request.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function writeKubeconfig(directory: string, server: string, certificate: string, token: string): string {
  const path = join(directory, 'kubeconfig');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority': certificate } }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin', namespace: 'default' } }],
    'current-context': 'test',
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

function kubectlWith(kubeconfig: string, directory: string): ApiServer['kubectl'] {
  const inAssets = join(process.env['KUBEBUILDER_ASSETS'] ?? '', 'kubectl');
  const program = isAbsolute(inAssets) && existsSync(inAssets) ? inAssets : 'kubectl';
  if (spawnSync(program, ['version', '--client']).error) return undefined;
  const own = [`--kubeconfig=${kubeconfig}`, `--cache-dir=${join(directory, 'kubectl')}`];
  return (args, stdin) => runCommand(program, [...own, ...args], stdin);
}
