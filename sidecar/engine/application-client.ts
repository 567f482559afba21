import { type IncomingMessage, request } from 'node:http';
import type { HostPort } from '../../runtime/sidecar-arguments.ts';
import type { UpstreamFailure } from './rescue.ts';
import type { UpstreamTimeouts } from './upstream-connection.ts';

/** What the application answered; `json` is the text of its body, empty or JSON. */
export interface ApplicationAnswer {
  readonly status: number;
  readonly json: string;
}

/** Asks the application behind a port something on our own account. */
export interface Application {
  /** POSTs JSON; `headers` flat, besides those of the body. Follows nothing; never rejects. */
  postJson(path: string, json: string, headers: readonly string[]): Promise<ApplicationAnswer | UpstreamFailure>;
}

/** No more is read of an answer. */
const MAX_ANSWER_BYTES = 64 * 1024;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The application at an address, one connection a question. `timeouts` is asked at each. */
export function applicationAt({ host, port }: HostPort, timeouts: () => UpstreamTimeouts): Application {
  return {
    async postJson(path, json, headers) {
      const { connectMs, requestMs } = timeouts();
      const signal = AbortSignal.timeout(connectMs + requestMs);
      const body = Buffer.from(json);
      const fields = [...headers, 'content-type', 'application/json', 'content-length', String(body.length)];
      let connected = false;
      try {
        const response = await new Promise<IncomingMessage>((resolve, reject) => {
          const asked = request({ host, port, path, method: 'POST', headers: fields, agent: false, signal }, resolve);
          const unanswered = setTimeout(() => asked.destroy(timedOut()), connectMs);
          asked.on('socket', (socket) =>
            socket.once('connect', () => {
              connected = true;
              clearTimeout(unanswered);
            }),
          );
          asked.on('close', () => clearTimeout(unanswered));
          asked.on('error', reject);
          asked.on('upgrade', (_, socket) => {
            socket.destroy();
            reject(Object.assign(new Error('it switched protocols'), { code: 'HPE_UPGRADE' }));
          });
          asked.end(body);
        });
        return { status: response.statusCode ?? 0, json: utf8.decode(await bodyOf(response)) };
      } catch (error) {
        const { code = '' } = error as NodeJS.ErrnoException;
        if (signal.aborted || code === 'ETIMEDOUT') return 'upstream_timeout';
        if (!connected) return 'upstream_connect';
        return code.startsWith('HPE_') || code.startsWith('ERR_') ? 'upstream_protocol' : 'upstream_reset';
      }
    },
  };
}

function timedOut(): Error {
  return Object.assign(new Error('no connection'), { code: 'ETIMEDOUT' });
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw Object.assign(new Error('more than 64 KiB'), { code: 'HPE_TOO_LARGE' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
