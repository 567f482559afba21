import type { ServerOpts, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';

/** A certificate chain, the server's own first, and its private key; PEM. */
export interface CertificatePair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Why a client and we did not come to speak TLS. `left`: it closed before, as probes of load balancers do. */
export type HandshakeFailure =
  | 'no_certificate'
  | 'plain_http'
  | 'old_version'
  | 'no_common_protocol'
  | 'refused_by_client'
  | 'timeout'
  | 'left'
  | 'other';

/** What a port that speaks TLS needs from its owner. */
export interface TlsListening {
  readonly onHandshakeFailure: (reason: HandshakeFailure, peer: string) => void;
  /** Milliseconds that a handshake may take; default 10 s, as long as a request's head. */
  readonly handshakeMs?: number;
}

const HANDSHAKE_MS = 10_000;

/**
 * What every connection is made with. TLS 1.3 alone (RFC 8446): no renegotiation, no compression, forward secrecy always. Session
 * tickets are Node's: their key lives in this process until the certificate changes, and a resumed session has keys of its own; there
 * is no early data, which could be replayed.
 */
const CONTEXT = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;

/** Speaks TLS on a port, with one certificate for every name; HTTP/1.1 is all that it offers (RFC 7301). */
export class TlsListener {
  /** Does not listen: it is given connections. Each whose handshake is done is its `secureConnection`. */
  readonly server: Server;
  readonly #connections = new Set<Socket>();
  #hasCertificate = false;

  constructor(
    listening: ServerOpts,
    { onHandshakeFailure, handshakeMs = HANDSHAKE_MS }: TlsListening,
    onConnection: (socket: Socket, tcp: Socket) => void,
  ) {
    const options = { ...listening, ...CONTEXT, ALPNProtocols: ['http/1.1'], handshakeTimeout: handshakeMs };
    // In the middle of a handshake, whoever ends one side has left.
    this.server = createServer({ ...options, allowHalfOpen: false }, (socket) => {
      socket.allowHalfOpen = listening.allowHalfOpen ?? false;
      resettable(socket);
      socket.on('error', () => socket.destroy()); // Node reports records that are broken, and leaves the connection open
      onConnection(socket, tcpOf(socket));
    });
    this.server.on('tlsClientError', (error, socket) => {
      const peer = socket.remoteAddress ?? '';
      socket.destroy();
      onHandshakeFailure(this.#hasCertificate ? reasonOf(error) : 'no_certificate', peer);
    });
  }

  /** Begins the handshake on a connection that was let in. */
  begin(tcp: Socket): void {
    this.#connections.add(tcp);
    tcp.on('close', () => this.#connections.delete(tcp));
    this.server.emit('connection', tcp);
  }

  /** Handshakes that begin from now on show this certificate; connections that are open keep theirs. Throws OpenSSL's error. */
  use({ cert, key }: CertificatePair): void {
    this.server.setSecureContext({ ...CONTEXT, cert, key });
    this.#hasCertificate = true;
  }

  /** Cuts what is open, handshakes under way included. */
  cut(): void {
    for (const tcp of this.#connections) tcp.destroy();
  }
}

/**
 * A TLSSocket of Node throws when it is to reset its connection. It must: whoever does not look for close_notify would take a body that
 * was cut, and has no other end than the connection's, for whole.
 */
function resettable(socket: TLSSocket): void {
  const tcp = tcpOf(socket);
  socket.resetAndDestroy = () => {
    if (tcp !== socket) tcp.resetAndDestroy();
    return socket.destroy();
  };
}

function tcpOf(socket: TLSSocket): Socket {
  const { _parent: tcp } = socket as TLSSocket & { readonly _parent?: Socket };
  return tcp ?? socket;
}

const REASONS: Readonly<Record<string, HandshakeFailure>> = {
  ERR_TLS_HANDSHAKE_TIMEOUT: 'timeout',
  ERR_SSL_HTTP_REQUEST: 'plain_http',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'old_version',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'no_common_protocol',
  ECONNRESET: 'left',
  EPIPE: 'left',
};

function reasonOf({ code = '' }: NodeJS.ErrnoException): HandshakeFailure {
  return REASONS[code] ?? (code.includes('_ALERT_') ? 'refused_by_client' : 'other');
}
