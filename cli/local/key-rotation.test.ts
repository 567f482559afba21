import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { decrypt, generateKey, readMessage, readPrivateKey } from 'openpgp';
import { decodeResource } from '../../policy/api/decode.ts';
import { ANNOTATIONS } from '../../policy/api/names.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import type { ReferencedSecret } from '../../policy/compile/references.ts';
import { decodeEscrowedKey } from '../../policy/keys/escrow-document.ts';
import { activeKid } from '../../policy/keys/outputs.ts';
import { DirectoryKeyStore } from './directory-key-store.ts';
import { KeyRotation } from './key-rotation.ts';

const NOW = Date.UTC(2026, 5, 1);
const HOUR = 3_600_000;
const KEY = { namespace: 'auth', name: 'trading' };
const scratch = await mkdtemp(join(tmpdir(), 'portcullis-rotation-'));
after(() => rm(scratch, { recursive: true }));
const operator = await generateKey({ userIDs: [{ name: 'ops' }], date: new Date(NOW - HOUR), format: 'armored' });

function keySet(spec: object, annotations = {}): SigningKeySet {
  const jwt = { issuer: 'https://auth.example', audiences: ['trading-api'], maxTokenLifetime: '1h' };
  const decoded = decodeResource({
    apiVersion: 'portcullis.dev/v1alpha1',
    kind: 'SigningKeySet',
    metadata: { ...KEY, annotations },
    spec: { algorithm: 'ES256', ...('algorithm' in spec && spec.algorithm === 'Fernet' ? {} : jwt), ...spec },
  });
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  return decoded.resource as SigningKeySet;
}

function recipients(labels: Readonly<Record<string, string>>, publicKey = operator.publicKey): ReferencedSecret {
  return { namespace: 'auth', name: 'ops-pgp-keys', labels, data: { 'ops.asc': publicKey } };
}

async function decrypted(armoredMessage: string): Promise<string> {
  const decryptionKeys = await readPrivateKey({ armoredKey: operator.privateKey });
  const message = await readMessage({ armoredMessage });
  return (await decrypt({ message, decryptionKeys, date: new Date(NOW) })).data;
}

const ALLOWED = { 'portcullis.dev/allow-reference': 'true' };
const ESCROW = { escrow: { recipientsSecretRef: { name: 'ops-pgp-keys' } } };
let directories = 0;

/** Local mode's keys in a new state directory, with a clock that is set by hand. */
function rotation() {
  const state = join(scratch, `state${directories++}`);
  const said: string[] = [];
  const world = {
    state,
    said,
    now: NOW,
    store: new DirectoryKeyStore(state, KEY),
    pass: (resource: SigningKeySet, secrets: readonly ReferencedSecret[] = []) =>
      keys.pass({ keySets: [resource], secrets }, () => []),
    trouble: (resource: SigningKeySet) => keys.troubleOf(resource),
    active: (resource: SigningKeySet) => {
      const outputs = keys.outputsOf(resource);
      return outputs === null ? undefined : activeKid(outputs);
    },
  };
  const keys = new KeyRotation(
    state,
    () => world.now,
    (line) => said.push(line),
  );
  return world;
}

test('says what happens to keys once, and comes back when there is something to do', async () => {
  const world = rotation();
  const resource = keySet({ rotation: { period: '48h' } });
  const first = await world.pass(resource);
  assert.equal(world.said.length, 4, world.said.join('\n'));
  assert.match(world.said[0] ?? '', /^key set auth\/trading: first key [\w-]+ signs$/);
  assert.ok(first !== null && first >= NOW + 48 * HOUR, 'the next key has been published already');
  assert.equal(await world.pass(resource), first);
  assert.equal(world.said.length, 4);
  const before = world.active(resource);
  world.now = first;
  await world.pass(resource);
  assert.notEqual(world.active(resource), before);
});

test('escrows every key to the recipients of the directory before it is used', async () => {
  const world = rotation();
  await world.pass(keySet(ESCROW), [recipients(ALLOWED)]);
  const [stored, ring] = [await world.store.readEscrow(), (await world.store.readKeyring())?.keyring];
  assert.ok(stored !== null && ring !== undefined);
  for (const { kid, algorithm, jwk, privateMembers } of ring.keys) {
    const text = await decrypted(stored.escrow.messages[kid] ?? '');
    assert.deepEqual(decodeEscrowedKey(text), { keySet: 'auth/trading', key: { kid, algorithm, jwk, privateMembers } });
  }
  assert.equal(ring.keys.length, 2);
});

