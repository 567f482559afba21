import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { connectKubeClient } from '../../operator/kube/https-kube-client.ts';
import type { KubeClient } from '../../operator/kube/kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import { NAMESPACES, SECRETS } from '../../operator/kube/objects.ts';
import { SIGNING_KEY_SETS } from '../../operator/resources.ts';
import { ControllerBench, ESCROW, OPERATOR, QUICK_SPEC } from '../../operator/signing-keys/testing/controller-bench.ts';
import { ANNOTATIONS, KEY_SET_FINALIZER, keyringSecretName, OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import { activeKid } from '../../policy/keys/outputs.ts';
import type { ApiServer } from '../cluster/api-server.ts';
import { apiServerFor, kubectlFor } from '../cluster/require-api-server.ts';
import { installCrds } from './install-crds.ts';

test('the controller of SigningKeySets on a kube-apiserver', async (t) => {
  const server = await apiServerFor(t);
  if (!server) return;
  const kubeConfig = loadKubeConfig({ path: server.kubeconfig });
  const client = connectKubeClient(kubeConfig, { requestsPerSecond: 10_000, burst: 10_000 });
  t.after(() => client.close());
  await installCrds(server);
  await client.create(NAMESPACES, { metadata: { name: OPERATOR } });
  await client.create(NAMESPACES, { metadata: { name: 'auth' } });

  await t.test('makes keys, says so once, and is at rest', () => makesKeys(new ControllerBench(client, 'makes-keys')));
  await t.test('shows its state to kubectl', (t) => showsState(t, server, new ControllerBench(client, 'shows-state')));
  await t.test('rotates as pods acknowledge', () => rotates(new ControllerBench(client, 'rotates')));
  await t.test('waits for pods, then goes on without them and says so', () =>
    laggards(new ControllerBench(client, 'laggards')),
  );
  await t.test('replaces a revoked key at once', () => revokes(new ControllerBench(client, 'revokes')));
  await t.test('stands still without its keyring', () => losesKeyring(new ControllerBench(client, 'loses-keyring')));
  await t.test('says when a Secret cannot be used', () =>
    meetsForeignSecret(new ControllerBench(client, 'meets-foreign')),
  );
  await t.test('two at once do the work of one', () => interleaves(client));
  await t.test('holds a key set while its deletion policy is Delete', () => holds(new ControllerBench(client, 'held')));
  await t.test('shares its objects with those who apply them', (t) =>
    sharesObjects(t, server, new ControllerBench(client, 'shared')),
  );
  await t.test('says to whom keys are escrowed, and erases them', () => erases(new ControllerBench(client, 'erased')));
  await t.test('encrypts with Fernet', () => encrypts(new ControllerBench(client, 'fernet')));
  await t.test('does not bring a deleted one back', () => deletedMeanwhile(new ControllerBench(client, 'deleted')));
});

async function makesKeys(bench: ControllerBench): Promise<void> {
  await bench.create();
  const { afterMs } = await bench.reconcile();
  const outputs = await bench.outputs();
  const status = await bench.status();
  assert.equal(status.activeKey, activeKid(outputs));
  assert.deepEqual(bench.reasons(), ['Activated', 'Published', 'Prepared', 'Published']);
  assert.deepEqual(await bench.conditions(), [
    'Accepted=True Accepted',
    'Ready=True Written',
    'Enforced=False NoMatchingPods',
    'Degraded=False AsExpected',
  ]);
  assert.equal(status.observedGeneration, 1);
  assert.ok(status.conditions?.every(({ observedGeneration }) => observedGeneration === 1));
  const planned = Date.parse(status.nextRotation ?? '');
  assert.ok(afterMs !== null && Math.abs(bench.now + afterMs - planned) < 1000, `${afterMs} ${status.nextRotation}`);

  const writes = bench.writes;
  bench.now += 1000;
  assert.notEqual((await bench.reconcile()).afterMs, null);
  assert.equal(bench.writes, writes, 'nothing changed, nothing written');
  assert.match(await bench.metric('portcullis_key_age_seconds'), /name="makes-keys",state="active"} 1$/m);
  assert.match(await bench.metric('portcullis_rotation_overdue_seconds'), /name="makes-keys"} 0$/m);
}

