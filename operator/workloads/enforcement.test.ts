import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  enforcementOf,
  isJudged,
  type PolicyKey,
  podEnforcement,
  policiesOf,
  runningBundle,
  type Standing,
  staleJwksOf,
  standingOf,
  standingToBoth,
  whyNotReady,
} from './enforcement.ts';
import { exampleStatus, INJECTED } from './testing/example-pods.ts';

const policy: PolicyKey = { kind: 'Access', namespace: 'shop', name: 'orders' };
const issuer: PolicyKey = { ...policy, kind: 'Issuer' };
const limits: PolicyKey = { kind: 'Limits', namespace: 'shop', name: 'standard' };
const expected = { serial: 7, hash: 'ab' };
const error = { code: 'bundle_unsigned', message: 'x' };
const loaded = (changes: object) => {
  const status = exampleStatus(expected);
  return { ...status, bundles: { ...status.bundles, access: { ...status.bundles.access!, ...changes } } };
};

test('how a pod stands to a bundle', async (t) => {
  const waiting = (detail: string): Standing => ({ kind: 'Waiting', detail });
  const table: readonly [string, ReturnType<typeof loaded> | null, string | null, Standing][] = [
    ['serial and hash', loaded({}), null, { kind: 'Current' }],
    ['silent, but it was current', loaded({}), 'ECONNREFUSED', { kind: 'Current' }],
    ['current, then a file it refused', loaded({ error }), null, { kind: 'Current' }],
    ['older', loaded({ serial: 6 }), null, waiting('runs serial 6')],
    ['newer', loaded({ serial: 8 }), null, waiting('runs serial 8')],
    ['other content', loaded({ hash: 'cd' }), null, waiting('runs serial 7 with other content')],
    ['none yet', loaded({ serial: 0, hash: '' }), null, waiting('has loaded none yet')],
    ['never asked', null, null, waiting('was not asked yet')],
    ['silent', loaded({ serial: 6 }), 'ECONNREFUSED', waiting('does not answer on its admin port (ECONNREFUSED)')],
    ['refused', loaded({ serial: 6, error }), null, { kind: 'Refused', code: 'bundle_unsigned' }],
    ["another policy's", loaded({ name: 'other' }), null, waiting('has loaded none yet')],
    ["another namespace's", loaded({ namespace: 'other' }), null, waiting('has loaded none yet')],
  ];
  for (const [name, status, silent, standing] of table) {
    await t.test(name, () => assert.deepEqual(standingOf(policy, expected, status, silent), standing));
  }
});

test('names pods that cannot fetch the keys of an issuer outside, of the policy that they enforce', () => {
  const stale = { ...exampleStatus(expected), staleJwks: { 'https://b.example/': null, 'https://a.example/': 700 } };
  const pods = [
    { pod: { metadata: { name: 'x' } }, injected: INJECTED, status: stale },
    { pod: { metadata: { name: 'y' } }, injected: INJECTED, status: exampleStatus(expected) },
    { pod: { metadata: { name: 'z' } }, injected: INJECTED, status: null },
  ];
  const staleJwks = ['x: https://a.example/', 'x: https://b.example/ (never fetched)'];
  assert.deepEqual(staleJwksOf({ ...policy, name: INJECTED.accessPolicy }, pods), { staleJwks });
  assert.deepEqual(staleJwksOf({ ...policy, name: 'only-tried' }, pods), {});
  assert.deepEqual(staleJwksOf(limits, pods), {});
  assert.deepEqual(staleJwksOf(policy, pods.slice(1)), {});
});

test('a pod is judged by what is expected of it, with or without what it signs by', () => {
  const all = [policy, limits, issuer];
  assert.equal(isJudged(all, [{ policy }, { policy: limits }]), true);
  assert.equal(isJudged(all, [{ policy }, { policy: issuer }]), false);
  assert.equal(isJudged(all, []), false);
});

test('sums up a policy, names those that lag behind', () => {
  const pods = [
    { name: 'c', standing: { kind: 'Waiting', detail: 'runs serial 6' } },
    { name: 'a', standing: { kind: 'Current' } },
    { name: 'b', standing: { kind: 'Waiting', detail: 'has loaded none yet' } },
    { name: 'd', standing: { kind: 'Refused', code: 'bundle_unsigned' } },
  ] as const;
  assert.deepEqual(enforcementOf(pods, ['y', 'x']), {
    matched: 4,
    current: 1,
    stale: 3,
    waiting: ['b: has loaded none yet', 'c: runs serial 6'],
    refused: ['d: bundle_unsigned'],
    restartRequired: ['x', 'y'],
  });
});

