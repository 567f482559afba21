import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { CERTIFICATE_TIMES } from '../../operator/injection/certificates.ts';
import { makeAuthority, makeLeaf } from '../../operator/injection/certificates-x509.ts';

/** An https server with a certificate for one name, and the authority that vouches for it. */
export interface TlsServer {
  readonly port: number;
  /** PEM. */
  readonly ca: string;
  /** How many are open. */
  connections(): Promise<number>;
  close(): Promise<void>;
}

/** Starts an https server on a free port of `address`, by default of the loopback. */
export async function startTlsServer(
  name: string,
  listener: RequestListener,
  address = '127.0.0.1',
): Promise<TlsServer> {
  const authority = await makeAuthority(Date.now(), CERTIFICATE_TIMES);
  const leaf = await makeLeaf(authority, [name], Date.now(), CERTIFICATE_TIMES);
  const server = createServer({ cert: leaf.certificate, key: leaf.privateKey }, listener);
  server.listen(0, address);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    ca: authority.certificate,
    connections: promisify(server.getConnections.bind(server)),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