async function showsState(t: TestContext, server: ApiServer, bench: ControllerBench): Promise<void> {
  const kubectl = kubectlFor(t, server);
  if (!kubectl) return;
  await bench.create();
  await bench.reconcile();
  const { activeKey, nextKey, nextRotation } = await bench.status();
  const table = (await kubectl(['get', 'sks', '-n', 'auth', bench.name])).stdout;
  assert.match(table, /^NAME +READY +ALGORITHM +ACTIVE KEY +NEXT KEY +NEXT ROTATION +AGE\n/);
  assert.deepEqual(table.split('\n')[1]?.split(/ +/).slice(0, 6), [
    bench.name,
    'True',
    'ES256',
    activeKey,
    nextKey,
    nextRotation,
  ]);
  const ready = ['wait', '--for=condition=Ready', '--timeout=5s', `sks/${bench.name}`, '-n', 'auth'];
  assert.equal((await kubectl(ready)).code, 0);
}

async function rotates(bench: ControllerBench): Promise<void> {
  await bench.create();
  const signers: string[] = [];
  const since = new Map<string, number>();
  let loaded = 0;
  for (let seconds = 0; seconds < 100; seconds++) {
    bench.acknowledged = ['auth/pod-a', 'auth/pod-b'].map((consumer) => ({ consumer, serial: loaded }));
    await bench.reconcile();
    const outputs = await bench.outputs();
    const { serial, verificationKeys } = outputs;
    const kid = activeKid(outputs) ?? '';
    if (signers.at(-1) !== kid) {
      if (signers.length > 0) {
        assert.ok(bench.now - (since.get(kid) ?? bench.now) >= 5000, 'published 5 s before it signs');
        assert.ok(
          verificationKeys.some(({ kid }) => kid === signers.at(-1)),
          'the one before still verifies',
        );
      }
      signers.push(kid);
    }
    for (const { kid } of verificationKeys) if (!since.has(kid)) since.set(kid, bench.now);
    const status = await bench.status();
    assert.equal(status.activeKey, kid);
    assert.deepEqual(status.pods, loaded < serial ? pods(0, 2) : pods(2, 0));
    const enforced = loaded < serial ? 'Enforced=False Progressing' : 'Enforced=True Acknowledged';
    assert.ok((await bench.conditions()).includes(enforced), (await bench.conditions()).join());
    loaded = serial; // pods take a second
    bench.now += 1000;
  }
  assert.ok(signers.length >= 5, `${signers.length} keys signed`);
  assert.equal(new Set(signers).size, signers.length);
  assert.equal(bench.reasons().filter((reason) => reason === 'Activated').length, signers.length);
  assert.ok(bench.reasons().includes('Removed'));
}

async function laggards(bench: ControllerBench): Promise<void> {
  await bench.create();
  await bench.reconcile();
  const first = await bench.activeKid();
  bench.acknowledged = [
    { consumer: 'auth/pod-a', serial: 2 },
    { consumer: 'auth/pod-b', serial: 1 },
  ];
  bench.now += 30_000;
  await bench.reconcile();
  assert.equal(await bench.activeKid(), first, 'not before both have the next key');
  const waiting = (await bench.status()).conditions?.find(({ type }) => type === 'Enforced');
  assert.equal(waiting?.message, '1 of 2 pods have serial 2; waiting for auth/pod-b');
  assert.match(await bench.metric('portcullis_rotation_overdue_seconds'), /name="laggards"} 1[0-9.]+$/m);

  bench.now += 60_000;
  await bench.reconcile();
  const { serial } = await bench.outputs();
  assert.notEqual(await bench.activeKid(), first);
  assert.deepEqual(
    bench.reasons().filter((reason) => reason === 'ActivatedWithLaggards'),
    ['ActivatedWithLaggards'],
  );
  assert.ok((await bench.conditions()).includes('Degraded=True ActivatedWithLaggards'));
  bench.acknowledged = [
    { consumer: 'auth/pod-a', serial },
    { consumer: 'auth/pod-b', serial: 1 },
  ];
  await bench.reconcile();
  const degraded = (await bench.status()).conditions?.find(({ type }) => type === 'Degraded');
  assert.equal(degraded?.status, 'True', 'it stays so as long as a pod lags');
  assert.match(degraded.message, /refuse its tokens: auth\/pod-b; see why/);
  bench.acknowledged = bench.acknowledged.map(({ consumer }) => ({ consumer, serial }));
  await bench.reconcile();
  assert.ok((await bench.conditions()).includes('Degraded=False AsExpected'));
}

async function revokes(bench: ControllerBench): Promise<void> {
  await bench.create();
  await bench.reconcile();
  const kid = await bench.activeKid();
  await bench.patch({ spec: { revocations: [{ kid, reason: 'laptop stolen' }] } });
  await bench.reconcile();
  const { verificationKeys } = await bench.outputs();
  assert.notEqual(await bench.activeKid(), kid);
  assert.ok(!verificationKeys.some((key) => key.kid === kid));
  const event = bench.events.find(({ reason }) => reason === 'Revoked');
  assert.equal(event?.type, 'Warning');
  assert.match(event.message, /laptop stolen/);
  assert.equal((await bench.status()).observedGeneration, 2);
}

