import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { type KubeObject, type ObjectKey, SECRETS } from '../objects.ts';
import { selfSigned } from './self-signed.ts';

/** What the next list or watch meets instead of an answer. */
export type RequestFault =
  | { readonly status: number; readonly reason?: string; readonly retryAfterSeconds?: number }
  /** The connection is reset before an answer, or in the middle of one. */
  | 'Reset'
  | 'Cut'
  /** Accepted, then nothing: half-open. */
  | 'Silence'
  /** Answered by a proxy, not in JSON. */
  | 'Html'
  /** Answered after 100 ms. */
  | 'Slow';

/** What happens to the watches that are open. */
export type WatchFault =
  | { readonly errorCode: number; readonly reason: string }
  | 'Reset'
  /** The connection ends in the middle of a change. */
  | 'Cut'
  /** The connection stays, and brings nothing more. */
  | 'Silence'
  | 'Garbage'
  /** As at its timeoutSeconds. */
  | 'End';

/** Lists and watches of Secrets over HTTPS, as the API server answers them, and every way in which it does not. */
export interface FakeApiServer {
  readonly kubeConfig: KubeConfig;
  /** Makes or changes an object. */
  put(key: ObjectKey, labels?: Readonly<Record<string, string>>): void;
  remove(key: ObjectKey): void;
  objects(): readonly KubeObject[];
  /** Forgets all history: watches and pages from before now are answered 410. */
  compact(): void;
  /** The next list, or watch, meets this; several wait for one request each. */
  failNext(verb: 'list' | 'watch', fault: RequestFault): void;
  /** This happens now to all open watches. */
  breakWatches(fault: WatchFault): void;
  /** Sends a bookmark to all open watches. */
  bookmark(): void;
  /** Requests so far. */
  readonly requests: readonly { readonly verb: 'list' | 'watch'; readonly query: URLSearchParams }[];
  readonly openWatches: number;
  stop(): Promise<void>;
}

type Change = { readonly version: number; readonly type: string; readonly object: KubeObject };

/** Starts one on a free port of loopback. */
export async function startFakeApiServer(): Promise<FakeApiServer> {
  const certificate = await selfSigned();
  const objects = new Map<string, KubeObject>();
  const history: Change[] = [];
  const watches = new Set<ServerResponse>();
  const sockets = new Set<Duplex>();
  const faults: Record<'list' | 'watch', RequestFault[]> = { list: [], watch: [] };
  const requests: { verb: 'list' | 'watch'; query: URLSearchParams }[] = [];
  let version = 1;
  let oldest = 1;

  const change = (type: string, object: KubeObject): void => {
    const metadata = { ...object.metadata, resourceVersion: String(++version) };
    const next = { version, type, object: { ...object, metadata } };
    history.push(next);
    const id = idOf(metadata);
    if (type === 'DELETED') objects.delete(id);
    else objects.set(id, next.object);
    for (const watch of watches) send(watch, next);
  };

  const server = createServer(certificate, async (request, response) => {
    const query = new URL(request.url ?? '', 'https://fake').searchParams;
    const verb = query.get('watch') === 'true' ? 'watch' : 'list';
    requests.push({ verb, query });
    const fault = faults[verb].shift();
    if (fault === 'Slow') await sleep(100);
    else if (fault) return fail(request, response, fault);
    if (verb === 'watch') watch(response, Number(query.get('resourceVersion')));
    else list(response, query);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });

  const list = (response: ServerResponse, query: URLSearchParams): void => {
    const [at, from] = (query.get('continue') ?? `${version}:0`).split(':').map(Number) as [number, number];
    if (at < oldest) return void refuse(response, 410, 'Expired');
    const all = snapshot(history, at);
    const to = from + Number(query.get('limit') ?? all.length);
    const next = to < all.length ? { continue: `${at}:${to}` } : {};
    answer(response, 200, {
      kind: 'SecretList',
      metadata: { resourceVersion: String(at), ...next },
      items: all.slice(from, to),
    });
  };

  const watch = (response: ServerResponse, since: number): void => {
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    // As the API server: not a status, but a first and last event.
    if (since < oldest) return void response.end(`${errorEvent(410, 'Expired')}\n`);
    for (const past of history) if (past.version > since) send(response, past);
    watches.add(response);
    response.on('close', () => watches.delete(response));
  };

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromClusterAndUser(
    {
      name: 'fake',
      server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
      caData: Buffer.from(certificate.cert).toString('base64'),
      skipTLSVerify: false,
    },
    { name: 'fake', token: 'fake' },
  );

  return {
    kubeConfig,
    put(key, labels = {}) {
      const known = objects.get(idOf(key));
      const metadata = { ...key, labels, uid: known?.metadata.uid ?? `uid-${version}` };
      change(known ? 'MODIFIED' : 'ADDED', { apiVersion: 'v1', kind: 'Secret', metadata });
    },
    remove(key) {
      const known = objects.get(idOf(key));
      if (known) change('DELETED', known);
    },
    objects: () => [...objects.values()],
    compact() {
      // Something else in the cluster changed meanwhile, as always.
      oldest = ++version;
    },
    failNext: (verb, fault) => void faults[verb].push(fault),
    breakWatches(fault) {
      for (const response of watches) breakWatch(response, fault);
      watches.clear();
    },
    bookmark() {
      const object = { kind: 'Secret', apiVersion: 'v1', metadata: { resourceVersion: String(version) } };
      for (const response of watches) response.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
    },
    requests,
    get openWatches() {
      return watches.size;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function idOf({ namespace = '', name }: ObjectKey): string {
  return `${namespace}/${name}`;
}

/** All objects as they were at a version. */
function snapshot(history: readonly Change[], at: number): readonly KubeObject[] {
  const objects = new Map<string, KubeObject>();
  for (const { version, type, object } of history) {
    if (version > at) break;
    if (type === 'DELETED') objects.delete(idOf(object.metadata));
    else objects.set(idOf(object.metadata), object);
  }
  return [...objects.values()];
}

function send(response: ServerResponse, { type, object }: Change): void {
  response.write(`${JSON.stringify({ type, object })}\n`);
}

function answer(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

function refuse(response: ServerResponse, code: number, reason: string, retryAfterSeconds?: number): void {
  const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
  answer(response, code, { kind: 'Status', status: 'Failure', code, reason, message: `fake ${reason}` }, headers);
}

function fail(request: IncomingMessage, response: ServerResponse, fault: RequestFault): void {
  if (typeof fault === 'object')
    return void refuse(response, fault.status, fault.reason ?? '', fault.retryAfterSeconds);
  if (fault === 'Html')
    return void response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>');
  if (fault === 'Reset') return void request.socket.destroy();
  if (fault === 'Cut') response.write('{"kind":"SecretList","items":[', () => request.socket.destroy());
}

function breakWatch(response: ServerResponse, fault: WatchFault): void {
  if (typeof fault === 'object') return void response.end(`${errorEvent(fault.errorCode, fault.reason)}\n`);
  switch (fault) {
    case 'Reset':
      return void response.socket?.destroy();
    case 'Cut':
      return void response.write('{"type":"ADDED","object":{"metadata":', () => response.socket?.destroy());
    case 'Garbage':
      return void response.end('{{{\n');
    case 'End':
      return void response.end();
    case 'Silence':
      return;
  }
}

function errorEvent(code: number, reason: string): string {
  return JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code, reason, message: `fake ${reason}` } });
}

/** The resource that it serves. */
export const FAKE_TYPE = SECRETS;
