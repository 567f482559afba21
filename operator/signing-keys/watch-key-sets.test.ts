import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LABELS } from '../../policy/api/names.ts';
import { API_VERSION } from '../../policy/api/resource.ts';
import { ObjectStore } from '../kube/object-store.ts';
import type { ObjectMeta, Secret } from '../kube/objects.ts';
import type { CustomResource } from '../resources.ts';
import { rivalOf, targetOf } from './key-set-targets.ts';
import { watchKeySets } from './watch-key-sets.ts';

let versions = 0;

function keySet(name: string, spec: object = {}, metadata: Partial<ObjectMeta> = {}): CustomResource {
  const creationTimestamp = '2030-01-01T00:00:00Z';
  const resourceVersion = String(++versions);
  return {
    apiVersion: API_VERSION,
    kind: 'SigningKeySet',
    metadata: { namespace: 'auth', name, uid: name, generation: 1, creationTimestamp, resourceVersion, ...metadata },
    spec: { algorithm: 'ES256', issuer: 'x', audiences: ['y'], maxTokenLifetime: '1h', ...spec },
  };
}

test('the target is what spec.secretName says, or follows from the algorithm', () => {
  const cases: [object, string | null][] = [
    [{}, 'a-jwks'],
    [{ secretName: 'other' }, 'other'],
    [{ algorithm: 'HS256' }, null],
    [{ algorithm: 'ML-DSA-65' }, null],
  ];
  for (const [spec, target] of cases) assert.equal(targetOf(keySet('a', spec)), target, JSON.stringify(spec));
  assert.equal(targetOf({ ...keySet('a'), spec: { algorithm: 'Fernet' } }), 'a-fernet');
});

test('of two key sets with one target the older has it; of one second, the first by name', () => {
  const older = keySet('z', { secretName: 'keys' }, { creationTimestamp: '2029-12-31T23:59:59Z' });
  const [a, b, c] = [keySet('a', { secretName: 'keys' }), keySet('keys-jwks'), keySet('c', { secretName: 'keys' })];
  const all = [a, b, c, older];
  assert.deepEqual(
    all.map((object) => rivalOf(object, all)?.metadata.name ?? null),
    ['z', null, 'a', null],
  );
  const withoutOlder = [a, b, c];
  assert.deepEqual(
    withoutOlder.map((object) => rivalOf(object, withoutOlder)?.metadata.name ?? null),
    [null, null, 'a'],
  );
});

const throwing = (error: unknown): never => {
  throw error;
};

test('key sets are worked on when they, their Secrets, recipients or rivals change, and no others', () => {
  const keySets = new ObjectStore<CustomResource>(throwing);
  const [ownSecrets, referableSecrets, exports] = [0, 1, 2].map(() => new ObjectStore<Secret>(throwing));
  assert(ownSecrets && referableSecrets && exports);
  const escrow = { recipientsSecretRef: { name: 'ops' } };
  keySets.replaceAll([
    keySet('a', { escrow }),
    keySet('b', { secretName: 'a-jwks' }),
    keySet('c'),
    keySet('a', { escrow }, { namespace: 'other', uid: 'other-a' }),
  ]);
  const enqueued: string[] = [];
  const end = watchKeySets({ keySets, ownSecrets, referableSecrets, exports }, (key) => enqueued.push(key));
  const next = () => [...new Set(enqueued.splice(0))].sort();
  assert.deepEqual(next(), ['auth/a', 'auth/b', 'auth/c', 'other/a'], 'all at first');

  const secret = (metadata: ObjectMeta): Secret => ({ metadata: { ...metadata, resourceVersion: String(++versions) } });
  const owned = (namespace: string) => ({ [LABELS.ownerNamespace]: namespace, [LABELS.ownerName]: 'a' });
  const cases: [string, () => void, readonly string[]][] = [
    ['a status', () => keySets.set({ ...keySet('a', { escrow }), status: {} }), ['auth/a']],
    ['a spec', () => keySets.set(keySet('a', { escrow }, { generation: 2 })), ['auth/a', 'auth/b']],
    ['another target', () => keySets.set(keySet('b', {}, { generation: 2 })), ['auth/a', 'auth/b']],
    [
      'a rival again',
      () => keySets.set(keySet('b', { secretName: 'a-jwks' }, { generation: 3 })),
      ['auth/a', 'auth/b'],
    ],
    ['deletion', () => keySets.delete({ namespace: 'auth', name: 'a' }), ['auth/a', 'auth/b']],
    ['creation', () => keySets.set(keySet('a', { escrow }, { uid: 'new' })), ['auth/a', 'auth/b']],
    ['recipients', () => referableSecrets.set(secret({ namespace: 'auth', name: 'ops' })), ['auth/a']],
    ['recipients gone', () => referableSecrets.delete({ namespace: 'auth', name: 'ops' }), ['auth/a']],
    ['recipients of nobody', () => referableSecrets.set(secret({ namespace: 'auth', name: 'x' })), []],
    ['a keyring', () => ownSecrets.set(secret({ namespace: 'sys', name: 'k', labels: owned('auth') })), ['auth/a']],
    ['a Secret of nobody', () => ownSecrets.set(secret({ namespace: 'sys', name: 'x' })), []],
    ['an export', () => exports.set(secret({ namespace: 'auth', name: 'k', labels: owned('auth') })), ['auth/a']],
    ['an export gone', () => exports.delete({ namespace: 'auth', name: 'k' }), ['auth/a']],
    ['a false export', () => exports.set(secret({ namespace: 'evil', name: 'k', labels: owned('auth') })), []],
  ];
  for (const [name, act, expected] of cases) {
    act();
    assert.deepEqual(next(), expected, name);
  }
  end();
  keySets.set(keySet('a'));
  assert.deepEqual(next(), []);
});
