import { Agent, type IncomingHttpHeaders, request } from 'node:http';

/** A request of a test, on a connection of the pool. */
export interface Asking {
  /** Default GET. */
  readonly method?: string;
  readonly path: string;
  /** Goes into X-Forwarded-For; whether that is believed is the policy's to say. */
  readonly from: string;
  readonly token?: string;
  readonly body?: string;
}

/** What came back. */
export interface Asked {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** `code` of problem+json; empty in any other answer. */
  readonly code: string;
}

const HANGS_MS = 10_000;
const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** Sends a request to a sidecar of this host. Rejects when the answer does not come in 10 s. */
export function ask(port: number, { method = 'GET', path, from, token, body }: Asking): Promise<Asked> {
  const headers: Record<string, string> = { 'x-forwarded-for': from };
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  return new Promise((resolve, reject) => {
    const sent = request({ agent, host: '127.0.0.1', port, method, path, headers, timeout: HANGS_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        const isProblem = response.headers['content-type'] === 'application/problem+json';
        const { code } = isProblem ? (JSON.parse(text) as { code: string }) : { code: '' };
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text, code });
      });
    });
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${path} hangs`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Closes the connections. */
export function closeAsking(): void {
  agent.destroy();
}