async function losesKeyring(bench: ControllerBench): Promise<void> {
  await bench.create();
  await bench.reconcile();
  const before = await bench.status();
  await bench.deleteSecret(keyringSecretName);
  bench.now += 1_000_000;
  for (let pass = 0; pass < 3; pass++) assert.deepEqual(await bench.reconcile(), { afterMs: null });
  const status = await bench.status();
  assert.deepEqual((await bench.conditions()).slice(1), [
    'Ready=False KeyringLost',
    'Enforced=False NoMatchingPods',
    'Degraded=True KeyringLost',
  ]);
  assert.match(status.conditions?.at(-1)?.message ?? '', /of serial 2\. Restore it/);
  assert.deepEqual([status.activeKey, status.nextRotation], [before.activeKey, before.nextRotation]);
  const ready = status.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
  assert.equal(ready, new Date(bench.now).toISOString().replace(/\.\d+/, ''));
  assert.equal(status.conditions?.[0]?.lastTransitionTime, before.conditions?.[0]?.lastTransitionTime);
  assert.equal(bench.reasons().filter((reason) => reason === 'Halted').length, 1);
  assert.match(await bench.metric('portcullis_rotation_overdue_seconds'), /name="loses-keyring"} 98\d/m);
}

async function meetsForeignSecret(bench: ControllerBench): Promise<void> {
  const name = keyringSecretName('auth', bench.name);
  await bench.client.create(SECRETS, { metadata: { namespace: OPERATOR, name } });
  await bench.create();
  for (let pass = 0; pass < 2; pass++) await assert.rejects(bench.reconcile(), { code: 'keyring_refused' });
  const status = await bench.status();
  assert.deepEqual(await bench.conditions(), [
    'Accepted=False Conflicted',
    'Ready=False Conflicted',
    'Enforced=Unknown Conflicted',
    'Degraded=True Conflicted',
  ]);
  assert.match(
    status.conditions?.at(-1)?.message ?? '',
    /^metadata.name: Secret portcullis-system\/auth\.meets-foreign-keyring does not/,
  );
  assert.deepEqual(bench.reasons(), ['Halted']);
  await bench.deleteSecret(keyringSecretName);
  await bench.reconcile();
  assert.ok((await bench.conditions()).includes('Ready=True Written'));
}

async function interleaves(client: KubeClient): Promise<void> {
  const benches = [1, 2].map(() => new ControllerBench(client, 'interleaves'));
  await benches[0]!.create();
  let serial = 0;
  for (let seconds = 0; seconds < 60; seconds += 2) {
    await Promise.all(benches.map((bench) => bench.reconcile()));
    const outputs = await benches[0]!.outputs();
    assert.ok(outputs.serial >= serial);
    serial = outputs.serial;
    for (const bench of benches) bench.now += 2000;
  }
  const counts = new Map<string, number>();
  for (const { reason, message } of benches.flatMap(({ events }) => events)) {
    counts.set(`${reason} ${message}`, (counts.get(`${reason} ${message}`) ?? 0) + 1);
  }
  assert.ok([...counts.keys()].filter((event) => event.startsWith('Activated')).length >= 3);
  assert.deepEqual(
    [...counts].filter(([, count]) => count !== 1),
    [],
  );
}

async function holds(bench: ControllerBench): Promise<void> {
  await bench.create({ deletionPolicy: 'Delete' });
  const finalizers = async () => (await bench.object())?.metadata.finalizers ?? [];
  await bench.patch({ metadata: { finalizers: ['example.com/other'] } });
  await bench.reconcile();
  assert.deepEqual(await finalizers(), ['example.com/other', KEY_SET_FINALIZER]);
  await bench.patch({ spec: { deletionPolicy: 'Retain' } });
  await bench.reconcile();
  assert.deepEqual(await finalizers(), ['example.com/other']);
  await bench.patch({ spec: { deletionPolicy: 'Delete' } });
  await bench.reconcile();
  await bench.client.delete(SIGNING_KEY_SETS, bench.key);
  assert.notEqual(await bench.object(), null);
  await bench.reconcile();
  assert.deepEqual(await finalizers(), ['example.com/other'], 'our work is done');
  assert.deepEqual(await bench.secrets(), []);
  const { writes } = bench;
  await bench.reconcile();
  assert.equal(bench.writes, writes);
  await bench.patch({ metadata: { finalizers: null } });
  assert.equal(await bench.object(), null);
}

