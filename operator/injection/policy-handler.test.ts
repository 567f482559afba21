import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeResource } from '../../policy/api/decode.ts';
import { API_VERSION } from '../../policy/api/resource.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import type { References } from '../../policy/compile/references.ts';
import { policyHandler } from './policy-handler.ts';
import type { AdmissionRequest } from './review.ts';

const metadata = { namespace: 'shop', name: 'orders' };
const KEY_SET = {
  apiVersion: API_VERSION,
  kind: 'SigningKeySet',
  metadata: { namespace: 'shop', name: 'trading' },
  spec: { algorithm: 'ES256', issuer: 'https://auth.example', audiences: ['api'], maxTokenLifetime: '1h' },
};
const rule = (name: string, permission = 'orders:read') => ({
  name,
  match: { paths: [`/${name}`] },
  allow: [{ permissions: [permission] }],
});
const accessPolicy = (rules: readonly object[], keySet = 'trading') => ({
  apiVersion: API_VERSION,
  kind: 'AccessPolicy',
  metadata,
  spec: {
    authentication: { jwt: [{ name: 'trading', keySetRef: { name: keySet } }] },
    roles: [{ name: 'viewer', permissions: ['orders:read'] }],
    rules,
  },
});
const GOOD = accessPolicy([rule('orders')]);
const BAD = accessPolicy([rule('orders', 'orders:raed')]);

function reviewOf(object: unknown, extra: Partial<AdmissionRequest> = {}): AdmissionRequest {
  const kind = { group: 'portcullis.dev', version: 'v1alpha1', kind: 'AccessPolicy' };
  return { uid: 'u', kind, operation: 'CREATE', namespace: 'shop', dryRun: false, object, oldObject: null, ...extra };
}

describe('policyHandler', () => {
  const decoded = decodeResource(KEY_SET);
  assert.ok('resource' in decoded);
  const references: References = {
    keySets: [{ resource: decoded.resource as SigningKeySet, outputs: null }],
    secrets: [],
    namespaces: [],
    defaultStore: null,
    defaultClientIp: null,
    storeOverride: null,
  };
  const handler = policyHandler({ references: () => references });
  const handle = async (object: unknown, extra?: Partial<AdmissionRequest>) => handler(reviewOf(object, extra));

  it('admits what can be used, keys or no keys yet', async () => {
    assert.deepEqual(await handle(GOOD), { allowed: true, warnings: [] });
    assert.deepEqual(await handle(KEY_SET), { allowed: true, warnings: [] });
  });

  it('refuses one mistake in one line: where it is and what to write', async () => {
    const { allowed, message } = await handle(BAD);
    assert.equal(allowed, false);
    assert.equal(
      message,
      'spec.rules[0].allow[0].permissions[0]: unknown permission "orders:raed"; did you mean "orders:read"?',
    );
  });

  it('refuses all mistakes at once, one a line', async () => {
    const { allowed, message = '' } = await handle(accessPolicy([rule('orders', 'orders:raed'), rule('users', 'all')]));
    const [first, ...lines] = message.split('\n');
    assert.deepEqual([allowed, first, lines.length], [false, '', 2]);
    assert.match(lines[0]!, /^spec\.rules\[0\]\.allow/);
    assert.match(lines[1]!, /^spec\.rules\[1\]\.allow/);
  });

  it('lists at most 50', async () => {
    const rules = Array.from({ length: 60 }, (_, i) => rule(`r${i}`, 'none'));
    const lines = (await handle(accessPolicy(rules))).message?.split('\n');
    assert.deepEqual([lines?.length, lines?.at(-1)], [52, 'and 10 more']);
  });

  it('admits a reference to what does not exist yet, with a warning', async () => {
    const { allowed, warnings } = await handle(accessPolicy([rule('orders')], 'traiding'));
    assert.equal(allowed, true);
    assert.equal(warnings?.length, 1);
    assert.match(warnings[0]!, /^spec\.authentication\.jwt\[0\]\.keySetRef.*traiding/);
  });

  it('refuses a mistake with the warnings beside it', async () => {
    const { allowed, warnings } = await handle(accessPolicy([rule('orders', 'all')], 'traiding'));
    assert.deepEqual([allowed, warnings?.length], [false, 1]);
  });

  const others: readonly (readonly [string, object, RegExp])[] = [
    [
      'a RateLimitPolicy',
      { apiVersion: API_VERSION, kind: 'RateLimitPolicy', metadata, spec: { limits: [{ name: 'a' }] } },
      /spec\.limits\[0\]/,
    ],
    ['a SigningKeySet', { ...KEY_SET, spec: { ...KEY_SET.spec, algorithm: 'none' } }, /spec\.algorithm/],
    [
      'another kind',
      { apiVersion: API_VERSION, kind: 'AccesPolicy', metadata, spec: {} },
      /kind: must be one of .*did you mean AccessPolicy/,
    ],
  ];
  for (const [name, object, message] of others) {
    it(`refuses ${name} that cannot be read`, async () => {
      const answer = await handle(object);
      assert.equal(answer.allowed, false);
      assert.match(answer.message ?? '', message);
    });
  }

  it('refuses an update to something bad', async () => {
    assert.equal((await handle(BAD, { operation: 'UPDATE', oldObject: GOOD })).allowed, false);
  });

  it('lets a bad one be labelled, freed of finalizers and deleted', async () => {
    const labelled = { ...BAD, metadata: { ...metadata, labels: { a: 'b' } } };
    assert.deepEqual(await handle(labelled, { operation: 'UPDATE', oldObject: BAD }), { allowed: true });
    const deleted = { ...BAD, metadata: { ...metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    assert.deepEqual(await handle(deleted, { operation: 'UPDATE', oldObject: GOOD }), { allowed: true });
    assert.deepEqual(await handle(null, { operation: 'DELETE', oldObject: BAD }), { allowed: true });
  });
});
