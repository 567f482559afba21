import { createServer, type TLSSocket } from 'node:tls';
import { CERTIFICATE_TIMES } from '../../operator/injection/certificates.ts';
import { makeAuthority, makeLeaf } from '../../operator/injection/certificates-x509.ts';
import { type Message, parseMessages } from './http-messages.ts';
import { serve } from './tcp-server.ts';

/** What a broker does with a request: bytes to answer with, or something worse. */
export type BrokerBehaviour = (request: Message, socket: TLSSocket) => void;

/** A broker on the loopback that speaks TLS and writes down what it is sent. */
export interface RecordingBroker extends AsyncDisposable {
  readonly port: number;
  /** The authority that vouches for it, PEM. */
  readonly ca: string;
  /** Every complete request, in order of arrival. */
  readonly requests: readonly Message[];
  /** TCP connections accepted so far. */
  readonly connections: number;
  /** Names that clients asked for in their handshakes (SNI). */
  readonly serverNames: readonly (string | false)[];
  /** Requests are met with these, one after the other; then with 200. */
  behave(...behaviours: readonly BrokerBehaviour[]): void;
  /** Hands over the next connection as it comes. */
  onConnection(take: (socket: TLSSocket) => void): void;
}

/** Who the broker says it is, and when that was signed (a certificate holds 7 days). Default: broker.example, now. */
export interface BrokerIdentity {
  readonly name?: string;
  readonly signedAt?: number;
}

/** Answers with a status and headers, and a body. */
export function answer(status: number, headers: Readonly<Record<string, string>> = {}, body = ''): BrokerBehaviour {
  const lines = Object.entries({ 'content-length': String(body.length), ...headers });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return (_, socket) => void socket.write(`HTTP/1.1 ${status} Said\r\n${head}\r\n${body}`, 'latin1');
}

/** Closes without an answer. */
export const hangUp: BrokerBehaviour = (_, socket) => socket.destroy();

/** Says nothing. */
export const silent: BrokerBehaviour = () => {};

/** Starts a broker. */
export async function recordingBroker({
  name = 'broker.example',
  signedAt = Date.now(),
}: BrokerIdentity = {}): Promise<RecordingBroker> {
  const authority = await makeAuthority(signedAt, CERTIFICATE_TIMES);
  const leaf = await makeLeaf(authority, [name], signedAt, CERTIFICATE_TIMES);
  const requests: Message[] = [];
  const serverNames: (string | false)[] = [];
  let behaviours: BrokerBehaviour[] = [];
  let takeNext: ((socket: TLSSocket) => void) | null = null;
  const tls = createServer({ cert: leaf.certificate, key: leaf.privateKey }, (socket) => {
    serverNames.push(socket.servername ?? false);
    if (takeNext !== null) {
      takeNext(socket);
      takeNext = null;
      return;
    }
    let rest = '';
    socket.on('error', () => {});
    socket.on('data', (data) => {
      const parsed = parseMessages(rest + data.toString('latin1'), { closed: false });
      rest = parsed.rest;
      for (const request of parsed.messages) {
        requests.push(request);
        (behaviours.shift() ?? answer(200, {}, request.startLine.startsWith('HEAD ') ? '' : 'ok'))(request, socket);
      }
    });
  });
  const server = await serve(tls);
  return {
    port: server.port,
    ca: authority.certificate,
    requests,
    serverNames,
    get connections() {
      return server.accepted;
    },
    behave: (...next) => {
      behaviours = [...next];
    },
    onConnection: (take) => {
      takeNext = take;
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
}

/** A port of the loopback that nothing listens on. */
export async function closedPort(): Promise<number> {
  const server = await serve(createServer());
  const { port } = server;
  await server.close();
  return port;
}
