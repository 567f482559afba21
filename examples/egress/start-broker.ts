import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { CERTIFICATE_TIMES } from '../../operator/injection/certificates.ts';
import { makeAuthority, makeLeaf } from '../../operator/injection/certificates-x509.ts';

/** A broker on the loopback. */
export interface StandInBroker {
  readonly url: string;
  /** The authority that vouches for it, PEM. */
  readonly ca: string;
  close(): void;
}

/** Starts a broker that knows one API key and answers every third request 429 with Retry-After: 1. */
export async function startBroker(apiKey: string): Promise<StandInBroker> {
  const authority = await makeAuthority(Date.now(), CERTIFICATE_TIMES);
  const leaf = await makeLeaf(authority, ['localhost'], Date.now(), CERTIFICATE_TIMES);
  let requests = 0;
  const server = createServer({ cert: leaf.certificate, key: leaf.privateKey }, (request, answer) => {
    const say = (status: number, body: object): void => {
      answer.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
    };
    if (request.headers['x-mbx-apikey'] !== apiKey) say(401, { msg: 'API-key format invalid.' });
    else if (++requests % 3 === 0) {
      answer.setHeader('retry-after', '1');
      say(429, { msg: 'Too many requests.' });
    } else say(200, { method: request.method, path: request.url, request: requests });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    ca: authority.certificate,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
