import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Registry } from 'prom-client';
import { connectKubeClient } from '../../operator/kube/https-kube-client.ts';
import type { EventRecord, KubeClient } from '../../operator/kube/kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import { NAMESPACES, SECRETS } from '../../operator/kube/objects.ts';
import { type CustomResource, SIGNING_KEY_SETS, type SigningKeySetStatus } from '../../operator/resources.ts';
import { generateKey } from '../../operator/signing-keys/generate-key.ts';
import { KeySetMetrics } from '../../operator/signing-keys/key-set-metrics.ts';
import { SecretKeySetStore } from '../../operator/signing-keys/secret-key-set-store.ts';
import { signingKeySetController } from '../../operator/signing-keys/signing-key-set-controller.ts';
import { keyringSecretName, outputsSecretName } from '../../policy/api/names.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import type { Acknowledgement } from '../../policy/keys/step.ts';
import type { ApiServer } from '../cluster/api-server.ts';
import { apiServerFor, kubectlFor } from '../cluster/require-api-server.ts';
import { installCrds } from './install-crds.ts';

const SPEC = {
  algorithm: 'ES256',
  issuer: 'https://auth.trading.example',
  audiences: ['trading-api'],
  maxTokenLifetime: '20s',
  rotation: { period: '15s', prePublish: '5s', ackTimeout: '1m' },
  propagation: '3s',
  jwksMaxAge: '0s',
  clockSkew: '1s',
};

const OPERATOR = 'portcullis-system';

test('the controller of SigningKeySets on a kube-apiserver', async (t) => {
  const server = await apiServerFor(t);
  if (!server) return;
  const kubeConfig = loadKubeConfig({ path: server.kubeconfig });
  const client = connectKubeClient(kubeConfig, { requestsPerSecond: 10_000, burst: 10_000 });
  t.after(() => client.close());
  await installCrds(server);
  await client.create(NAMESPACES, { metadata: { name: OPERATOR } });
  await client.create(NAMESPACES, { metadata: { name: 'auth' } });

  await t.test('makes keys, says so once, and is at rest', () => makesKeys(new Bench(client, 'makes-keys')));
  await t.test('shows its state to kubectl', (t) => showsState(t, server, new Bench(client, 'shows-state')));
  await t.test('rotates as pods acknowledge', () => rotates(new Bench(client, 'rotates')));
  await t.test('waits for pods, then goes on without them and says so', () => laggards(new Bench(client, 'laggards')));
  await t.test('replaces a revoked key at once', () => revokes(new Bench(client, 'revokes')));
  await t.test('writes deleted outputs again', () => losesOutputs(new Bench(client, 'loses-outputs')));
  await t.test('stands still without its keyring', () => losesKeyring(new Bench(client, 'loses-keyring')));
  await t.test('stands still without either Secret', () => losesBoth(new Bench(client, 'loses-both')));
  await t.test('says when a Secret cannot be used', () => meetsForeignSecret(new Bench(client, 'meets-foreign')));
  await t.test('leaves keys alone that it does not understand the spec of', () =>
    meetsOtherVersion(new Bench(client, 'newer')),
  );
  await t.test('two at once do the work of one', () => interleaves(client));
  await t.test('keeps the keys of a deleted key set for another of its name', () => retains(new Bench(client, 'kept')));
  await t.test('does not bring a deleted one back', () => deletedMeanwhile(new Bench(client, 'deleted')));
});

