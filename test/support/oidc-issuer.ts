import { generateKeyPairSync } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { request } from 'node:https';
import { Provider } from 'oidc-provider';
import { startTlsServer } from './tls-server.ts';

/** A real issuer, oidc-provider, with TLS. */
export interface OidcIssuer {
  readonly issuer: string;
  readonly jwksUri: string;
  readonly audience: string;
  /** PEM of the authority that vouches for it. */
  readonly ca: string;
  /** Requests for its JWKS so far. */
  readonly jwksRequests: number;
  /** An access token by the client credentials grant (RFC 6749 §4.4, RFC 9068). */
  token(): Promise<string>;
  /** From now on signs by a new key of this name, which nobody has seen; publishes those of `keep` beside it. */
  rotate(kid: string, keep?: readonly string[]): void;
  /** While false its JWKS answers 503. */
  publishes: boolean;
  close(): Promise<void>;
}

const AUDIENCE = 'https://api.trading.example';
const CLIENT = { client_id: 'bot', client_secret: 'a-secret-of-the-test' };

/** Starts it, signing by the key `kid`, under the name `host`. */
export async function startOidcIssuer(kid: string, host = 'localhost', address = '127.0.0.1'): Promise<OidcIssuer> {
  let listener: RequestListener = () => {};
  let jwksRequests = 0;
  const keys = new Map<string, object>();
  const server = await startTlsServer(
    host,
    (asked, answer) => {
      if (asked.url === '/jwks') {
        jwksRequests++;
        if (!issuer.publishes) return void answer.writeHead(503).end();
      }
      listener(asked, answer);
    },
    address,
  );
  const origin = `https://${host}:${server.port}`;
  const issuer: OidcIssuer = {
    issuer: origin,
    jwksUri: `${origin}/jwks`,
    audience: AUDIENCE,
    ca: server.ca,
    get jwksRequests() {
      return jwksRequests;
    },
    token: () => fetchToken(host, server.port, server.ca),
    rotate(name, keep = []) {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      keys.set(name, { ...privateKey.export({ format: 'jwk' }), kid: name, use: 'sig', alg: 'RS256' });
      const jwks = { keys: [name, ...keep].map((of) => keys.get(of)) };
      listener = new Provider(origin, configuration(jwks)).callback();
    },
    publishes: true,
    close: () => server.close(),
  };
  issuer.rotate(kid);
  return issuer;
}

function configuration(jwks: object): object {
  return {
    jwks,
    clients: [{ ...CLIENT, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
    cookies: { keys: ['unused'] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        getResourceServerInfo: () => ({
          scope: '',
          audience: AUDIENCE,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  };
}

async function fetchToken(servername: string, port: number, ca: string): Promise<string> {
  const body = new URLSearchParams({ grant_type: 'client_credentials', ...CLIENT }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const text = await new Promise<string>((resolve, reject) => {
    const to = { host: '127.0.0.1', servername, port, path: '/token', method: 'POST', ca };
    const asking = request({ ...to, headers: { ...headers, host: `${servername}:${port}` } }, (answer) => {
      answer.setEncoding('utf8');
      let read = '';
      answer.on('data', (chunk: string) => {
        read += chunk;
      });
      answer.once('end', () => resolve(read));
    });
    asking.once('error', reject);
    asking.end(body);
  });
  const { access_token: token } = JSON.parse(text) as { readonly access_token?: string };
  if (token === undefined) throw new Error(`the issuer gave no token: ${text}`);
  return token;
}
