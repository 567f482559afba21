import { Agent, type RequestOptions, request } from 'node:https';
import type { TLSSocket } from 'node:tls';

/** What an https request came back with. */
export interface TlsAnswer {
  readonly status: number;
  readonly body: string;
  /** Serial number of the certificate that was shown, hex. */
  readonly certificate: string;
  readonly protocol: string | null;
}

/** One GET of the loopback over TLS, by default on a connection of its own. Rejects with the system's or OpenSSL's error. */
export function getTls(port: number, ca: string, options: RequestOptions = {}): Promise<TlsAnswer> {
  const more = { host: '127.0.0.1', port, path: '/', servername: 'localhost', ca, agent: false, ...options };
  return new Promise((resolve, reject) => {
    const sent = request(more, (response) => {
      const socket = response.socket as TLSSocket;
      const certificate = socket.getPeerCertificate().serialNumber;
      const protocol = socket.getProtocol();
      let body = '';
      response.setEncoding('latin1');
      response.on('data', (text) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body, certificate, protocol }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** Keeps connections open, each for one request at a time. */
export function keepAliveAgent(ca: string): Agent {
  return new Agent({ keepAlive: true, ca, servername: 'localhost' });
}
