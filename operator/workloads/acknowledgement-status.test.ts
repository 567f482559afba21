import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSidecarStatus } from './acknowledgement-status.ts';
import { exampleStatus } from './testing/example-pods.ts';

const good = exampleStatus({ serial: 7, hash: 'ab' });
const access = good.bundles.access!;
const withAccess = (changes: object) => ({ ...good, bundles: { access: { ...access, ...changes }, limits: null } });

test('takes what a sidecar says, and leaves out what it does not know', () => {
  assert.deepEqual(parseSidecarStatus(JSON.stringify(good)), good);
  assert.deepEqual(parseSidecarStatus(JSON.stringify({ ...good, later: 1 })), good);
  const refused = withAccess({ error: { code: 'bundle_unsigned', message: 'm'.repeat(2000) } });
  const parsed = parseSidecarStatus(JSON.stringify(refused));
  assert.deepEqual(parsed.bundles.access?.error, { code: 'bundle_unsigned', message: 'm'.repeat(1024) });
  const issuing = { ...good, bundles: { ...good.bundles, issuer: { ...access, serial: 9 } } };
  assert.deepEqual(parseSidecarStatus(JSON.stringify(issuing)), issuing);
  const { issuer: _, ...before } = good.bundles;
  assert.deepEqual(parseSidecarStatus(JSON.stringify({ ...good, bundles: before })), good);
  const stale = { ...good, staleJwks: { 'https://login.example/jwks': 7, 'https://\u0007.example/': null } };
  assert.deepEqual(parseSidecarStatus(JSON.stringify(stale)).staleJwks, {
    'https://login.example/jwks': 7,
    'https:// .example/': null,
  });
  const { notReady, ...older } = good;
  assert.deepEqual(parseSidecarStatus(JSON.stringify(older)), { ...older, notReady: [] });
  const long = { ...good, notReady: ['r'.repeat(400), 'red \u001b[31m, \u202e, two\nlines'] };
  assert.deepEqual(parseSidecarStatus(JSON.stringify(long)).notReady, ['r'.repeat(300), 'red  [31m,  , two lines']);
});

test('refuses every answer that a sidecar does not give', async (t) => {
  const table: Readonly<Record<string, unknown>> = {
    'a list': [],
    null: null,
    'no bundles': { ...good, bundles: undefined },
    'a serial as text': withAccess({ serial: '7' }),
    'a negative serial': withAccess({ serial: -1 }),
    'a serial past 2^53': withAccess({ serial: 2 ** 53 }),
    'a hash that is no text': withAccess({ hash: null }),
    'a code with words of its own': withAccess({ error: { code: 'all is well\n', message: '' } }),
    'a key set serial that is none': { ...good, keySets: { 'auth/trading': 1.5 } },
    'key sets without end': {
      ...good,
      keySets: Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`a/${i}`, 1])),
    },
    'ages as text': { ...good, staleJwks: { 'https://login.example/': 'old' } },
    'stale issuers without end': {
      ...good,
      staleJwks: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`https://${i}.example/`, 1])),
    },
    'draining as text': { ...good, draining: 'no' },
    'reasons as text': { ...good, notReady: 'AddressInUse' },
    'a reason that is no text': { ...good, notReady: [{}] },
    'reasons without end': { ...good, notReady: Array.from({ length: 17 }, () => 'x') },
  };
  for (const [name, status] of Object.entries(table)) {
    await t.test(name, () => assert.throws(() => parseSidecarStatus(JSON.stringify(status)), TypeError));
  }
  await t.test('no JSON', () => assert.throws(() => parseSidecarStatus('<html>'), SyntaxError));
});
