import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeResource } from '../api/decode.ts';
import { LABELS } from '../api/names.ts';
import { formatPath } from '../api/problem.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import { API_VERSION } from '../api/resource.ts';
import type { SigningKeySet } from '../api/signing-key-set.ts';
import { formatFernetKey, parseFernetKey } from '../fernet/fernet-key.ts';
import { encryptFernet } from '../fernet/fernet-token.ts';
import { compileLimits } from './compile-limits.ts';
import type { ReferencedSecret, ResolvedKeySet } from './references.ts';

const FERNET = [1, 2].map((fill) => formatFernetKey(Buffer.alloc(32, fill))) as [string, string];
const BROKER = {
  name: 'binance',
  url: 'https://api.binance.com',
  allow: [{ methods: ['GET'], paths: ['/api/v3/order'] }],
  rate: '1200/1m',
};
const KEY = { secretRef: { name: 'binance' }, header: 'X-MBX-APIKEY' };
const AT_REST = { ...KEY, fernetKeySetRef: { name: 'at-rest' } };

function keySet(
  algorithm: string,
  outputs: ResolvedKeySet['outputs'],
  name = 'at-rest',
  namespace = 'shop',
): ResolvedKeySet {
  const spec =
    algorithm === 'Fernet' ? { algorithm } : { algorithm, issuer: 'i', audiences: ['a'], maxTokenLifetime: '1h' };
  const decoded = decodeResource({
    apiVersion: API_VERSION,
    kind: 'SigningKeySet',
    metadata: { namespace, name },
    spec,
  });
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  return { resource: decoded.resource as SigningKeySet, outputs };
}

const withKeys = (...keys: readonly string[]): ResolvedKeySet =>
  keySet('Fernet', { serial: 3, verificationKeys: [], fernet: keys.map((key, index) => ({ kid: `k${index}`, key })) });

function encrypted(text: string, by: string): string {
  const key = parseFernetKey(by);
  assert.ok(key.ok);
  return encryptFernet(key.value, Buffer.from(text), { iv: Buffer.alloc(16), now: 0 });
}

function secret(value: string | undefined, more: Partial<ReferencedSecret> = {}): ReferencedSecret {
  const data = value === undefined ? { other: 'x' } : { value };
  return { namespace: 'shop', name: 'binance', labels: { [LABELS.allowReference]: 'true' }, data, ...more };
}

function compile(broker: object, secrets: readonly ReferencedSecret[] = [], keySets: readonly ResolvedKeySet[] = []) {
  const metadata = { namespace: 'shop', name: 'standard' };
  const egress = [{ ...BROKER, ...broker }];
  const decoded = decodeResource({ apiVersion: API_VERSION, kind: 'RateLimitPolicy', metadata, spec: { egress } });
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  const none = { namespaces: [], storeOverride: null, defaultStore: null, defaultClientIp: null };
  const { content, findings } = compileLimits(decoded.resource as RateLimitPolicy, { ...none, keySets, secrets });
  return {
    broker: content?.egress?.[0],
    said: findings.map(({ code, path, message }) => `${code} ${formatPath(path)}: ${message}`),
  };
}

