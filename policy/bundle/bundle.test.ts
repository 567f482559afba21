import assert from 'node:assert/strict';
import { createPublicKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { PortcullisError } from '../errors.ts';
import type { BundleExpectation } from './decode.ts';
import { bundleHash, decodeBundle } from './decode.ts';
import { encodeBundle } from './encode.ts';
import type { BundleHeader } from './format.ts';
import { signedBytes } from './format.ts';
import { exampleAccessBundle, exampleLimitsBundle, testPrivateKey } from './testing/example-bundles.ts';
import type { AccessBundle, TokensConfig } from './types.ts';

const privateKey = testPrivateKey(1);
const expected: BundleExpectation<'Access'> = {
  publicKey: createPublicKey(privateKey),
  kind: 'Access',
  namespace: 'trading',
  name: 'orders',
  afterSerial: 0,
};
const good = encodeBundle(exampleAccessBundle, privateKey);
const headerEnd = good.indexOf(0x0a);
const golden = readFileSync(new URL('testing/golden-bundle.bin', import.meta.url));

const PUBLIC = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: 'k2', alg: 'ES256', use: 'sig' } as const;
const LEAKED = { ...PUBLIC, d: 'd' };
const SECRET = { kty: 'oct', k: 'k', kid: 'k1', alg: 'HS256', use: 'sig' };
const TOKENS: TokensConfig = {
  keySet: 'trading/keys',
  keySetSerial: 3,
  jwksPath: '/.well-known/jwks.json',
  jwksMaxAgeMs: 600_000,
  jwks: { keys: [PUBLIC] },
};

/** A file that our key signed, whatever is in it. */
function signed(header: BundleHeader, packed: Buffer): Buffer {
  const signature = sign(null, signedBytes(header, packed), privateKey).toString('base64');
  const { kind, namespace, name, serial } = header;
  const line = JSON.stringify({ format: 'portcullis.bundle.v1', kind, namespace, name, serial, signature });
  return Buffer.concat([Buffer.from(`${line}\n`), packed]);
}

function withHeader(change: object): Buffer {
  const header = { ...JSON.parse(good.subarray(0, headerEnd).toString()), ...change };
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), good.subarray(headerEnd + 1)]);
}

