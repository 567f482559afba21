import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { testAuthority } from '../support/certificates.ts';
import { issuingPolicy } from './access-logins.ts';
import { serviceAddress } from './look.ts';
import type { Stage } from './scenario.ts';
import { app, calmKeys, redis, service } from './trading.ts';
import { until, type World } from './world.ts';

/** What the browser is to visit. */
export interface BrowserVisit {
  readonly origin: string;
  readonly host: string;
  /** Where the host is. */
  readonly address: string;
  /** PEM of the host's own certificate. */
  readonly certificate: string;
  readonly credentials: object;
}

/** What it saw; statuses of /orders at each point, and of the token endpoints. */
export interface BrowserVisited {
  readonly statuses: Readonly<
    Record<
      'before' | 'login' | 'loggedIn' | 'expired' | 'refresh' | 'refreshed' | 'logout' | 'loggedOut' | 'refreshAgain',
      number
    >
  >;
  /** Of document.cookie. */
  readonly readable: string;
  readonly cookies: readonly string[];
  /** Whether a WebSocket was let in. */
  readonly tick: boolean;
  readonly expiredAfterSeconds: number;
}

const HOST = 'orders.trading.example';

/** Cookies in a real browser, over the TLS that the sidecars end, at two pods. */
export async function browserLogin({ world, scenario, ready }: Stage): Promise<void> {
  await scenario('cookies in a browser over TLS', async (namespace) => {
    const { cert, key } = await (await testAuthority()).issue(HOST);
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: { name: 'web-tls' },
      stringData: { 'tls.crt': cert, 'tls.key': key },
    };
    await world.apply(
      namespace,
      ...redis(),
      secret,
      calmKeys(),
      issuingPolicy('Cookie'),
      service(
        'web',
        { 'access-policy': 'orders', 'issue-tokens': 'true', 'tls-secret': 'web-tls' },
        { ports: [{ name: 'https', port: 443, targetPort: 'http' }] },
      ),
      app('web', undefined, 2),
    );
    await ready(namespace, 'app=web', 2);
    const [address = ''] = (await serviceAddress(world, namespace, 'web')).split(':');
    await until('the Service answers', async () => (await world.client.dial({ host: address, port: 443 })) === 'open');
    const credentials = { email: 'tom@trading.example', password: 'tom-Demo-1' };
    const visited = await visit(world, {
      origin: `https://${HOST}`,
      host: HOST,
      address,
      certificate: cert,
      credentials,
    });
    assert.deepEqual(visited.statuses, {
      before: 401,
      login: 200,
      loggedIn: 200,
      expired: 401,
      refresh: 200,
      refreshed: 200,
      logout: 204,
      loggedOut: 401,
      refreshAgain: 401,
    });
    assert.equal(visited.readable, '', 'no script reads them');
    assert.deepEqual(visited.cookies, [
      '__Host-access_token HttpOnly Secure Strict',
      '__Secure-refresh_token HttpOnly Secure Strict',
    ]);
    assert.ok(visited.tick);
    return `log-in, /orders, a WebSocket; expired after ${visited.expiredAfterSeconds.toFixed(0)} s (401), refreshed, logged out (401); ${visited.cookies.join(', ')}`;
  });
}

async function visit({ cluster }: World, wanted: BrowserVisit): Promise<BrowserVisited> {
  const [program = '', ...enter] = cluster.enter;
  const script = join(import.meta.dirname, 'browser-process.ts');
  const child = spawn(program, [...enter, process.execPath, script, JSON.stringify(wanted)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...cluster.env, HOME: process.env['HOME'] ?? '/tmp' },
    timeout: 90_000,
  });
  const [written, said] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  if (written === '') throw new Error(`the browser failed: ${said}`);
  return JSON.parse(written);
}
