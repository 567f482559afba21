import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { Market } from './market.ts';
import { Orders } from './orders.ts';
import { seededRandom } from './random.ts';
import { type ApiAnswer, type Desk, findRoute, notFound } from './routes.ts';
import { seedUsers } from './users.ts';

/** Where the API listens and what it takes for the time. */
export interface TradingApiOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Seed of the prices. Default 1: the same in every run. */
  readonly seed?: number;
  /** Epoch milliseconds. Default the system's clock. */
  readonly now?: () => number;
}

/** A running trading API. */
export interface TradingApi {
  readonly port: number;
  /** Ends every connection and stops listening. */
  close(): Promise<void>;
}

const TICK_MS = 200;
const MAX_BODY_BYTES = 64 * 1024;

/**
 * Starts the demo's application: orders, positions, users and candles over HTTP, ticks over a WebSocket at /ticks. It has
 * no security of its own; it believes the identity headers of the sidecar in front of it. Everything is in memory.
 */
export async function startTradingApi(options: TradingApiOptions): Promise<TradingApi> {
  const now = options.now ?? Date.now;
  const market = new Market(seededRandom(options.seed ?? 1));
  const desk: Desk = { users: seedUsers(), market, orders: new Orders(market) };
  seedOrders(desk, now());

  const server = createServer((request, response) => {
    answer(request, desk, now()).then(
      (reply) => send(response, reply),
      (error: unknown) => send(response, { status: 500, body: { error: String(error) } }),
    );
  });
  const sockets = new WebSocketServer({ noServer: true, clientTracking: true });
  server.on('upgrade', (request, socket, head) => {
    if (pathOf(request) !== '/ticks') {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => greet(client, desk, now()));
  });
  const ticking = setInterval(() => {
    const tick = JSON.stringify(market.tick(now()));
    for (const client of sockets.clients) client.send(tick);
  }, TICK_MS);

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      clearInterval(ticking);
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function seedOrders({ users, orders, market }: Desk, now: number): void {
  for (const user of users.values()) {
    if (user.role === 'viewer') continue;
    for (const [at, symbol] of market.symbols.entries()) {
      orders.place(user.id, { symbol, side: 'buy', quantity: 5 + at }, now);
    }
  }
}

async function answer(request: IncomingMessage, desk: Desk, now: number): Promise<ApiAnswer> {
  const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
  const route = findRoute(method, pathOf(request));
  if (route === null) return notFound;
  const body = await readJson(request);
  if (body === 'too large') return { status: 413, body: { error: 'at most 64 KiB' } };
  if (body === 'not json') return { status: 400, body: { error: 'the body is not JSON' } };
  return route.handle(
    {
      subject: request.headers['x-portcullis-subject']?.toString() ?? null,
      roles: (request.headers['x-portcullis-roles']?.toString() ?? '').split(',').map((role) => role.trim()),
      id: route.id,
      query: new URLSearchParams(request.url?.split('?', 2)[1]),
      body: body.value,
      now,
    },
    desk,
  );
}

async function readJson(request: IncomingMessage): Promise<{ readonly value: unknown } | 'too large' | 'not json'> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) return 'too large';
    chunks.push(chunk);
  }
  if (bytes === 0) return { value: undefined };
  try {
    return { value: JSON.parse(Buffer.concat(chunks).toString()) as unknown };
  } catch {
    return 'not json';
  }
}

function send(response: ServerResponse, { status, body }: ApiAnswer): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}

/** A client that has just connected sees every price once, then whatever changes. */
function greet(client: WebSocket, { market }: Desk, now: number): void {
  client.on('error', () => client.terminate());
  const time = new Date(now).toISOString();
  for (const symbol of market.symbols)
    client.send(JSON.stringify({ symbol, price: market.price(symbol), size: 0, time }));
}

function pathOf(request: IncomingMessage): string {
  return request.url?.split('?', 1)[0] ?? '/';
}
