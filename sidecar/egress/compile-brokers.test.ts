import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EgressConfig } from '../../policy/bundle/egress.ts';
import { exampleLimitsBundle } from '../../policy/bundle/testing/example-bundles.ts';
import { compileBrokers } from './compile-brokers.ts';

const config: EgressConfig = {
  name: 'binance',
  origin: 'https://api.binance.com',
  allow: [
    { methods: ['GET', 'POST'], paths: ['/api/v3/order', '/api/v3/orders/{id}'] },
    { methods: [], paths: ['/public/**'] },
  ],
  rate: { limit: 1200, windowMs: 60_000, burst: 0 },
  waitMs: 0,
  retry: null,
  circuitBreaker: null,
  credential: { header: 'x-mbx-apikey', value: 'k' },
  ca: null,
  allowPrivateAddresses: false,
};

function compile(change: Partial<EgressConfig> = {}) {
  const found = compileBrokers({ ...exampleLimitsBundle, egress: [{ ...config, ...change }] }).get('binance');
  assert.ok(found);
  return found;
}

describe('what a broker may be asked', () => {
  const rows: readonly [request: string, allowed: boolean][] = [
    ['GET /api/v3/order', true],
    ['HEAD /api/v3/order', true],
    ['POST /api/v3/order', true],
    ['DELETE /api/v3/order', false],
    ['get /api/v3/order', false],
    ['GET /api/v3/order/', false],
    ['GET /API/v3/order', false],
    ['GET /api/v3/orders/17', true],
    ['GET /api/v3/orders/17/fills', false],
    ['GET /sapi/v1/capital/withdraw/apply', false],
    ['PATCH /public/x/y', true],
    ['GET /', false],
  ];
  for (const [request, allowed] of rows) {
    it(`${request}: ${allowed ? 'yes' : 'no'}`, () => {
      const [method = '', path = ''] = request.split(' ');
      assert.equal(compile().allows(method, path), allowed);
    });
  }
});

describe('how it is counted', () => {
  it('by a window, unless there is a burst', () => {
    const { plan, key } = compile().demand ?? assert.fail();
    assert.deepEqual(
      [plan.algorithm, plan.limit, plan.burst, plan.onStoreFailure],
      ['SlidingWindow', 1200, 0, 'LocalShare'],
    );
    assert.equal(key, 'trading/standard/~egress/binance');
    const bucket = compile({ rate: { limit: 10, windowMs: 1000, burst: 20 } }).demand?.plan;
    assert.deepEqual([bucket?.algorithm, bucket?.burst], ['TokenBucket', 20]);
  });

  it('not at all where it is unlimited', () => assert.equal(compile({ rate: null }).demand, null));
});

describe('refuses a bundle that no compiler wrote', () => {
  const rows: readonly [name: string, change: Partial<EgressConfig>][] = [
    ['http', { origin: 'http://api.binance.com' }],
    ['a path', { origin: 'https://api.binance.com/v3' }],
    ['a user', { origin: 'https://u@api.binance.com' }],
    ['no URL', { origin: 'api.binance.com' }],
    ['a pattern that is none', { allow: [{ methods: [], paths: ['api'] }] }],
    ['a credential that ends its line', { credential: { header: 'x', value: 'a\r\nhost: evil' } }],
    ['a name that does', { credential: { header: 'x: y\r\n', value: 'a' } }],
  ];
  for (const [name, change] of rows) {
    it(name, () => assert.throws(() => compile(change), { code: 'bundle_invalid' }));
  }
});
