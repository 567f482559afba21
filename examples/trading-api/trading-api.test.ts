import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { startTradingApi, type TradingApi } from './start-trading-api.ts';

describe('trading API', () => {
  let api: TradingApi;
  before(async () => {
    api = await startTradingApi({ host: '127.0.0.1', port: 0, now: () => 1_800_000_000_000 });
  });
  after(() => api.close());

  async function call(
    method: string,
    path: string,
    subject = '',
    body?: unknown,
  ): Promise<{ status: number; json: unknown }> {
    const answer = await fetch(`http://127.0.0.1:${api.port}${path}`, {
      method,
      headers: subject === '' ? {} : { 'x-portcullis-subject': subject, 'x-portcullis-roles': 'trader' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, json: await answer.json() };
  }

  const cases: readonly (readonly [string, string, string, unknown, number])[] = [
    ['GET', '/healthz', '', undefined, 200],
    ['POST', '/auth/register', '', { user: 'new', password: 'x' }, 201],
    ['POST', '/auth/register', '', {}, 400],
    ['POST', '/auth/login', '', { user: 'tom', password: 'x' }, 200],
    ['POST', '/auth/login', '', { user: 'nobody', password: 'x' }, 401],
    ['POST', '/auth/refresh', '', { session: 's' }, 200],
    ['GET', '/users/me', 'tom', undefined, 200],
    ['GET', '/users/me', '', undefined, 401],
    ['GET', '/users/vera', 'tom', undefined, 200],
    ['GET', '/users/nobody', 'tom', undefined, 404],
    ['GET', '/admin/users', 'ada', undefined, 200],
    ['GET', '/orders?limit=2', 'tom', undefined, 200],
    ['GET', '/orders/ord-000001', 'tom', undefined, 200],
    ['POST', '/orders', 'tom', { symbol: 'AAPL', side: 'buy', quantity: 3 }, 201],
    ['POST', '/orders', 'tom', { symbol: 'NONE', side: 'buy', quantity: 3 }, 400],
    ['POST', '/orders', 'tom', { symbol: 'AAPL', side: 'buy', quantity: -1 }, 400],
    ['GET', '/positions', 'tom', undefined, 200],
    ['GET', '/candles?symbol=ETH-USD', '', undefined, 200],
    ['GET', '/candles?symbol=NONE', '', undefined, 400],
    ['DELETE', '/orders', 'tom', undefined, 404],
    ['DELETE', '/orders/ord-000001', 'tina', undefined, 404],
    ['DELETE', '/orders/ord-000001', 'tom', undefined, 200],
    ['DELETE', '/orders/ord-000001', 'tom', undefined, 404],
    ['POST', '/internal/verify', '', { email: 'tom@trading.example', password: 'tom-Demo-1' }, 200],
    ['POST', '/internal/verify', '', { username: 'tom', password: 'tina-Demo-1' }, 401],
    ['POST', '/internal/register', '', { username: 'tom', password: 'x' }, 409],
    ['POST', '/internal/register', '', { username: 'new', password: 'x' }, 201],
    ['GET', '/nowhere', '', undefined, 404],
  ];
  for (const [method, path, subject, body, status] of cases) {
    it(`${method} ${path}${subject === '' ? '' : ` as ${subject}`}: ${status}`, async () => {
      assert.equal((await call(method, path, subject, body)).status, status);
    });
  }

  it('lists a trader their own orders, newest first, and adds them up', async () => {
    const { json } = await call('POST', '/orders', 'tina', { symbol: 'MSFT', side: 'sell', quantity: 2 });
    assert.deepEqual((await call('GET', '/orders?limit=1', 'tina')).json, [json]);
    const positions = (await call('GET', '/positions', 'tina')).json as { symbol: string; quantity: number }[];
    assert.deepEqual(
      positions.map(({ symbol, quantity }) => `${quantity} ${symbol}`),
      ['6 MSFT', '7 AAPL', '6 ETH-USD', '5 BTC-USD'],
    );
  });

  it('sends every price at once and then ticks', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${api.port}/ticks`);
    const symbols: string[] = [];
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('message', (data) => {
        symbols.push(JSON.parse(String(data)).symbol);
        if (symbols.length === 5) resolve();
      });
    });
    socket.close();
    assert.deepEqual(symbols.slice(0, 4), ['BTC-USD', 'ETH-USD', 'AAPL', 'MSFT']);
  });
});