function flipped(at: number): Buffer {
  const copy = Buffer.from(good);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

function document(change: object): Buffer {
  return signed(exampleAccessBundle, gzipSync(JSON.stringify({ ...exampleAccessBundle, ...change })));
}

const [AUTHENTICATOR] = exampleAccessBundle.jwt;
const JWKS = {
  uri: 'https://login.example/jwks.json',
  ca: null,
  algorithms: ['ES256'],
  refreshMs: 600_000,
  onFailure: 'LastGood',
  allowPrivateAddresses: false,
} as const;
const EXTERNAL = { ...AUTHENTICATOR!, keySet: null, keySetSerial: 0, keys: [], jwks: JWKS };

describe('bundle codec', () => {
  it('reads back what it wrote, both kinds', () => {
    assert.deepEqual(decodeBundle(good, expected), exampleAccessBundle);
    const limits = encodeBundle(exampleLimitsBundle, privateKey);
    const wanted = { ...expected, kind: 'Limits', name: 'standard' } as const;
    assert.deepEqual(decodeBundle(limits, wanted), exampleLimitsBundle);
  });

  it('reads back what pods that issue tokens serve', () => {
    const bundle = { ...exampleAccessBundle, tokens: TOKENS };
    assert.deepEqual(decodeBundle(encodeBundle(bundle, privateKey), expected), bundle);
    const symmetric = { ...bundle, tokens: { ...TOKENS, jwks: null } };
    assert.deepEqual(decodeBundle(encodeBundle(symmetric, privateKey), expected), symmetric);
  });

  it('reads back API keys, clients that sign, revocation and tokens in a query', () => {
    const subject = { subject: 'ann', roles: ['trader'], tenant: null, tier: 'gold' };
    const bundle: AccessBundle = {
      ...exampleAccessBundle,
      jwt: exampleAccessBundle.jwt.map((each) => ({ ...each, from: [{ kind: 'query', parameter: 'token' }] })),
      apiKeys: [{ name: 'people', header: 'x-api-key', keys: [{ ...subject, sha256: 'ab', expiresAt: 1 }] }],
      signedRequests: [
        {
          name: 'bots',
          secret: 'trading/bots',
          toleranceMs: 1,
          maxBytes: 1,
          onStoreFailure: 'Allow',
          clients: [{ ...subject, id: 'bot-1', secrets: ['c2VjcmV0'] }],
        },
      ],
      revocation: { onStoreFailure: 'Deny', maxStalenessMs: 1_000 },
    };
    assert.deepEqual(decodeBundle(encodeBundle(bundle, privateKey), expected), bundle);
  });

  it('reads back tenant and schedule of a rule', () => {
    const [rule] = exampleAccessBundle.rules;
    const schedule = { timezone: 'UTC', open: ['Mon 09:00-10:00'], closed: ['2026-12-25'] };
    const rules = [{ ...rule!, tenant: { source: 'path', name: 'id' } as const, schedule }];
    const bundle = { ...exampleAccessBundle, rules };
    assert.deepEqual(decodeBundle(encodeBundle(bundle, privateKey), expected), bundle);
  });

  it('gives the same bytes for the same bundle, with no time in them', () => {
    assert.deepEqual(encodeBundle(exampleAccessBundle, privateKey), good);
    assert.deepEqual([...good.subarray(headerEnd + 5, headerEnd + 9)], [0, 0, 0, 0]);
  });

  it('still reads and writes the golden file (format v1 must not drift)', () => {
    assert.deepEqual(decodeBundle(golden, expected), exampleAccessBundle);
    const end = golden.indexOf(0x0a);
    // Compared unpacked: another zlib may pack the same document into other bytes.
    assert.equal(gunzipSync(golden.subarray(end + 1)).toString(), gunzipSync(good.subarray(headerEnd + 1)).toString());
    const withoutSignature = (file: Buffer) => file.toString('latin1').split('"signature"')[0];
    assert.equal(withoutSignature(good), withoutSignature(golden));
  });

  it('accepts the same serial with the same bytes, and a newer one', () => {
    const same = { ...expected, afterSerial: 7, afterHash: bundleHash(good) };
    assert.equal(decodeBundle(good, same).serial, 7);
    assert.equal(decodeBundle(good, { ...expected, afterSerial: 6, afterHash: 'other' }).serial, 7);
  });

  const refusals: readonly [
    name: string,
    bytes: Buffer,
    code: string,
    change?: Partial<BundleExpectation<'Access'>>,
  ][] = [
    ['empty', Buffer.alloc(0), 'bundle_corrupt'],
    ['half-written, within the header', good.subarray(0, headerEnd - 3), 'bundle_corrupt'],
    ['half-written, header only', good.subarray(0, headerEnd + 1), 'bundle_unsigned'],
    ['half-written, within the document', good.subarray(0, good.length - 20), 'bundle_unsigned'],
    ['corrupt header', flipped(0), 'bundle_corrupt'],
    ['another format', withHeader({ format: 'portcullis.bundle.v2' }), 'bundle_corrupt'],
    ['corrupt document', flipped(headerEnd + 40), 'bundle_unsigned'],
    ['bytes behind the document', Buffer.concat([good, Buffer.from('x')]), 'bundle_unsigned'],
    ['no signature', withHeader({ signature: undefined }), 'bundle_unsigned'],
    ['empty signature', withHeader({ signature: '' }), 'bundle_unsigned'],
    ['signature of wrong length', withHeader({ signature: 'AAAA' }), 'bundle_unsigned'],
    ['serial raised in the header', withHeader({ serial: 8 }), 'bundle_unsigned'],
    ['name changed in the header', withHeader({ name: 'orders2' }), 'bundle_unsigned'],
    ['serial not a whole number', withHeader({ serial: 7.5 }), 'bundle_corrupt'],
    ['foreign key', encodeBundle(exampleAccessBundle, testPrivateKey(2)), 'bundle_unsigned'],
    ['foreign name', encodeBundle({ ...exampleAccessBundle, name: 'other' }, privateKey), 'bundle_foreign'],
    ['foreign namespace', encodeBundle({ ...exampleAccessBundle, namespace: 'x' }, privateKey), 'bundle_foreign'],
    ['foreign kind', encodeBundle({ ...exampleLimitsBundle, name: 'orders', serial: 7 }, privateKey), 'bundle_foreign'],
    ['older', good, 'bundle_older', { afterSerial: 8 }],
    ['same serial, other bytes', good, 'bundle_older', { afterSerial: 7, afterHash: bundleHash(golden.subarray(1)) }],
    ['signed, but not gzip', signed(exampleAccessBundle, Buffer.from('hello')), 'bundle_corrupt'],
    ['signed, but not JSON', signed(exampleAccessBundle, gzipSync('{')), 'bundle_corrupt'],
    ['bomb', signed(exampleAccessBundle, gzipSync(Buffer.alloc(17 * 1024 * 1024))), 'bundle_too_large'],
    ['file over 900 KiB', Buffer.alloc(900 * 1024 + 1, 0x20), 'bundle_too_large'],
    ['document serial differs', document({ serial: 9 }), 'bundle_invalid'],
    ['document name differs', document({ name: 'x' }), 'bundle_invalid'],
    ['document namespace differs', document({ namespace: 'x' }), 'bundle_invalid'],
    ['document kind differs', document({ kind: 'Limits' }), 'bundle_invalid'],
    ['unknown member', document({ audit: true }), 'bundle_invalid'],
    ['missing member', document({ rules: undefined }), 'bundle_invalid'],
    ['wrong type', document({ rules: 'all' }), 'bundle_invalid'],
    ['an empty JWKS', document({ tokens: { ...TOKENS, jwks: { keys: [] } } }), 'bundle_invalid'],
    ['a private key in the JWKS', document({ tokens: { ...TOKENS, jwks: { keys: [LEAKED] } } }), 'bundle_invalid'],
    ['a secret in the JWKS', document({ tokens: { ...TOKENS, jwks: { keys: [SECRET] } } }), 'bundle_invalid'],
    ['keys from two places', document({ jwt: [{ ...AUTHENTICATOR, jwks: JWKS }] }), 'bundle_invalid'],
    ['keys beside a JWKS', document({ jwt: [{ ...EXTERNAL, keys: AUTHENTICATOR?.keys }] }), 'bundle_invalid'],
    ['keys from nowhere', document({ jwt: [{ ...AUTHENTICATOR, keySet: null }] }), 'bundle_invalid'],
    ['a key set without serial', document({ jwt: [{ ...AUTHENTICATOR, keySetSerial: 0 }] }), 'bundle_invalid'],
    [
      'secrets from a JWKS',
      document({ jwt: [{ ...EXTERNAL, jwks: { ...JWKS, algorithms: ['HS256'] } }] }),
      'bundle_invalid',
    ],
    ['allow: anonymous false', document({ rules: [{ allow: [{ anonymous: false }] }] }), 'bundle_invalid'],
    [
      'a tenant from a cookie',
      document({ rules: [{ ...exampleAccessBundle.rules[0], tenant: { source: 'cookie', name: 't' } }] }),
      'bundle_invalid',
    ],
    ['null', signed(exampleAccessBundle, gzipSync('null')), 'bundle_invalid'],
  ];
  for (const [name, bytes, code, change] of refusals) {
    it(`refuses: ${name}`, () => {
      assert.throws(
        () => decodeBundle(bytes, { ...expected, ...change }),
        (error) => error instanceof PortcullisError && error.code === code,
      );
    });
  }

  it('names the place of what it does not understand', () => {
    const rule = { name: 'r', match: { hosts: [], paths: [], methods: [] }, allow: [{ when: 3 }] };
    assert.throws(
      () => decodeBundle(document({ rules: [rule] }), expected),
      /rules\[0\]\.allow\[0\]\.when: must be a string/,
    );
  });

  it('reads what it wrote of an issuer outside', () => {
    const bundle = { ...exampleAccessBundle, jwt: [EXTERNAL] };
    assert.deepEqual(decodeBundle(encodeBundle(bundle, privateKey), expected), bundle);
  });

  it('refuses to write more than 900 KiB', () => {
    const noise = Array.from({ length: 60_000 }, (_, index) => bundleHash(Buffer.from(String(index))));
    const large = { ...exampleAccessBundle, roles: [{ name: 'r', permissions: noise }] };
    assert.throws(() => encodeBundle(large, privateKey), { code: 'bundle_too_large' });
  });

  it('never lets a changed byte through', () => {
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const copy = Buffer.from(good);
        copy[at] = (copy[at] ?? 0) ^ mask;
        try {
          // What still decodes (a blank in the header, say) must be the very same bundle.
          assert.deepEqual(decodeBundle(copy, expected), exampleAccessBundle);
        } catch (error) {
          assert.ok(error instanceof PortcullisError, String(error));
        }
      }),
      { numRuns: Number(process.env['FC_RUNS'] ?? 500) },
    );
  });
});