const unusable: readonly [name: string, secrets: readonly ReferencedSecret[], says: RegExp][] = [
  ['no Secret', [], /Secret auth\/ops-pgp-keys is in no file of the policy directory; add it/],
  [
    'one of another namespace',
    [{ ...recipients(ALLOWED), namespace: 'other' }],
    /is in no file of the policy directory/,
  ],
  [
    'one without the label',
    [recipients({})],
    /may not be referred to; label it portcullis\.dev\/allow-reference: "true"/,
  ],
  ['no key in it', [recipients(ALLOWED, 'x')], /Secret auth\/ops-pgp-keys entry "ops.asc" is no OpenPGP public key/],
  [
    'a private key in it',
    [recipients(ALLOWED, operator.privateKey)],
    /Secret auth\/ops-pgp-keys entry "ops.asc" .*PRIVATE/i,
  ],
];
for (const [name, secrets, says] of unusable) {
  test(`makes no key that could not be escrowed: ${name}`, async () => {
    const world = rotation();
    await world.pass(keySet(ESCROW), secrets);
    await world.pass(keySet(ESCROW), secrets);
    assert.equal(world.active(keySet(ESCROW)), undefined);
    assert.equal(world.said.length, 1, 'said once');
    assert.match(world.said[0] ?? '', /^key set auth\/trading stands still: EscrowUnavailable: /);
    assert.match(world.said[0] ?? '', says);
    assert.doesNotMatch(world.said[0] ?? '', /BEGIN|xYYE/);
  });
}

test('says that keys are not escrowed where that is not required', async () => {
  const world = rotation();
  const resource = keySet({ escrow: { ...ESCROW.escrow, required: false } });
  await world.pass(resource);
  assert.ok(world.active(resource) !== undefined);
  assert.match(
    world.trouble(resource) ?? '',
    /^has keys that are not escrowed: Secret auth\/ops-pgp-keys is in no file/,
  );
});

for (const [from, to] of [
  ['ES256', 'Fernet'],
  ['Fernet', 'HS256'],
]) {
  test(`keys of ${from} never become keys of ${to}`, async () => {
    const world = rotation();
    await world.pass(keySet({ algorithm: from }));
    const before = await world.store.readKeyring();
    await world.pass(keySet({ algorithm: to }));
    assert.deepEqual(await world.store.readKeyring(), before);
    assert.match(
      world.said.at(-1) ?? '',
      new RegExp(
        `stands still: AlgorithmConflict: its keyring holds keys of ${from}, which spec.algorithm ${to} would`,
      ),
    );
  });
}

test('a keyring that is lost: said where it would be, for there is no Secret', async () => {
  const world = rotation();
  await world.pass(keySet({}));
  const directory = join(world.state, 'keys', 'auth.trading');
  for (const file of await readdir(directory)) if (file.startsWith('keyring.')) await rm(join(directory, file));
  await world.pass(keySet({}));
  const trouble = world.trouble(keySet({})) ?? '';
  assert.match(trouble, /^stands still: KeyringLost: .*regenerate@\d+; without a cluster the keyring is /);
  assert.ok(trouble.endsWith(`${directory}/keyring.*.json: put a backup back`), trouble);
});

test('a Fernet set that cannot drop a key says at its cap what to do', async () => {
  const world = rotation();
  const resource = keySet({ algorithm: 'Fernet', rotation: { period: '2h', maxKeys: 3 } });
  for (let hour = 0; hour < 12; hour++, world.now += HOUR) await world.pass(resource);
  assert.match(world.trouble(resource) ?? '', /holds 3 already \(rotation\.maxKeys\); re-encrypt what the oldest/);
});

test('a lost keyring stands still until its loss is accepted by its serial', async () => {
  const world = rotation();
  await world.pass(keySet({}));
  const { serial } = (await world.store.readOutputs()) ?? {};
  const before = world.active(keySet({}));
  const directory = join(world.state, 'keys', 'auth.trading');
  const keyring = (await readdir(directory)).find((name) => name.startsWith('keyring.'));
  await rm(join(directory, keyring ?? ''));
  await world.pass(keySet({}));
  assert.match(world.trouble(keySet({})) ?? '', new RegExp(`KeyringLost: .*recover=regenerate@${serial}`));
  const accepted = keySet({}, { [ANNOTATIONS.recover]: `regenerate@${serial}` });
  await world.pass(accepted);
  assert.equal(world.trouble(accepted), null);
  assert.notEqual(world.active(accepted), before);
});
