import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type { ForwardedProbe } from '../../runtime/sidecar-arguments.ts';

/** What the kubelet is told. */
export interface ProbeResult {
  /** The application's own status; 503 when there was none, 504 when it took too long. */
  readonly status: number;
  readonly text: string;
}

const APPLICATION = '127.0.0.1';
/** No kubelet waits so long; what a template says may be more than a timer can be set to. */
const LONGEST_SECONDS = 3_600;

/**
 * Sends one probe to the application as the kubelet would (its http prober: certificates unchecked, Host the pod's address), on a
 * connection of its own. Never rejects.
 * @param podAddress which the kubelet dialled
 */
export function forwardProbe(probe: ForwardedProbe, podAddress: string): Promise<ProbeResult> {
  const signal = AbortSignal.timeout(Math.min(probe.timeoutSeconds, LONGEST_SECONDS) * 1_000);
  const asked = probe.type === 'http' ? askHttp(probe, podAddress, signal) : dial(probe.port, signal);
  return asked.catch((error: NodeJS.ErrnoException) =>
    signal.aborted
      ? { status: 504, text: `the application did not answer within ${probe.timeoutSeconds} s` }
      : { status: 503, text: `the application cannot be asked: ${error.code ?? error.message}` },
  );
}

async function askHttp(
  probe: Extract<ForwardedProbe, { type: 'http' }>,
  podAddress: string,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const { port, path, headers } = probe;
  const address = podAddress.replace(/^::ffff:/, '');
  const host = address.includes(':') ? `[${address}]` : address;
  const options: RequestOptions & { rejectUnauthorized: boolean } = {
    host: APPLICATION,
    port,
    path: path.startsWith('/') ? path : `/${path}`,
    headers: [
      ...unlessNamed(headers, 'Host', `${host}:${port}`),
      ...unlessNamed(headers, 'User-Agent', 'kube-probe/portcullis'),
      ...unlessNamed(headers, 'Accept', '*/*'),
      ...headers.flat(),
      'Connection',
      'close',
    ],
    agent: false,
    signal,
    rejectUnauthorized: false,
  };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const send = probe.scheme === 'HTTPS' ? httpsRequest : httpRequest;
    const gone = () => reject(new Error('it ended the connection without an answer'));
    send(options, resolve).on('error', reject).on('close', gone).end();
  });
  response.on('error', () => {});
  response.destroy();
  const status = response.statusCode ?? 503;
  return { status, text: `the application answered ${status}` };
}

function unlessNamed(headers: readonly (readonly [string, string])[], name: string, value: string): string[] {
  return headers.some(([given]) => given.toLowerCase() === name.toLowerCase()) ? [] : [name, value];
}

function dial(port: number, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: APPLICATION, port, signal }, () => {
      socket.destroy();
      resolve({ status: 200, text: 'the application accepts connections' });
    });
    socket.on('error', reject);
  });
}
