import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ANNOTATIONS,
  escrowSecretName,
  keyringSecretName,
  OWN_ANNOTATIONS,
  outputsSecretName,
} from '../../policy/api/names.ts';
import { SECRETS } from '../kube/objects.ts';
import { SIGNING_KEY_SETS } from '../resources.ts';
import { KEYRING_FILE } from './secret-key-set-store.ts';
import { ControllerBench, ESCROW, OPERATOR } from './testing/controller-bench.ts';
import { FinalizingKubeClient } from './testing/finalizing-kube-client.ts';

test('two sets with one target: the younger has no keys until the older is gone', async () => {
  const client = new FinalizingKubeClient();
  const [older, younger] = [new ControllerBench(client, 'a'), new ControllerBench(client, 'b')];
  await older.create({ secretName: 'shared', deletionPolicy: 'Delete' });
  await younger.create({ secretName: 'shared' });
  await younger.reconcile();
  await older.reconcile();
  assert.deepEqual(await younger.secrets(), []);
  assert.deepEqual(await younger.conditions(), [
    'Accepted=False Conflicted',
    'Ready=False Conflicted',
    'Enforced=Unknown Conflicted',
    'Degraded=True Conflicted',
  ]);
  assert.equal(
    await younger.message('Accepted'),
    'spec.secretName: Secret shared is already that of SigningKeySet a, which is older; write another name',
  );
  assert.deepEqual(younger.reasons(), ['Halted']);
  assert.match(await younger.metric('portcullis_key_set_halted'), /name="b",reason="Conflicted"} 1$/m);
  assert.ok((await older.conditions()).includes('Ready=True Written'));

  await client.delete(SIGNING_KEY_SETS, older.key);
  await older.reconcile();
  await younger.reconcile();
  assert.ok((await younger.conditions()).includes('Accepted=True Accepted'));
  assert.ok((await younger.conditions()).includes('Ready=True Written'));
  assert.doesNotMatch(await younger.metric('portcullis_key_set_halted'), /name="b"/);
});

test('a set with keys whose target comes to belong to another goes on with them, and overwrites nothing', async () => {
  const client = new FinalizingKubeClient();
  const [older, younger] = [new ControllerBench(client, 'a'), new ControllerBench(client, 'b')];
  for (const bench of [older, younger]) {
    await bench.create();
    await bench.reconcile();
  }
  const export0 = await client.get(SECRETS, { namespace: 'auth', name: 'a-jwks' });
  await younger.patch({ spec: { secretName: 'a-jwks' } });
  const kid = await younger.activeKid();
  await younger.patch({ spec: { revocations: [{ kid }] } });
  await younger.reconcile();
  assert.equal((await younger.conditions())[0], 'Accepted=False Conflicted');
  assert.notEqual(await younger.activeKid(), kid, 'a stolen key is revoked all the same');
  assert.deepEqual(await client.get(SECRETS, { namespace: 'auth', name: 'a-jwks' }), export0);
});

test('a foreign Secret in the place of the export is not overwritten, and looked at again', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'foreign');
  const at = { namespace: 'auth', name: 'foreign-jwks' };
  await bench.client.create(SECRETS, { metadata: at, data: { theirs: 'eA==' } });
  await bench.create();
  assert.deepEqual(await bench.reconcile(), { afterMs: 60_000 });
  assert.deepEqual((await bench.conditions()).slice(0, 2), ['Accepted=False Conflicted', 'Ready=False Conflicted']);
  assert.match(await bench.message('Accepted'), /spec\.secretName/);
  assert.deepEqual((await bench.client.get(SECRETS, at))?.data, { theirs: 'eA==' });
  assert.equal((await bench.object())?.metadata.annotations?.[OWN_ANNOTATIONS.initialised], 'true');
  await bench.client.delete(SECRETS, at);
  await bench.reconcile();
  assert.ok((await bench.conditions()).includes('Ready=True Written'));
});

test('recipients that are missing are named, and keys are made once they arrive', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'escrowed');
  await bench.create(ESCROW);
  assert.deepEqual(await bench.reconcile(), { afterMs: 60_000 });
  assert.ok((await bench.conditions()).includes('Ready=False EscrowUnavailable'));
  assert.match(await bench.message('Ready'), /Secret auth\/ops does not exist; write one armoured OpenPGP public key/);
  assert.deepEqual(bench.reasons(), ['Halted']);
  assert.deepEqual(await bench.secrets(), []);
  await bench.reconcile();
  assert.deepEqual(bench.reasons(), ['Halted'], 'said once');

  await bench.writeRecipients({});
  await bench.reconcile();
  assert.match(await bench.message('Ready'), /label it portcullis.dev\/allow-reference=true/);
  await bench.client.delete(SECRETS, { namespace: 'auth', name: 'ops' });
  await bench.writeRecipients();
  await bench.reconcile();
  assert.ok((await bench.conditions()).includes('Ready=True Written'));
  assert.equal((await bench.status()).escrow?.recipients.length, 1);
  assert.equal((await bench.secrets()).length, 4);
});

test('recipients are read again every day at least: they expire on a day that nothing announces', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'daily');
  await bench.writeRecipients();
  await bench.create({ ...ESCROW, rotation: { period: '720h', prePublish: '24h' } });
  assert.deepEqual(await bench.reconcile(), { afterMs: 86_400_000 });
});

test('a status that was lost is written again', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'amnesia');
  await bench.writeRecipients();
  await bench.create(ESCROW);
  await bench.reconcile();
  const before = await bench.status();
  await bench.patch({ status: null });
  await bench.reconcile();
  assert.deepEqual(await bench.status(), before);
});

