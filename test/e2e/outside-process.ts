// Servers outside the cluster, in the node's network: an issuer of tokens and a broker, both with TLS. Started by outside.ts; one JSON
// command a line on standard input, one JSON answer a line on standard output.
import { createInterface } from 'node:readline';
import { startOidcIssuer } from '../support/oidc-issuer.ts';
import { startTlsServer } from '../support/tls-server.ts';
import type { BrokerRequest, OutsideCommand, OutsideServers } from './outside.ts';

// Standard output is for answers; oidc-provider writes its notices there.
console.info = console.error;

const ANY = '0.0.0.0';
const [, , issuerHost = '', brokerHost = ''] = process.argv;

const issuer = await startOidcIssuer('first', issuerHost, ANY);
const seen: BrokerRequest[] = [];
let tooMany = 0;
const broker = await startTlsServer(
  brokerHost,
  (asked, answer) => {
    const { method = '', url = '', headers } = asked;
    const limited = tooMany > 0;
    if (limited) tooMany--;
    seen.push({ method, url, apiKey: headers['x-mbx-apikey'] as string | undefined, at: Date.now(), limited });
    asked.resume();
    const more = limited ? { 'retry-after': '1' } : {};
    answer.writeHead(limited ? 429 : 200, { 'content-type': 'application/json', ...more });
    answer.end(JSON.stringify({ url, limited }));
  },
  ANY,
);

const servers: OutsideServers = {
  issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri, audience: issuer.audience, ca: issuer.ca },
  broker: { url: `https://${brokerHost}:${broker.port}`, ca: broker.ca },
};
const say = (answer: unknown): void => void process.stdout.write(`${JSON.stringify(answer)}\n`);
say(servers);

async function run(command: OutsideCommand): Promise<unknown> {
  switch (command.do) {
    case 'token':
      return issuer.token();
    case 'rotate':
      return issuer.rotate(command.kid) ?? null;
    case 'limitNext':
      tooMany = command.count;
      return null;
    case 'brokerSaw':
      return seen.splice(0);
  }
}

createInterface({ input: process.stdin })
  .on('line', async (line) => say(await run(JSON.parse(line))))
  .on('close', () => process.exit(0));
