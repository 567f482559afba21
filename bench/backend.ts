import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Child } from './children.ts';
import { freePort, type Lab } from './lab.ts';
import { untilReady } from './probe.ts';
import { LOAD_CORE } from './proc-readings.ts';

const ORDERS = JSON.stringify({
  orders: [
    { id: 1, symbol: 'AAPL', qty: 100, side: 'buy', state: 'open' },
    { id: 2, symbol: 'MSFT', qty: 50, side: 'sell', state: 'filled' },
  ],
});

/** The application behind every proxy: HAProxy, which answers every request with 140 bytes of JSON. */
export interface Backend {
  readonly child: Child;
  readonly port: number;
}

/** Starts the backend on the load's core. */
export async function startBackend(lab: Lab): Promise<Backend> {
  const port = await freePort();
  const file = join(lab.scratch, 'backend.cfg');
  writeFileSync(
    file,
    `global
  nbthread 1
defaults
  mode http
  timeout client 600s
  timeout server 600s
  timeout connect 5s
frontend backend
  bind 127.0.0.1:${port}
  http-request return status 200 content-type application/json string "${ORDERS.replaceAll('"', '\\"')}"
`,
  );
  const child = lab.children.start('backend', LOAD_CORE, 'haproxy', ['-db', '-f', file]);
  await untilReady(child, { port, path: '/orders' });
  return { child, port };
}
