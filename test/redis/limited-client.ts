import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import type { AdmissionTime } from './admitted-bound.ts';

/** No answer after this long is a request that hangs. */
const HANGS_MS = 10_000;
const MOST_ATTEMPTS = 8;

/** What a client saw, and when: epoch milliseconds. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** `code` of problem+json; empty in any other answer. */
  readonly code: string;
  readonly time: AdmissionTime;
}

/** Whom a request comes from. */
export interface From {
  /** Goes into X-Forwarded-For, which the sidecars under test believe. */
  readonly address: string;
  readonly token?: string;
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const now = (): number => performance.timeOrigin + performance.now();

/** GETs `path` from a sidecar of this host. Rejects when the answer does not come in 10 s. */
export function get(port: number, path: string, from: From): Promise<Answer> {
  const headers: Record<string, string> = { 'x-forwarded-for': from.address };
  if (from.token !== undefined) headers['authorization'] = `Bearer ${from.token}`;
  const asked = now();
  return new Promise((resolve, reject) => {
    const sent = request({ agent, host: '127.0.0.1', port, path, headers, timeout: HANGS_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        const isProblem = response.headers['content-type'] === 'application/problem+json';
        const { code } = isProblem ? (JSON.parse(body) as { code: string }) : { code: '' };
        resolve({ status: response.statusCode ?? 0, headers: response.headers, code, time: [asked, now()] });
      });
    });
    sent.on('timeout', () => sent.destroy(new Error(`GET ${path} hangs`)));
    sent.on('error', reject);
    sent.end();
  });
}

/** Closes the client's connections. */
export function closeClient(): void {
  agent.destroy();
}

/** Redis was too slow for the store's time-out, so that a count over all answers of the attempt says nothing. */
export class Disturbed extends Error {}

/** The answer, unless it tells that Redis was late: then what `undisturbed` runs begins again. For limits with Deny. */
export async function getCounted(port: number, path: string, from: From): Promise<Answer> {
  const answer = await get(port, path, from);
  if (answer.code === 'store_unavailable') throw new Disturbed(`Redis was late for ${path} at every attempt`);
  return answer;
}

/**
 * Runs `attempt` until Redis was in time for all of its requests: on a busy machine 20 ms pass easily. Each attempt gets a number
 * of its own, for subjects that nobody has counted yet.
 */
export async function undisturbed<T>(attempt: (number: number) => Promise<T>): Promise<T> {
  for (let number = 1; ; number++) {
    try {
      return await attempt(number);
    } catch (error) {
      if (!(error instanceof Disturbed) || number === MOST_ATTEMPTS) throw error;
    }
  }
}
