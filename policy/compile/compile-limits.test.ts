import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeResource } from '../api/decode.ts';
import { LABELS } from '../api/names.ts';
import { formatPath } from '../api/problem.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import { API_VERSION } from '../api/resource.ts';
import { compileLimits } from './compile-limits.ts';
import type { References } from './references.ts';

const NOTHING: References = {
  keySets: [],
  secrets: [],
  namespaces: [],
  storeOverride: null,
  defaultStore: null,
  defaultClientIp: null,
};
const PEM = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';

function compile(spec: object, references: References = NOTHING) {
  const metadata = { namespace: 'orders', name: 'standard' };
  const decoded = decodeResource({ apiVersion: API_VERSION, kind: 'RateLimitPolicy', metadata, spec });
  if (!('resource' in decoded)) return { content: null, said: decoded.problems.map(({ message }) => message) };
  const { content, findings } = compileLimits(decoded.resource as RateLimitPolicy, references);
  const said = findings.map(({ severity, path, message }) => `${severity} ${formatPath(path)}: ${message}`);
  return { content, said };
}

const one = (limit: object, tiers: readonly object[] = []) => ({ tiers, limits: [{ name: 'l', ...limit }] });

describe('limits of a RateLimitPolicy', () => {
  it('have no members that an older sidecar would not know unless they are used', () => {
    const { content } = compile(one({ rate: '10/1m' }));
    assert.deepEqual(Object.keys(content!.limits[0]!), [
      ...['name', 'match', 'key', 'algorithm', 'rates', 'burst', 'onStoreFailure'],
    ]);
    assert.deepEqual(content!.limits[0]!.key, ['user']);
  });

  it('take cost, lane and every kind of key', () => {
    const lane = { lane: 'Reserved', match: { paths: ['/orders/{id}'], methods: ['DELETE'] } };
    const { content, said } = compile(one({ ...lane, cost: 5, rate: '10/1m', key: ['tier', 'rule', 'claim:desk'] }));
    assert.deepEqual(said, []);
    const { cost, lane: compiled, key } = content!.limits[0]!;
    assert.deepEqual([cost, compiled, key], [5, 'Reserved', ['tier', 'rule', 'claim:desk']]);
  });

  const wrong: readonly (readonly [name: string, spec: object, said: RegExp])[] = [
    [
      'a cost above the rate',
      one({ rate: '3/1m', cost: 4 }),
      /limits\[0\]\.rate: 3\/1m is less than one request costs \(4\).*write at least 4/,
    ],
    [
      'a cost above the rate of one tier',
      one({ rates: { anonymous: '3/1m', default: '9/1m' }, cost: 4 }),
      /rates\.anonymous: 3\/1m is less than one request costs/,
    ],
    [
      'a cost above the bucket',
      one({ rate: '9/1m', algorithm: 'TokenBucket', burst: 3, cost: 4 }),
      /burst of at least the cost/,
    ],
    ['a window of nothing', one({ rate: '10/0s' }), /write a rate such as 10\/1m/],
    ['no requests', one({ rate: '0/1m' }), /write a rate such as 10\/1m/],
    ['no rate', one({}), /write either rate/],
    [
      'a tier without a rate',
      one({ rates: { anonymous: '1/1m', authenticated: '1/1m' } }, [{ name: 'gold' }]),
      /must name every tier/,
    ],
    ['a pointer as a claim', one({ rate: '1/1m', key: ['claim:'] }), /the name of a claim, such as claim:desk/],
    [
      'a key that does not exist',
      one({ rate: '1/1m', key: ['session'] }),
      /write ip, user, tenant, tier, rule, or claim:/,
    ],
    ['a lane for everything', one({ rate: '1/1m', lane: 'Reserved' }), /say for which requests/],
    [
      'a lane without a limit',
      one({ rates: { default: 'Unlimited' }, lane: 'Reserved', match: { paths: ['/a'] } }),
      /write a rate instead of Unlimited/,
    ],
    [
      'a tier twice',
      {
        tiers: [
          { name: 'a', when: 'claims.x == 1' },
          { name: 'b', when: ' claims.x == 1' },
        ],
      },
      /warning .*tiers\[1\]: nobody is ever in tier "b": whoever fits is in "a"/,
    ],
    [
      'a tier behind everybody',
      { tiers: [{ name: 'all', when: 'true' }, { name: 'b' }] },
      /warning .*nobody is ever in tier "b"/,
    ],
    [
      'a lane by address',
      one({ rate: '1/1m', key: ['ip'], lane: 'Reserved', match: { paths: ['/a'] } }),
      /warning .*all users behind one address/,
    ],
    [
      'a lane for every path',
      one({ rate: '1/1m', key: ['user'], lane: 'Reserved', match: { paths: ['/a', '/**'], methods: ['DELETE'] } }),
      /warning .*match\.paths\[1\]: .*passes shedding/,
    ],
    [
      'every address as a proxy',
      { clientIP: { trustedHops: 1, trustedProxies: ['::/0'] } },
      /warning .*::\/0 is every address/,
    ],
    [
      'half of all addresses',
      { clientIP: { trustedHops: 1, trustedProxies: ['128.0.0.0/1'] } },
      /holds the pods of most clusters/,
    ],
    [
      'all pods as proxies',
      { clientIP: { trustedHops: 1, trustedProxies: ['10.0.0.0/8'] } },
      /10\.0\.0\.0\/8 holds the pods of most clusters/,
    ],
    [
      'all pods as proxies, IPv6',
      { clientIP: { trustedHops: 1, trustedProxies: ['fd00::/8'] } },
      /fd00::\/8 holds the pods/,
    ],
  ];
  for (const [name, spec, expected] of wrong) {
    it(`say what is wrong with ${name}`, () => {
      const { said } = compile(spec);
      assert.equal(said.length, 1, said.join('\n'));
      assert.match(said[0]!, expected);
    });
  }

  it('trust the ranges of proxies without a word', () => {
    const trustedProxies = ['10.1.2.0/24', '192.0.2.7/32', '172.20.0.0/16', '2001:db8::/64'];
    assert.deepEqual(compile({ clientIP: { trustedHops: 1, trustedProxies } }).said, []);
  });
});