async function makesKeys(bench: Bench): Promise<void> {
  await bench.create();
  const { afterMs } = await bench.reconcile();
  const outputs = await bench.outputs();
  const status = await bench.status();
  assert.equal(status.activeKey, outputs.issuing.kid);
  assert.deepEqual(bench.reasons(), ['KeyringCreated', 'KeyAdded']);
  assert.deepEqual(bench.conditions(status), [
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

async function showsState(t: TestContext, server: ApiServer, bench: Bench): Promise<void> {
  const kubectl = kubectlFor(t, server);
  if (!kubectl) return;
  await bench.create();
  await bench.reconcile();
  const { activeKey, nextRotation } = await bench.status();
  const table = (await kubectl(['get', 'sks', '-n', 'auth', bench.name])).stdout;
  assert.match(table, /^NAME +READY +ACTIVE KEY +NEXT ROTATION +AGE\n/);
  assert.deepEqual(table.split('\n')[1]?.split(/ +/).slice(0, 4), [bench.name, 'True', activeKey, nextRotation]);
  const ready = ['wait', '--for=condition=Ready', '--timeout=5s', `sks/${bench.name}`, '-n', 'auth'];
  assert.equal((await kubectl(ready)).code, 0);
}

async function rotates(bench: Bench): Promise<void> {
  await bench.create();
  const signers: string[] = [];
  const since = new Map<string, number>();
  let loaded = 0;
  for (let seconds = 0; seconds < 100; seconds++) {
    bench.acknowledged = ['auth/pod-a', 'auth/pod-b'].map((consumer) => ({ consumer, serial: loaded }));
    await bench.reconcile();
    const { serial, issuing, verificationKeys } = await bench.outputs();
    if (signers.at(-1) !== issuing.kid) {
      if (signers.length > 0) {
        assert.ok(bench.now - (since.get(issuing.kid) ?? bench.now) >= 5000, 'published 5 s before it signs');
        assert.ok(
          verificationKeys.some(({ kid }) => kid === signers.at(-1)),
          'the one before still verifies',
        );
      }
      signers.push(issuing.kid);
    }
    for (const { kid } of verificationKeys) if (!since.has(kid)) since.set(kid, bench.now);
    const status = await bench.status();
    assert.equal(status.activeKey, issuing.kid);
    assert.deepEqual(status.pods, loaded < serial ? pods(0, 2) : pods(2, 0));
    const enforced = loaded < serial ? 'Enforced=False Progressing' : 'Enforced=True Acknowledged';
    assert.ok(bench.conditions(status).includes(enforced), bench.conditions(status).join());
    loaded = serial; // pods take a second
    bench.now += 1000;
  }
  assert.ok(signers.length >= 5, `${signers.length} keys signed`);
  assert.equal(new Set(signers).size, signers.length);
  assert.equal(bench.reasons().filter((reason) => reason === 'KeyActivated').length, signers.length - 1);
  assert.ok(bench.reasons().includes('KeyDropped'));
}

async function laggards(bench: Bench): Promise<void> {
  await bench.create();
  await bench.reconcile();
  const first = (await bench.outputs()).issuing.kid;
  bench.acknowledged = [
    { consumer: 'auth/pod-a', serial: 2 },
    { consumer: 'auth/pod-b', serial: 1 },
  ];
  bench.now += 30_000;
  await bench.reconcile();
  assert.equal((await bench.outputs()).issuing.kid, first, 'not before both have the next key');
  const waiting = (await bench.status()).conditions?.find(({ type }) => type === 'Enforced');
  assert.equal(waiting?.message, '1 of 2 pods have serial 2; waiting for auth/pod-b');
  assert.match(await bench.metric('portcullis_rotation_overdue_seconds'), /name="laggards"} 1[0-9.]+$/m);

  bench.now += 60_000;
  await bench.reconcile();
  const { issuing, serial } = await bench.outputs();
  assert.notEqual(issuing.kid, first);
  assert.deepEqual(
    bench.reasons().filter((reason) => reason === 'ActivatedWithLaggards'),
    ['ActivatedWithLaggards'],
  );
  assert.ok(bench.conditions(await bench.status()).includes('Degraded=True ActivatedWithLaggards'));
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
  assert.ok(bench.conditions(await bench.status()).includes('Degraded=False AsExpected'));
}

async function revokes(bench: Bench): Promise<void> {
  await bench.create();
  await bench.reconcile();
  const { kid } = (await bench.outputs()).issuing;
  await bench.patch({ spec: { revocations: [{ kid, reason: 'laptop stolen' }] } });
  await bench.reconcile();
  const { issuing, verificationKeys } = await bench.outputs();
  assert.notEqual(issuing.kid, kid);
  assert.ok(!verificationKeys.some((key) => key.kid === kid));
  const event = bench.events.find(({ reason }) => reason === 'KeyRevoked');
  assert.equal(event?.type, 'Warning');
  assert.match(event.message, /laptop stolen/);
  assert.equal((await bench.status()).observedGeneration, 2);
}

async function losesOutputs(bench: Bench): Promise<void> {
  await bench.create();
  await bench.reconcile();
  const outputs = await bench.outputs();
  await bench.deleteSecret(outputsSecretName);
  await bench.reconcile();
  assert.deepEqual(await bench.outputs(), outputs);
}

async function losesKeyring(bench: Bench): Promise<void> {
  await bench.create();
  await bench.reconcile();
  const before = await bench.status();
  await bench.deleteSecret(keyringSecretName);
  bench.now += 1_000_000;
  for (let pass = 0; pass < 3; pass++) assert.deepEqual(await bench.reconcile(), { afterMs: null });
  const status = await bench.status();
  assert.deepEqual(bench.conditions(status).slice(1), [
    'Ready=False KeyringLost',
    'Enforced=False NoMatchingPods',
    'Degraded=True KeyringLost',
  ]);
  assert.match(status.conditions?.at(-1)?.message ?? '', /restore it from a backup/);
  assert.deepEqual([status.activeKey, status.nextRotation], [before.activeKey, before.nextRotation]);
  const ready = status.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
  assert.equal(ready, new Date(bench.now).toISOString().replace(/\.\d+/, ''));
  assert.equal(status.conditions?.[0]?.lastTransitionTime, before.conditions?.[0]?.lastTransitionTime);
  assert.equal(bench.reasons().filter((reason) => reason === 'KeyringLost').length, 1);
  assert.match(await bench.metric('portcullis_rotation_overdue_seconds'), /name="loses-keyring"} 98\d/m);
}

async function losesBoth(bench: Bench): Promise<void> {
  await bench.create();
  await bench.reconcile();
  await bench.deleteSecret(keyringSecretName);
  await bench.deleteSecret(outputsSecretName);
  for (let pass = 0; pass < 3; pass++) {
    await bench.reconcile();
    assert.ok(bench.conditions(await bench.status()).includes('Degraded=True KeyringLost'), `pass ${pass}`);
  }
  await assert.rejects(bench.outputs(), 'no key was made anew');
}

async function meetsForeignSecret(bench: Bench): Promise<void> {
  const name = keyringSecretName('auth', bench.name);
  await bench.client.create(SECRETS, { metadata: { namespace: OPERATOR, name } });
  await bench.create();
  for (let pass = 0; pass < 2; pass++) await assert.rejects(bench.reconcile(), { code: 'keyring_invalid' });
  const status = await bench.status();
  assert.deepEqual(bench.conditions(status), [
    'Accepted=True Accepted',
    'Ready=False KeyringInvalid',
    'Enforced=Unknown KeyringInvalid',
    'Degraded=True KeyringInvalid',
  ]);
  assert.match(
    status.conditions?.at(-1)?.message ?? '',
    /^Secret portcullis-system\/auth\.meets-foreign-keyring does not/,
  );
  assert.deepEqual(bench.reasons(), ['KeyringInvalid']);
  await bench.deleteSecret(keyringSecretName);
  await bench.reconcile();
  assert.ok(bench.conditions(await bench.status()).includes('Ready=True Written'));
}

async function meetsOtherVersion(bench: Bench): Promise<void> {
  await bench.create();
  await bench.reconcile();
  const { activeKey } = await bench.status();
  const object = await bench.client.get(SIGNING_KEY_SETS, bench.key);
  assert.ok(object !== null);
  bench.cached = { ...object, spec: { ...SPEC, algorithm: 'ML-DSA-65' } };
  assert.deepEqual(await bench.reconcile(), { afterMs: null });
  const status = await bench.status();
  assert.equal(bench.conditions(status)[0], 'Accepted=False Invalid');
  assert.match(status.conditions?.[0]?.message ?? '', /^spec\.algorithm: must be one of HS256, RS256, ES256/);
  assert.equal(status.activeKey, activeKey);
}

async function interleaves(client: KubeClient): Promise<void> {
  const benches = [1, 2].map(() => new Bench(client, 'interleaves'));
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
  assert.ok([...counts.keys()].filter((event) => event.startsWith('KeyActivated')).length >= 3);
  assert.deepEqual(
    [...counts].filter(([, count]) => count !== 1),
    [],
  );
}

async function retains(bench: Bench): Promise<void> {
  await bench.create();
  await bench.reconcile();
  const outputs = await bench.outputs();
  await bench.client.delete(SIGNING_KEY_SETS, bench.key);
  assert.deepEqual(await bench.reconcile(), { afterMs: null });
  assert.doesNotMatch(await bench.metric('portcullis_key_age_seconds'), /kept/);
  assert.deepEqual(await bench.outputs(), outputs);
  await bench.create();
  await bench.reconcile();
  assert.deepEqual(await bench.outputs(), outputs);
}

async function deletedMeanwhile(bench: Bench): Promise<void> {
  await bench.create();
  const old = await bench.client.get(SIGNING_KEY_SETS, bench.key);
  await bench.client.delete(SIGNING_KEY_SETS, bench.key);
  bench.cached = old ?? undefined;
  await bench.reconcile();
  assert.equal(await bench.client.get(SIGNING_KEY_SETS, bench.key), null);
}

const pods = (current: number, stale: number) => ({ matched: current + stale, current, stale });

/** A controller of one key set, with a clock and acknowledgements that are set by hand. */
class Bench {
  now = Date.parse('2030-01-01T00:00:00.250Z');
  acknowledged: readonly Acknowledgement[] = [];
  readonly events: EventRecord[] = [];
  writes = 0;
  /** What the cache holds, once; afterwards what the API server has. */
  cached: CustomResource<SigningKeySetStatus> | undefined;
  readonly client: KubeClient;
  readonly name: string;
  readonly key: { readonly namespace: string; readonly name: string };
  readonly #registry = new Registry();
  readonly #reconcile: ReturnType<typeof signingKeySetController>;

  constructor(client: KubeClient, name: string) {
    this.client = client;
    this.name = name;
    this.key = { namespace: 'auth', name };
    const counted = <T>(request: Promise<T>): Promise<T> => {
      this.writes++;
      return request;
    };
    this.#reconcile = signingKeySetController({
      client: {
        get: (type, key) => client.get(type, key),
        create: (type, object) => counted(client.create(type, object)),
        replace: (type, object) => counted(client.replace(type, object)),
        apply: (type, object, subresource) => counted(client.apply(type, object, subresource)),
      },
      keySets: { get: () => this.cached },
      operatorNamespace: OPERATOR,
      acknowledgements: (keySet) => (keySet === `auth/${name}` ? this.acknowledged : []),
      events: { record: (event) => void this.events.push(event) },
      metrics: new KeySetMetrics(this.#registry, () => this.now),
      now: () => this.now,
      generateKey,
    });
  }

  async create(): Promise<void> {
    await this.client.create(SIGNING_KEY_SETS, { metadata: { ...this.key }, spec: SPEC });
  }

  async reconcile() {
    this.cached ??= (await this.client.get(SIGNING_KEY_SETS, this.key)) ?? undefined;
    const result = await this.#reconcile(`auth/${this.name}`).finally(() => {
      this.cached = undefined;
    });
    return result;
  }

  async status(): Promise<SigningKeySetStatus> {
    const object = await this.client.get(SIGNING_KEY_SETS, this.key);
    assert.ok(object?.status !== undefined);
    return object.status;
  }

  conditions({ conditions = [] }: SigningKeySetStatus): string[] {
    return conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`);
  }

  reasons(): string[] {
    return this.events.map(({ reason }) => reason);
  }

  async outputs(): Promise<KeySetOutputs> {
    const outputs = await new SecretKeySetStore(this.client, OPERATOR, this.key).readOutputs();
    assert.ok(outputs !== null, 'no outputs');
    return outputs;
  }

  async deleteSecret(nameOf: (namespace: string, name: string) => string): Promise<void> {
    assert.ok(await this.client.delete(SECRETS, { namespace: OPERATOR, name: nameOf('auth', this.name) }));
  }

  async patch(change: object): Promise<void> {
    await this.client.patch(SIGNING_KEY_SETS, this.key, change);
  }

  async metric(name: string): Promise<string> {
    return this.#registry.getSingleMetricAsString(name);
  }
}