describe('egress', () => {
  it('has every default filled in', () => {
    assert.deepEqual(compile({ retry: {} }), {
      broker: {
        name: 'binance',
        origin: 'https://api.binance.com',
        allow: [{ methods: ['GET'], paths: ['/api/v3/order'] }],
        rate: { limit: 1200, windowMs: 60_000, burst: 0 },
        waitMs: 0,
        retry: { attempts: 4, retryOn: ['429', '5xx', 'connect'], baseMs: 200, maxMs: 10_000 },
        circuitBreaker: null,
        credential: null,
        ca: null,
        allowPrivateAddresses: false,
      },
      said: [],
    });
  });

  it('takes 429 as a number, which YAML makes of it', () => {
    assert.deepEqual(compile({ retry: { retryOn: [429, 'connect', '429'] } }).broker?.retry?.retryOn, [
      '429',
      'connect',
    ]);
  });

  it('is absent where a policy has none', () => {
    const metadata = { namespace: 'shop', name: 'standard' };
    const decoded = decodeResource({ apiVersion: API_VERSION, kind: 'RateLimitPolicy', metadata, spec: {} });
    assert.ok('resource' in decoded);
    const none = { namespaces: [], storeOverride: null, defaultStore: null, defaultClientIp: null };
    const { content } = compileLimits(decoded.resource as RateLimitPolicy, { ...none, keySets: [], secrets: [] });
    assert.ok(content !== null && !('egress' in content));
  });

  const origins: readonly [url: string, origin: string][] = [
    ['https://api.binance.com/', 'https://api.binance.com'],
    ['https://API.Binance.com:443', 'https://api.binance.com'],
    ['https://api.binance.com.:8443', 'https://api.binance.com:8443'],
    ['https://börse.example', 'https://xn--brse-5qa.example'],
    ['https://0x7f.1', 'https://127.0.0.1'],
    ['https://[::FFFF:1.2.3.4]', 'https://[::ffff:102:304]'],
  ];
  for (const [url, origin] of origins) it(url, () => assert.equal(compile({ url }).broker?.origin, origin));

  it('rate Unlimited is no rate, a burst makes it a bucket', () => {
    assert.equal(compile({ rate: 'Unlimited' }).broker?.rate, null);
    assert.equal(compile({ burst: 50 }).broker?.rate?.burst, 50);
  });

  it('reads the credential, in plain or as a Fernet token of any key of the set', () => {
    const value = { header: 'x-mbx-apikey', value: 'k-1' };
    assert.deepEqual(compile({ credentials: KEY }, [secret('k-1\n')]).broker?.credential, value);
    const ref = { ...KEY, secretRef: { name: 'binance', key: 'api_key' } };
    assert.deepEqual(
      compile({ credentials: ref }, [secret('', { data: { api_key: 'k-1' } })]).broker?.credential,
      value,
    );
    for (const by of FERNET) {
      const found = compile({ credentials: AT_REST }, [secret(encrypted('k-1', by))], [withKeys(...FERNET)]);
      assert.deepEqual([found.broker?.credential, found.said], [value, []]);
    }
  });

  for (const host of ['localhost', '10.0.0.1', '172.31.0.1', '[fd00::1]', 'broker.shop.svc']) {
    it(`warns of the private host ${host}, unless it is meant`, () => {
      const url = `https://${host}`;
      const [said = ''] = compile({ url }).said;
      assert.match(said, /url: .* is a private address, which is refused; write allowPrivateAddresses: true/);
      assert.deepEqual(compile({ url, allowPrivateAddresses: true }).said, []);
    });
  }

  it('takes public hosts that look like private ones', () => {
    for (const host of ['10.example.com', '172.32.0.1', '100.128.0.1', 'svc.example.com'])
      assert.deepEqual(compile({ url: `https://${host}` }).said, []);
  });

  it('never repeats a URL, which may hold a password', () => {
    const url = 'https://ann:hunter2@api.binance.com';
    const spec = { egress: [{ ...BROKER, url }] };
    const metadata = { name: 'standard' };
    const decoded = decodeResource({ apiVersion: API_VERSION, kind: 'RateLimitPolicy', metadata, spec });
    assert.ok('problems' in decoded && decoded.faulty !== undefined);
    const references = { namespaces: [], storeOverride: null, defaultStore: null, defaultClientIp: null };
    const { findings } = compileLimits(decoded.faulty as RateLimitPolicy, { ...references, keySets: [], secrets: [] });
    const said = JSON.stringify([decoded.problems, findings]);
    assert.match(said, /is no https URL of a host alone; write one such as/);
    assert.doesNotMatch(said, /hunter2/);
  });

  it('is only checked where the keys are not at hand', () => {
    const checking = keySet('Fernet', { serial: 1, verificationKeys: [] });
    assert.deepEqual(compile({ credentials: AT_REST }, [secret('gAAAA')], [checking]).said, []);
  });

  const refused: readonly [
    name: string,
    broker: object,
    says: RegExp,
    secrets?: ReferencedSecret[],
    sets?: ResolvedKeySet[],
  ][] = [
    ['a port that is none', { url: 'https://a:65536' }, /^Invalid spec\.egress\[0\]\.url: is no https URL/],
    ['a host that is none', { url: 'https://a..b%' }, /is no https URL/],
    ['a burst of nothing', { rate: 'Unlimited', burst: 5 }, /egress\[0\]\.burst: belongs to a rate/],
    ['a method that is none', { allow: [{ methods: ['FETCH'], paths: ['/a'] }] }, /allow\[0\]\.methods\[0\]: "FETCH"/],
    ['a path twice the same parameter', { allow: [{ paths: ['/{a}/{a}'] }] }, /allow\[0\]\.paths\[0\]: .*twice/],
    ['no Secret', { credentials: KEY }, /^RefNotFound .*secretRef\.name: Secret shop\/binance does not exist/],
    ['a Secret without the label', { credentials: KEY }, /^RefNotPermitted/, [secret('k', { labels: {} })]],
    ['a Secret of another namespace', { credentials: KEY }, /does not exist/, [secret('k', { namespace: 'other' })]],
    [
      'a Secret without the key',
      { credentials: KEY },
      /secretRef\.key: .* has no key value; write/,
      [secret(undefined)],
    ],
    ['an empty key', { credentials: KEY }, /has nothing in its key value/, [secret(' \n')]],
    ['two lines', { credentials: KEY }, /cannot be the value of a header/, [secret('a\nhost: b')]],
    ['not ASCII', { credentials: KEY }, /cannot be the value of a header/, [secret('ä')]],
    ['too long', { credentials: KEY }, /at most 8 KiB/, [secret('a'.repeat(8_193))]],
    ['no key set', { credentials: AT_REST }, /key set shop\/at-rest does not exist/, [secret('x')]],
    [
      'a key set of another namespace',
      { credentials: AT_REST },
      /does not exist/,
      [secret('x')],
      [keySet('Fernet', null, 'at-rest', 'auth')],
    ],
    [
      'a key set that signs',
      { credentials: AT_REST },
      /is for ES256; name one with/,
      [secret('x')],
      [keySet('ES256', null)],
    ],
    ['a key set without a key', { credentials: AT_REST }, /has no key yet/, [secret('x')], [keySet('Fernet', null)]],
    ['no token', { credentials: AT_REST }, /holds no Fernet token/, [secret('plain')], [withKeys(...FERNET)]],
    [
      'a token of another key',
      { credentials: AT_REST },
      /that no key of key set shop\/at-rest made/,
      [secret(encrypted('k', FERNET[1]))],
      [withKeys(FERNET[0])],
    ],
    ['a CA that is none', { caSecretRef: { name: 'binance' } }, /has no key ca\.crt with certificates/, [secret('x')]],
  ];
  for (const [name, broker, says, secrets, sets] of refused) {
    it(`refuses ${name}`, () => {
      const found = compile(broker, secrets, sets);
      assert.equal(found.broker, undefined);
      assert.match(found.said.join('\n'), says);
      for (const { data } of secrets ?? []) {
        for (const held of Object.values(data)) assert.ok(held.length < 5 || !found.said.join().includes(held));
      }
    });
  }
});