async function sharesObjects(t: TestContext, server: ApiServer, bench: ControllerBench): Promise<void> {
  const kubectl = kubectlFor(t, server);
  if (!kubectl) return;
  const { apiVersion, kind } = SIGNING_KEY_SETS;
  const apply = async (annotations: Readonly<Record<string, string>>, ...how: readonly string[]): Promise<void> => {
    const metadata = { ...bench.key, annotations, finalizers: ['example.com/gitops'] };
    const manifest = { apiVersion, kind, metadata, spec: { ...QUICK_SPEC, deletionPolicy: 'Delete' } };
    const { code, stderr } = await kubectl(['apply', ...how, '-f', '-'], JSON.stringify(manifest));
    assert.equal(code, 0, stderr);
  };
  await apply({ team: 'one' }, '--server-side');
  await bench.reconcile();
  await apply({ team: 'two', [ANNOTATIONS.rotateRequestedAt]: 'monday' }, '--server-side');
  await bench.reconcile();
  const { metadata, status } = (await bench.object()) ?? assert.fail();
  assert.deepEqual(metadata.finalizers, ['example.com/gitops', KEY_SET_FINALIZER]);
  assert.equal(metadata.annotations?.['team'], 'two');
  assert.equal(metadata.annotations?.[OWN_ANNOTATIONS.initialised], 'true');
  assert.equal(status?.rotateRequest, 'monday');
  const { writes } = bench;
  await bench.reconcile();
  assert.equal(bench.writes, writes, 'nobody fights');
}

async function erases(bench: ControllerBench): Promise<void> {
  await bench.create({ deletionPolicy: 'Delete', ...ESCROW });
  assert.deepEqual(await bench.reconcile(), { afterMs: 60_000 });
  assert.ok((await bench.conditions()).includes('Ready=False EscrowUnavailable'));
  await bench.writeRecipients();
  await bench.reconcile();
  assert.match((await bench.status()).escrow?.recipients.join() ?? '', /^[0-9A-F]{40}$/);
  await bench.client.delete(SIGNING_KEY_SETS, bench.key);
  await bench.reconcile();
  assert.equal(await bench.object(), null);
  assert.deepEqual(await bench.secrets(), ['auth.erased-escrow']);
  assert.deepEqual(bench.reasons(), ['Halted', 'Activated', 'Published', 'Prepared', 'Published', 'Erased']);
}

async function encrypts(bench: ControllerBench): Promise<void> {
  const { apiVersion, kind } = SIGNING_KEY_SETS;
  const spec = { algorithm: 'Fernet', rotation: { period: '2h', maxKeys: 3 } };
  await bench.client.create(SIGNING_KEY_SETS, { apiVersion, kind, metadata: { ...bench.key }, spec });
  for (let hours = 0; hours < 12; hours++) {
    await bench.reconcile();
    bench.now += 3_600_000;
  }
  assert.ok((await bench.conditions()).includes('Degraded=True MaxKeys'), (await bench.conditions()).join());
  const { keys = [] } = await bench.status();
  assert.deepEqual(
    keys.map(({ state, removedAfter }) => [state, removedAfter]),
    [
      ['Retired', undefined],
      ['Retired', undefined],
      ['Active', undefined],
    ],
  );
  assert.match(await bench.message('Degraded'), new RegExp(`then revoke them: ${keys[0]?.kid}, ${keys[1]?.kid}$`));
}

async function deletedMeanwhile({ client }: ControllerBench): Promise<void> {
  for (const policy of ['Retain', 'Delete']) {
    let before = async (): Promise<unknown> => null;
    const slow = new Proxy(client, {
      get:
        (target, verb: 'get' | 'patch' | 'apply') =>
        async (...given: Parameters<KubeClient['get']>): Promise<unknown> => {
          if (verb === 'patch' || verb === 'apply') await before();
          return Reflect.apply(target[verb], target, given);
        },
    });
    const bench = new ControllerBench(slow, `deleted-${policy.toLowerCase()}`);
    await bench.create({ deletionPolicy: policy });
    before = () => client.delete(SIGNING_KEY_SETS, bench.key);
    await bench.reconcile();
    assert.equal(await bench.object(), null, policy);
    assert.equal((await bench.secrets()).length, policy === 'Delete' ? 0 : 3);
  }
}

const pods = (current: number, stale: number) => ({ matched: current + stale, current, stale });
