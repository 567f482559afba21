import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { pause, systemClock } from './clock.ts';
import { KubeError } from './kube-client.ts';
import type { KubeMetrics } from './kube-metrics.ts';
import { RequestLimiter } from './request-limiter.ts';

/** One request to the API server. */
export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  /** Members that are undefined are left out. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Sent as JSON. */
  readonly body?: object;
  /** Default: application/json. */
  readonly contentType?: string;
}

/** What can be told a connection. */
export interface ConnectionOptions {
  readonly metrics?: KubeMetrics | undefined;
  /** A request that takes longer has failed; default 30 s. A watch has its own rule. */
  readonly timeoutMs?: number;
  /** Token bucket over all requests; default 50 a second, 100 at once. */
  readonly requestsPerSecond?: number;
  readonly burst?: number;
}

/** Below the API server's 90 s, so that it seldom closes a connection that we are about to use. */
const IDLE_MS = 30_000;
/** Three of the largest objects that etcd takes. A page of a list that is larger is asked for in smaller ones. */
const MAX_RESPONSE_BYTES = 16 * 1024 * 1024;
const MAX_MESSAGE_CHARACTERS = 2048;

/**
 * HTTPS to one API server on connections that are kept. Address, trust and credentials come from client-node's
 * KubeConfig and are asked for at every request: rotated tokens and CA files are taken over.
 */
export class ApiConnection {
  readonly #kubeConfig: KubeConfig;
  readonly #server: string;
  readonly #agent = new Agent({ keepAlive: true, timeout: IDLE_MS });
  readonly #limiter: RequestLimiter;
  readonly #metrics: KubeMetrics | undefined;
  readonly #timeoutMs: number;

  constructor(kubeConfig: KubeConfig, options: ConnectionOptions = {}) {
    this.#kubeConfig = kubeConfig;
    this.#server = (kubeConfig.getCurrentCluster()?.server ?? '').replace(/\/$/, '');
    this.#limiter = new RequestLimiter(options.requestsPerSecond ?? 50, options.burst ?? 100);
    this.#metrics = options.metrics;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
  }

  /** Sends a request and reads its JSON answer. Throws KubeError, also for every status that is not 2xx. */
  async json(request: ApiRequest): Promise<unknown> {
    await pauseFor(this.#limiter);
    const signal = AbortSignal.timeout(this.#timeoutMs);
    try {
      return parsedJson(await readText(await this.#send(request, signal)));
    } catch (error) {
      if (signal.aborted) throw noAnswer(request, 'Timeout', `no answer within ${this.#timeoutMs / 1000} s`, error);
      throw asKubeError(request, error);
    }
  }

  /** Sends a GET and returns the answer's body as it comes, until the server ends it or `signal` is aborted. Throws as `json`. */
  async stream(request: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> {
    await pauseFor(this.#limiter);
    try {
      return await this.#send(request, signal);
    } catch (error) {
      throw asKubeError(request, error);
    }
  }

  /** Closes the connections that nothing uses. */
  close(): void {
    this.#agent.destroy();
  }

  async #send(request: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { method } = request;
    const credentials: RequestOptions = {};
    try {
      await this.#kubeConfig.applyToHTTPSOptions(credentials);
    } catch (cause) {
      throw noAnswer(request, 'NoCredentials', (cause as Error).message, cause);
    }
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
    const options: RequestOptions = {
      ...credentials,
      method,
      signal,
      // client-node's own agent closes each connection after one request, but it knows proxies.
      agent: this.#kubeConfig.getCurrentCluster()?.proxyUrl ? (credentials.agent as Agent) : this.#agent,
      headers: {
        ...credentials.headers,
        accept: 'application/json',
        'user-agent': 'portcullis',
        ...(body && { 'content-type': request.contentType ?? 'application/json', 'content-length': body.length }),
      },
    };
    let code = '<error>';
    try {
      const response = await dial(`${this.#server}${target(request)}`, options, body);
      code = String(response.statusCode);
      if (code.startsWith('2')) return response;
      throw refusal(request, response, await readText(response));
    } finally {
      this.#metrics?.requests.inc({ method, code });
    }
  }
}

async function pauseFor(limiter: RequestLimiter): Promise<void> {
  const waitMs = limiter.reserve(systemClock.now());
  if (waitMs > 0) await pause(systemClock, waitMs);
}

function target({ path, query = {} }: ApiRequest): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

/** A GET on a kept connection that the server had closed meanwhile is sent again, once, on a new one. */
function dial(url: string, options: RequestOptions, body: Buffer | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, options);
    request.once('response', resolve);
    request.once('error', (error: NodeJS.ErrnoException) => {
      const stale = options.method === 'GET' && request.reusedSocket && error.code === 'ECONNRESET';
      if (stale) resolve(dial(url, { ...options, agent: false }, body));
      else reject(error);
    });
    request.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_RESPONSE_BYTES)
      throw new KubeError(0, 'TooLarge', `the answer is larger than ${MAX_RESPONSE_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** JSON.parse, whose own error quotes the text: it may be a Secret. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('what came is no JSON');
  }
}

/** The server's metav1.Status; where a proxy answered instead, its HTTP status. */
function refusal(request: ApiRequest, response: IncomingMessage, text: string): KubeError {
  const status = response.statusCode ?? 0;
  const seconds = Number(response.headers['retry-after'] ?? Number.NaN);
  const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : null;
  const said = statusOf(text);
  const message = said?.message ?? `${request.method} ${request.path}: HTTP ${status}`;
  return new KubeError(status, said?.reason ?? '', message.slice(0, MAX_MESSAGE_CHARACTERS), { retryAfterMs });
}

function statusOf(text: string): { readonly reason?: string; readonly message?: string } | undefined {
  try {
    const body = parsedJson(text) as { kind?: string; reason?: string; message?: string } | null;
    return body?.kind === 'Status' ? body : undefined;
  } catch {
    return undefined;
  }
}

function asKubeError(request: ApiRequest, error: unknown): KubeError {
  return error instanceof KubeError ? error : noAnswer(request, 'NoAnswer', (error as Error).message, error);
}

function noAnswer({ method, path }: ApiRequest, reason: string, what: string, cause: unknown): KubeError {
  return new KubeError(0, reason, `${method} ${path}: ${what}`, { cause });
}