test('lost Secrets: nothing is made anew until the loss of that very serial is accepted', async () => {
  for (const lost of [[keyringSecretName], [keyringSecretName, outputsSecretName, escrowSecretName]]) {
    const bench = new ControllerBench(new FinalizingKubeClient(), 'lost');
    await bench.writeRecipients();
    await bench.create(ESCROW);
    await bench.reconcile();
    const { activeKey, serial = 0 } = await bench.status();
    for (const nameOf of lost) await bench.deleteSecret(nameOf);
    const halted = async (): Promise<void> => {
      await bench.reconcile();
      assert.ok((await bench.conditions()).includes('Degraded=True KeyringLost'));
      const now = await bench.status();
      assert.deepEqual([now.activeKey, now.serial], [activeKey, serial]);
    };
    await halted();
    await bench.annotate({ [ANNOTATIONS.recover]: `regenerate@${serial - 1}` });
    await halted();
    await bench.annotate({ [ANNOTATIONS.recover]: `regenerate@${serial}` });
    await bench.reconcile();
    const now = await bench.status();
    assert.notEqual(now.activeKey, activeKey);
    assert.ok((now.serial ?? 0) > serial, `${now.serial}`);
    assert.deepEqual(
      bench.reasons().filter((reason) => ['Halted', 'Forced'].includes(reason)),
      ['Halted', 'Forced'],
    );
    assert.ok((await bench.conditions()).includes('Degraded=False AsExpected'));
  }
});

test('everything lost but the annotation: it halts', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'annotated');
  await bench.create();
  await bench.reconcile();
  for (const nameOf of [keyringSecretName, outputsSecretName]) await bench.deleteSecret(nameOf);
  await bench.client.delete(SECRETS, { namespace: 'auth', name: 'annotated-jwks' });
  await bench.patch({ status: null });
  await bench.reconcile();
  assert.match(await bench.message('Ready'), /regenerate@0$/);
});

test('what people write is told without what terminals obey', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'escapes');
  await bench.create();
  await bench.reconcile();
  await bench.patch({ spec: { revocations: [{ kid: await bench.activeKid(), reason: 'sto\u001b[2Jlen' }] } });
  await bench.reconcile();
  assert.match(bench.events.find(({ reason }) => reason === 'Revoked')?.message ?? '', /revoked: sto \[2Jlen$/);
});

test('a rotate request is said to be taken note of, in the status and in an Event', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'asked');
  await bench.create();
  await bench.reconcile();
  await bench.annotate({ [ANNOTATIONS.rotateRequestedAt]: 'monday' });
  await bench.reconcile();
  assert.equal((await bench.status()).rotateRequest, 'monday');
  assert.ok(bench.reasons().includes('RotateRequested'));
});

const unusable: readonly {
  name: string;
  data: Readonly<Record<string, string>>;
  labelled: boolean;
  found: string[];
}[] = [
  {
    name: 'a Secret of somebody else in the place of the keyring',
    data: { theirs: 'eA==' },
    labelled: false,
    found: ['Accepted=False Conflicted', 'Ready=False Conflicted'],
  },
  {
    name: 'a damaged keyring',
    data: { [KEYRING_FILE]: 'eA==' },
    labelled: true,
    found: ['Accepted=True Accepted', 'Ready=False KeyringInvalid'],
  },
];

for (const { name, data, labelled, found } of unusable) {
  test(`${name}: said once, nothing is overwritten, and what was known stays known`, async () => {
    const bench = new ControllerBench(new FinalizingKubeClient(), 'mine');
    await bench.create();
    await bench.reconcile();
    const { activeKey, keys, serial } = await bench.status();
    const at = { namespace: OPERATOR, name: keyringSecretName('auth', 'mine') };
    const ours = await bench.client.get(SECRETS, at);
    await bench.deleteSecret(keyringSecretName);
    const labels = labelled ? (ours?.metadata.labels ?? {}) : {};
    await bench.client.create(SECRETS, { metadata: { ...at, labels }, data });
    for (let pass = 0; pass < 2; pass++) await assert.rejects(bench.reconcile());
    assert.deepEqual((await bench.conditions()).slice(0, 2), found);
    assert.match(await bench.message('Ready'), /Secret portcullis-system\/auth\.mine-keyring .*restore/);
    assert.deepEqual(bench.reasons().slice(4), ['Halted']);
    assert.match(await bench.metric('portcullis_key_set_halted'), /name="mine"/);
    const now = await bench.status();
    assert.deepEqual([now.activeKey, now.keys, now.serial], [activeKey, keys, serial]);
    assert.deepEqual((await bench.client.get(SECRETS, at))?.data, data);
  });
}

test('a spec that the operator does not understand leaves the keys alone', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'newer');
  await bench.create();
  await bench.reconcile();
  const { activeKey } = await bench.status();
  const outputs = await bench.outputs();
  await bench.patch({ spec: { algorithm: 'ML-DSA-65' } });
  assert.deepEqual(await bench.reconcile(), { afterMs: null });
  assert.equal((await bench.conditions())[0], 'Accepted=False Invalid');
  assert.match(await bench.message('Accepted'), /^spec\.algorithm: must be one of HS256, /);
  assert.equal((await bench.status()).activeKey, activeKey);
  assert.deepEqual(await bench.outputs(), outputs);
});

test('an Event tells of a revocation even when what follows fails', async () => {
  const client = new FinalizingKubeClient();
  const bench = new ControllerBench(client, 'revoked');
  await bench.create();
  await bench.reconcile();
  await bench.patch({ spec: { revocations: [{ kid: await bench.activeKid(), reason: 'stolen' }] } });
  client.before = ({ verb, name }) => {
    if (verb === 'replace' && name.endsWith('-outputs')) throw new Error('the API server is away');
  };
  await assert.rejects(bench.reconcile());
  assert.deepEqual(bench.reasons().slice(4), ['Revoked', 'Forced']);
});