describe('the store of a policy', () => {
  const store = { store: { redis: { secretRef: { name: 'redis' } } } };
  const withSecret = (data: Record<string, string>): References => ({
    ...NOTHING,
    secrets: [{ namespace: 'orders', name: 'redis', labels: { [LABELS.allowReference]: 'true' }, data }],
  });

  const good: readonly (readonly [data: Record<string, string>, expected: object])[] = [
    [{ url: 'redis://redis:6379\n' }, { redisUrl: 'redis://redis:6379' }],
    [{ url: 'redis+sentinel://a,b/mymaster' }, { redisUrl: 'redis+sentinel://a,b/mymaster' }],
    [
      { url: 'rediss+cluster://a', 'ca.crt': `${PEM}\n` },
      { redisUrl: 'rediss+cluster://a', ca: PEM },
    ],
  ];
  for (const [data, expected] of good) {
    it(`takes ${data['url']?.trim()}`, () =>
      assert.deepEqual(compile(store, withSecret(data)).content?.store, expected));
  }

  const bad: readonly (readonly [name: string, data: Record<string, string>, said: RegExp])[] = [
    ['no url', { uri: 'x' }, /has no key url; write url: redis:\/\/host:6379/],
    ['another scheme', { url: 'http://hunter2' }, /redis\+sentinel:\/\/HOST:26379,HOST:26379\/PRIMARY-NAME/],
    ['sentinels without a name', { url: 'redis+sentinel://hunter2' }, /PRIMARY-NAME/],
    ['a certificate without TLS', { url: 'redis://hunter2', 'ca.crt': PEM }, /write rediss:\/\/ instead of redis:\/\//],
    ['no certificate', { url: 'rediss://a', 'ca.crt': 'hunter2' }, /holds no certificate; write one or more in PEM/],
  ];
  for (const [name, data, expected] of bad) {
    it(`refuses ${name}, repeating nothing of the Secret`, () => {
      const { content, said } = compile(store, withSecret(data));
      assert.equal(content, null);
      assert.match(said.join(), expected);
      assert.doesNotMatch(said.join(), /hunter2/);
    });
  }
});
