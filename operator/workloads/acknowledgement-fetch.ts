import { Agent, get, type IncomingMessage } from 'node:http';
import type { SidecarStatus } from '../../runtime/sidecar-status.ts';
import { parseSidecarStatus } from './acknowledgement-status.ts';

/** Asks the sidecar at an address what it enforces. Rejects with an Error whose message is short and fit for a condition. */
export type FetchStatus = (address: string, port: number) => Promise<SidecarStatus>;

const TIMEOUT_MS = 2_000;
const MAX_BYTES = 256 * 1024;

/** Asks over HTTP: nothing is followed, 2 s for everything, 256 KiB at most. Quick rounds use one connection a pod. */
export function httpStatusFetcher(): { readonly fetch: FetchStatus; close(): void } {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 1, timeout: 10_000 });
  return { fetch: (address, port) => fetchStatus(agent, address, port), close: () => agent.destroy() };
}

async function fetchStatus(agent: Agent, host: string, port: number): Promise<SidecarStatus> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get({ agent, host, port, path: '/status', signal }, resolve)
        .on('error', reject)
        // An answer of 101 is no response and no error: without this it would be waited for for ever.
        .on('close', () => reject(new TypeError('no answer')));
    });
    return parseSidecarStatus(await bodyOf(response));
  } catch (error) {
    throw new Error(signal.aborted ? `no answer within ${TIMEOUT_MS / 1000} s` : reasonOf(error), { cause: error });
  }
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  if (response.statusCode !== 200) {
    response.destroy();
    throw new TypeError(`status ${response.statusCode}`);
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BYTES) {
      response.destroy();
      throw new TypeError(`more than ${MAX_BYTES / 1024} KiB`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The system's code, or what parsing said of our own checks; never the pod's words. */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof SyntaxError) return 'not JSON';
  return error instanceof TypeError ? message : (code ?? 'failed');
}
