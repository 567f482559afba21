import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEY_SET_ALGORITHMS } from './algorithms.ts';
import { exportOf, exportSuffixOf } from './exports.ts';
import type { KeySetOutputs } from './outputs.ts';
import { QuietKeySet, SPEC } from './testing/fixtures.ts';

for (const algorithm of KEY_SET_ALGORITHMS) {
  test(`${algorithm}: apps get what its suffix says; of a key pair no private key`, () => {
    const keySet = new QuietKeySet({ ...SPEC, algorithm });
    while (keySet.outputs === null) keySet.apply(keySet.plan());
    const made = exportOf(keySet.outputs as KeySetOutputs);
    assert.equal(made?.suffix ?? null, exportSuffixOf(algorithm));
    if (made?.suffix === 'jwks') assert.doesNotMatch(JSON.stringify(made), /private/);
  });
}

test('the JWK Set is the one of the outputs', () => {
  const jwks = { keys: [{ kid: 'k1', alg: 'ES256', use: 'sig', kty: 'EC' }] } as const;
  const { files } = exportOf({ jwks, fernet: null }) ?? {};
  assert.deepEqual(JSON.parse(files?.['jwks.json'] ?? ''), jwks);
});

test('Fernet keys stand one a line, the one that encrypts first and by itself', () => {
  const fernet = ['first=', 'second=', 'third='].map((key) => ({ kid: key, key }));
  assert.deepEqual(exportOf({ jwks: null, fernet }), {
    suffix: 'fernet',
    files: { keys: 'first=\nsecond=\nthird=\n', primary: 'first=' },
  });
});
