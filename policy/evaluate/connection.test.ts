import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionSettings } from '../bundle/types.ts';
import { PortcullisError } from '../errors.ts';
import { resolveConnection, type Speaker } from './connection.ts';

type Said = Partial<Pick<ConnectionSettings, 'store' | 'clientIp'>>;

const hops = (trustedHops: number, ...trustedProxies: string[]) => ({ clientIp: { trustedHops, trustedProxies } });
const store = (host: string) => ({ store: { redisUrl: `redis://${host}` } });
const speaker = (name: string, said: Said, defaults: ConnectionSettings['defaults']): Speaker => ({
  namespace: 'shop',
  name,
  store: null,
  clientIp: null,
  ...said,
  defaults,
});
const ofTheOperator = { ...store('operator'), ...hops(7) };
const none = { store: null, ...hops(0) };

const table: readonly [name: string, access: Said, limits: Said | null, host: string, trustedHops: number][] = [
  ['nobody', {}, {}, 'operator', 7],
  ['nobody, no RateLimitPolicy', {}, null, 'operator', 7],
  ['the AccessPolicy', { ...store('a'), ...hops(1) }, {}, 'a', 1],
  ['the AccessPolicy, no RateLimitPolicy', { ...store('a'), ...hops(1) }, null, 'a', 1],
  ['the RateLimitPolicy', {}, { ...store('l'), ...hops(2) }, 'l', 2],
  ['one each', store('a'), hops(2), 'a', 2],
  ['the other each', hops(1), store('l'), 'l', 1],
  ['both the same', { ...store('x'), ...hops(1) }, { ...store('x'), ...hops(1) }, 'x', 1],
  ['both, another store', store('a'), store('l'), 'l', 7],
  [
    'both, the proxies in another order',
    hops(1, '10.0.0.0/8', '::1/128'),
    hops(1, '::1/128', '10.0.0.0/8'),
    'operator',
    1,
  ],
  ['no hops, said, is said', hops(0), {}, 'operator', 0],
];

for (const [name, access, limits, host, trustedHops] of table) {
  test(`who says what: ${name}`, () => {
    const found = resolveConnection(
      speaker('orders', access, ofTheOperator),
      limits && speaker('standard', limits, ofTheOperator),
    );
    assert.deepEqual([found.store?.redisUrl, found.clientIp.trustedHops], [`redis://${host}`, trustedHops]);
  });
}

test('the defaults beside the limits are taken, of an operator without any too', () => {
  const [access, limits] = [speaker('orders', {}, ofTheOperator), speaker('standard', {}, none)];
  assert.deepEqual(resolveConnection(access, limits), none);
});

for (const [one, other] of [
  [hops(1), hops(2)],
  [hops(1), hops(0)],
  [hops(1, '10.0.0.0/8'), hops(1)],
] as const) {
  test(`two that differ are refused, both named: ${JSON.stringify([one, other])}`, () => {
    assert.throws(
      () => resolveConnection(speaker('orders', one, none), speaker('standard', other, none)),
      (error) =>
        error instanceof PortcullisError &&
        error.code === 'bundle_invalid' &&
        /^AccessPolicy shop\/orders and RateLimitPolicy shop\/standard differ in spec\.clientIP/.test(error.message),
    );
  });
}