test('which policies a pod is under, and what it runs of them', () => {
  assert.deepEqual(policiesOf('shop', { ...INJECTED, rateLimitPolicy: 'standard' }), [policy, limits]);
  assert.deepEqual(policiesOf('shop', INJECTED), [policy]);
  assert.deepEqual(policiesOf('shop', { ...INJECTED, issueTokens: true }), [policy, issuer]);
  assert.deepEqual(runningBundle(policy, loaded({})), expected);
  assert.equal(runningBundle(policy, loaded({ serial: 0 })), null);
  assert.equal(runningBundle(limits, loaded({})), null);
  const status = exampleStatus(expected);
  const { access } = status.bundles;
  assert.deepEqual(
    runningBundle(issuer, { ...status, bundles: { access: null, limits: null, issuer: access } }),
    expected,
  );
  assert.equal(runningBundle(issuer, status), null);
});

test('a pod that issues tokens is current when it also signs by what it should', () => {
  const [current, waiting, refused]: readonly Standing[] = [
    { kind: 'Current' },
    { kind: 'Waiting', detail: 'runs serial 6' },
    { kind: 'Refused', code: 'bundle_unsigned' },
  ];
  const table = [
    [current, null, current],
    [current, current, current],
    [waiting, current, waiting],
    [refused, waiting, refused],
    [current, waiting, { kind: 'Waiting', detail: 'runs serial 6 (issuer bundle)' }],
    [current, refused, refused],
  ] as const;
  for (const [access, issuing, both] of table)
    assert.deepEqual(standingToBoth(access!, issuing as Standing | null), both);
});

test('what a sidecar says against itself counts while it answers, and does not only drain', () => {
  const status = exampleStatus(expected, { notReady: ['AddressInUse: taken', 'more'] });
  assert.equal(whyNotReady(status, null), 'AddressInUse: taken');
  assert.equal(whyNotReady(status, 'ECONNREFUSED'), null);
  assert.equal(whyNotReady({ ...status, draining: true, notReady: ['draining'] }, null), null);
  assert.equal(whyNotReady(exampleStatus(expected), null), null);
  assert.equal(whyNotReady(null, null), null);
});

test("a pod's condition says it in the sidecar's own words", async (t) => {
  const current = { policy, standing: { kind: 'Current' } } as const;
  const refused = { policy, standing: { kind: 'Refused', code: 'bundle_unsigned' } } as const;
  const table = [
    ['AddressInUse: 10.0.0.1:80 is taken: by', [current], 'AddressInUse', '10.0.0.1:80 is taken: by'],
    ['PolicyNotFound: no bundle yet', [], 'PolicyNotFound', 'no bundle yet'],
    ['Conflicted', [current], 'Conflicted', 'the sidecar refuses all traffic'],
    ['not listening yet', [current], 'Progressing', 'not listening yet'],
    ['bundle_unsigned: no signature', [refused], 'Refused', 'bundle_unsigned: no signature'],
    ['Not a reason: x', [current], 'Progressing', 'Not a reason: x'],
  ] as const;
  for (const [notReady, standings, reason, message] of table) {
    await t.test(notReady, () => {
      assert.deepEqual(podEnforcement(standings, notReady, undefined), { status: 'False', reason, message });
    });
  }
});

test("a pod's condition says what is missing", async (t) => {
  const current = { policy, standing: { kind: 'Current' } as const };
  const table = [
    { found: podEnforcement([current], null, undefined), is: ['True', 'Acknowledged', /AccessPolicy orders/] },
    {
      found: podEnforcement(
        [current, { policy: limits, standing: { kind: 'Waiting', detail: 'runs serial 6' } }],
        null,
        undefined,
      ),
      is: ['False', 'Progressing', /^RateLimitPolicy standard: the sidecar runs serial 6$/],
    },
    {
      found: podEnforcement([{ policy, standing: { kind: 'Refused', code: 'bundle_older' } }], null, undefined),
      is: ['False', 'Refused', /AccessPolicy orders: bundle_older/],
    },
    {
      found: podEnforcement([current], 'AddressInUse: x', {
        kind: 'RestartRequired',
        message: 'another capture is asked for',
      }),
      is: ['False', 'RestartRequired', /another capture/],
    },
  ] as const;
  for (const { found, is } of table) {
    await t.test(is[1], () => {
      assert.deepEqual([found.status, found.reason], is.slice(0, 2));
      assert.match(found.message, is[2]);
    });
  }
});
