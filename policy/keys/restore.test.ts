import assert from 'node:assert/strict';
import { test } from 'node:test';
import { activeKey, type KeyMaterial, type Keyring, withoutMaterial } from './keyring.ts';
import { decodeKeyring, encodeKeyring } from './keyring-document.ts';
import { restoreKeyring } from './restore.ts';
import { HOUR, QuietKeySet, rotating, SPEC } from './testing/fixtures.ts';

/** `k1:Retired k2:Active k3:Standby`, and a tombstone. */
function rotated(spec = SPEC): QuietKeySet {
  const keySet = new QuietKeySet({ ...rotating({ periodMs: 48 * HOUR, prePublishMs: 24 * HOUR }, spec) });
  keySet.settle();
  for (let hours = 0; hours < 53; hours++) keySet.advance(HOUR);
  keySet.spec = { ...keySet.spec, maxTokenLifetimeMs: 10_000 * HOUR, revocations: [{ kid: 'gone', reason: 'stolen' }] };
  keySet.settle();
  for (let hours = 0; hours < 48; hours++) keySet.advance(HOUR);
  return keySet;
}

function materialsOf({ keys }: Keyring): Map<string, KeyMaterial> {
  return new Map(keys.map(({ kid, algorithm, jwk, privateMembers }) => [kid, { kid, algorithm, jwk, privateMembers }]));
}

function restored(keySet: QuietKeySet, revocations = keySet.spec.revocations): Keyring {
  const { ring } = keySet;
  return restoreKeyring(withoutMaterial(ring), materialsOf(ring), { serial: ring.serial + 1, revocations });
}

for (const algorithm of ['ES256', 'HS256'] as const) {
  test(`${algorithm}: same keys, phases, graces and tombstones; what runs from publication starts anew`, () => {
    const keySet = rotated({ ...SPEC, algorithm });
    const before = keySet.ring;
    assert.deepEqual(
      before.tombstones.map(({ kid }) => kid),
      ['gone'],
    );
    const after = restored(keySet);
    assert.deepEqual(decodeKeyring(encodeKeyring(after)), after);
    const { serial, confirmed, keys, ...state } = after;
    assert.equal(serial, before.serial + 1);
    assert.equal(confirmed, before.serial);
    const { serial: _, confirmed: __, keys: ___, ...stateBefore } = before;
    assert.deepEqual(state, stateBefore);
    assert.deepEqual(activeKey(after), activeKey(before));
    assert.deepEqual(
      keys.map(({ kid, phase }) => [kid, phase]),
      before.keys.map(({ kid, phase }) => [kid, phase]),
    );
    assert.ok(keys.some(({ phase }) => phase === 'Retired'));
    for (const key of keys) {
      if (key.phase === 'Standby') assert.deepEqual([key.publishedAt, key.addedSerial], [null, serial]);
      if (key.phase === 'Retired') {
        assert.equal(key.retireConfirmedAt, null);
        assert.deepEqual(key.privateMembers, algorithm === 'HS256' ? {} : null);
      }
    }
  });
}

test('the planner goes on with it: no key is made, and the standby waits its whole time again', () => {
  const keySet = rotated();
  const standby = keySet.ring.keys.find(({ phase }) => phase === 'Standby');
  assert.ok(standby !== undefined);
  const active = keySet.activeKid;
  keySet.keyring = restored(keySet);
  keySet.spec = { ...keySet.spec, rotateRequest: 'now' };
  const steps = keySet.settle().map(({ kind }) => kind);
  assert.deepEqual(steps, ['WriteOutputs', 'Confirm', 'AcceptRotateRequest', 'Wait']);
  keySet.advance(24 * HOUR - 1);
  assert.equal(keySet.activeKid, active);
  keySet.advance(1);
  assert.equal(keySet.activeKid, standby.kid);
});

test('a revoked key does not come back', () => {
  const keySet = rotated();
  const [retired, , standby] = keySet.ring.keys;
  assert.deepEqual([retired?.phase, standby?.phase], ['Retired', 'Standby']);
  const revocations = [retired, standby].map((key) => ({ kid: key!.kid, reason: 'stolen' }));
  const after = restored(keySet, revocations);
  assert.deepEqual(
    after.keys.map(({ phase }) => phase),
    ['Active'],
  );
  const found = materialsOf(after);
  assert.doesNotThrow(() => restoreKeyring(withoutMaterial(keySet.ring), found, { serial: 99, revocations }));
});

test('a revoked active key is replaced before anything is written', () => {
  const keySet = rotated();
  const active = activeKey(keySet.ring).kid;
  const revocations = [...keySet.spec.revocations, { kid: active, reason: 'stolen' }];
  keySet.keyring = restored(keySet, revocations);
  keySet.spec = { ...keySet.spec, revocations };
  const [first, second] = keySet.settle();
  assert.deepEqual([first?.kind, second?.kind], ['Revoke', 'WriteOutputs']);
  // The standby must be published again before it may sign, so the successor is a new one.
  assert.ok(first?.kind === 'Revoke' && first.successor?.kind === 'NewKey');
  assert.ok(!keySet.outputs?.verificationKeys.some(({ kid }) => kid === active));
});

const broken: readonly { name: string; change: (materials: Map<string, KeyMaterial>, kids: string[]) => void }[] = [
  { name: 'is missing', change: (materials, [, active = '']) => materials.delete(active) },
  {
    name: "is another key's",
    change: (materials, [retired = '', active = '']) => materials.set(active, materials.get(retired)!),
  },
  {
    name: 'is of another algorithm',
    change: (materials, [, active = '']) => materials.set(active, { ...materials.get(active)!, algorithm: 'ES384' }),
  },
  {
    name: 'has lost its private half',
    change: (materials, [, active = '']) => materials.set(active, { ...materials.get(active)!, privateMembers: null }),
  },
];

for (const { name, change } of broken) {
  test(`material that ${name}: refused by its kid, without a value`, () => {
    const { ring } = rotated();
    const materials = materialsOf(ring);
    const kids = ring.keys.map(({ kid }) => kid);
    change(materials, kids);
    assert.throws(
      () => restoreKeyring(withoutMaterial(ring), materials, { serial: ring.serial + 1, revocations: [] }),
      {
        code: 'keyring_invalid',
        message: `no material of these keys of the index: ${kids[1]}`,
      },
    );
  });
}
