import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { currentSerials } from '../../operator/bundles/current-serials.ts';
import { conditionOf, outputsSecret } from '../../operator/bundles/testing/policy-world.ts';
import { OPERATOR_NAMESPACE, testSigningKey } from '../../operator/bundles/testing/signing-key.ts';
import type { HttpsKubeClient } from '../../operator/kube/https-kube-client.ts';
import { NAMESPACES, SECRETS, type Secret } from '../../operator/kube/objects.ts';
import {
  ACCESS_POLICIES,
  type CustomResource,
  RATE_LIMIT_POLICIES,
  SIGNING_KEY_SETS,
} from '../../operator/resources.ts';
import { accessSecretName, issuerSecretName, LABELS } from '../../policy/api/names.ts';
import { API_VERSION } from '../../policy/api/resource.ts';
import { decodeBundle } from '../../policy/bundle/decode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import type { AccessBundle } from '../../policy/bundle/types.ts';
import { apiServerFor } from '../cluster/require-api-server.ts';
import { installCrds } from './install-crds.ts';
import { connect, type PolicyOperator, startPolicyOperator } from './policy-operator.ts';

const RULE = { name: 'all', match: { paths: ['/**'] }, allow: [{ anonymous: true }] };
const KEY_SET = { algorithm: 'ES256', issuer: 'https://auth.example', audiences: ['api'], maxTokenLifetime: '1h' };
const MANY = Number(process.env['POLICIES'] ?? 50);

test('the policy controllers on a kube-apiserver', async (t) => {
  const server = await apiServerFor(t);
  if (!server) return;
  await installCrds(server);
  const users = connect(server);
  t.after(() => users.close());
  await users.create(NAMESPACES, { metadata: { name: OPERATOR_NAMESPACE } });
  const operator = await startPolicyOperator(t, server);
  const bench = (namespace: string): Promise<Bench> => Bench.make(users, operator, namespace);

  await t.test('write a bundle that the API server keeps, with its status', async () => writes(await bench('writes')));
  await t.test('recover when what is referred to is applied', async () => recovers(await bench('recovers')));
  await t.test('read a Secret only with the label', async () => needsLabel(await bench('needs-label')));
  await t.test('give every edit a new serial, and say when pods run it', async () => follows(await bench('follows')));
  await t.test('restore a tampered bundle and report it', async () => restores(await bench('restores')));
  await t.test('write what tokens are signed by, apart, and remove it', async () => signs(await bench('signs')));
  await t.test("leave a user's Secret alone", async () => conflicts(await bench('conflicts')));
  await t.test(`${MANY} policies, and no request at rest`, async (t) => many(t, await bench('many')));
  await t.test('two operators at once settle on one bundle', async (t) => {
    const other = await startPolicyOperator(t, server, { skewMs: -60_000, pods: operator.world.pods });
    await settleTogether(await bench('together'), other);
  });
});

/** A user's namespace, and what the operator does there. */
class Bench {
  readonly client: HttpsKubeClient;
  readonly operator: PolicyOperator;
  readonly namespace: string;

  private constructor(client: HttpsKubeClient, operator: PolicyOperator, namespace: string) {
    this.client = client;
    this.operator = operator;
    this.namespace = namespace;
  }

  static async make(client: HttpsKubeClient, operator: PolicyOperator, namespace: string): Promise<Bench> {
    await client.create(NAMESPACES, { metadata: { name: namespace } });
    return new Bench(client, operator, namespace);
  }

  get policy() {
    return { kind: 'Access', namespace: this.namespace, name: 'orders' } as const;
  }

  at(name: string) {
    return { namespace: this.namespace, name };
  }

  create(spec: object, name = 'orders', type = ACCESS_POLICIES): Promise<CustomResource> {
    return this.client.create(type, { metadata: this.at(name), spec } as CustomResource);
  }

  edit(spec: object): Promise<CustomResource> {
    return this.client.patch(ACCESS_POLICIES, this.at('orders'), { spec });
  }

  get(name = 'orders', type = ACCESS_POLICIES): Promise<CustomResource | null> {
    return this.client.get(type, this.at(name));
  }

  /** Waits until a condition of the policy, of its newest generation, fits. */
  async until(type: string, pattern: RegExp, name = 'orders', kind = ACCESS_POLICIES): Promise<string> {
    let last = '';
    await until(
      async () => {
        const object = await this.get(name, kind);
        last = conditionOf(object, type)?.join(' ') ?? 'none';
        return object?.status?.observedGeneration === object?.metadata.generation && pattern.test(last);
      },
      () => `${type}: ${last}`,
    );
    return last;
  }

  secret(name = accessSecretName('orders')): Promise<Secret | null> {
    return this.client.get(SECRETS, this.at(name));
  }

  async bundle(): Promise<AccessBundle> {
    const { publicKey } = await testSigningKey(this.client);
    const file = Buffer.from((await this.secret())?.data?.[BUNDLE_FILE] ?? '', 'base64');
    return decodeBundle(file, { ...this.policy, publicKey, afterSerial: 0 });
  }

  events(reason: string): string[] {
    const found = this.operator.world.events.filter(({ about }) => about.metadata.namespace === this.namespace);
    return found.filter((event) => event.reason === reason).map(({ message }) => message);
  }
}

async function until(holds: () => Promise<boolean> | boolean, what: () => string): Promise<void> {
  for (const deadline = performance.now() + 20_000; !(await holds()); await sleep(20)) {
    assert.ok(performance.now() < deadline, `waited for 20 s; ${what()}`);
  }
}

async function writes(bench: Bench): Promise<void> {
  const { metadata } = await bench.create({ rules: [RULE] });
  await bench.create({}, 'standard', RATE_LIMIT_POLICIES);
  await bench.until('Ready', /^True Written/);
  await bench.until('Ready', /^True Written/, 'standard', RATE_LIMIT_POLICIES);
  await bench.until('Enforced', /^False NoMatchingPods/);
  await bench.until('Degraded', /^False AsExpected $/);
  const { serial, rules } = await bench.bundle();
  assert.equal(rules[0]?.name, 'all');
  const secret = await bench.secret();
  const { name, uid = '' } = metadata;
  assert.deepEqual(secret?.metadata.ownerReferences, [
    { apiVersion: API_VERSION, kind: 'AccessPolicy', name, uid, controller: true },
  ]);
  const { publicKey } = await testSigningKey(bench.client);
  const { bundles } = bench.operator.caches;
  const current = currentSerials(bundles, publicKey);
  const serials = current(bench.namespace, 'orders', 'standard');
  assert.equal(serials.access, serial);
  assert.ok(serials.limits > 0);
  assert.deepEqual(current(bench.namespace, 'none', null), { access: 0, limits: 0, issuer: 0 });
}

async function recovers(bench: Bench): Promise<void> {
  await bench.create({ authentication: { jwt: [{ name: 'a', keySetRef: { name: 'keys' } }] } });
  await bench.until('Accepted', /^False RefNotFound spec\.authentication\.jwt\[0\]\.keySetRef\.name: .*does not exist/);
  await bench.until('Ready', /^False NotAccepted .*there is no bundle yet/);
  await bench.create(KEY_SET, 'keys', SIGNING_KEY_SETS);
  await bench.until('Accepted', /has no key yet/);
  await bench.client.create(SECRETS, outputsSecret(bench.namespace, 'keys', 1));
  await bench.until('Accepted', /^True/);
  await bench.until('Ready', /^True/);
  assert.equal((await bench.bundle()).jwt[0]?.keySet, 'recovers/keys');
  assert.equal(bench.events('RefNotFound').length, 1);
}

async function signs(bench: Bench): Promise<void> {
  const login = { path: '/auth/login', credentials: { htpasswdSecretRef: { name: 'users' } } };
  const refresh = { path: '/auth/refresh' };
  await bench.create({ rules: [RULE], tokens: { keySetRef: { name: 'keys' }, login, refresh } });
  await bench.create(KEY_SET, 'keys', SIGNING_KEY_SETS);
  await bench.client.create(SECRETS, outputsSecret(bench.namespace, 'keys', 1));
  const hash = `$2b$12$${'kOAPLOTahnfkT/2NMCti6OaZHNbH3ITQrdcmzV33DbDYPZNpzjyWy'}`;
  const labels = { [LABELS.allowReference]: 'true' };
  const data = { 'users.htpasswd': Buffer.from(`ann:${hash}\n`).toString('base64') };
  await bench.client.create(SECRETS, { metadata: { ...bench.at('users'), labels }, data });
  await bench.until('Ready', /^True Written/);
  const name = issuerSecretName('orders');
  const { publicKey } = await testSigningKey(bench.client);
  const file = async () => Buffer.from((await bench.secret(name))?.data?.[BUNDLE_FILE] ?? '', 'base64');
  const read = async () => decodeBundle(await file(), { ...bench.policy, kind: 'Issuer', publicKey, afterSerial: 0 });
  const { serial, signingKey, users } = await read();
  assert.deepEqual([signingKey?.kid, users?.hashes], ['kid-1', { ann: hash }]);
  const access = gunzipSync(
    await bench.secret().then((secret) => {
      const bytes = Buffer.from(secret?.data?.[BUNDLE_FILE] ?? '', 'base64');
      return bytes.subarray(bytes.indexOf(0x0a) + 1);
    }),
  ).toString();
  assert.match(access, /"kids":\["kid-1"\]/);
  assert.doesNotMatch(access, /kOAPLOT|"d":/);
  await until(
    () => currentSerials(bench.operator.caches.bundles, publicKey)(bench.namespace, 'orders', null).issuer === serial,
    () => 'the serial that pods start from',
  );

  await bench.client.delete(SECRETS, bench.at(name));
  await until(
    async () => (await file()).length > 0,
    () => 'the Secret is written again',
  );
  assert.ok((await read()).serial > serial);

  await bench.edit({ tokens: { keySetRef: { name: 'keys' }, login: null, refresh: null } });
  await until(
    async () => (await bench.secret(name)) === null,
    () => 'the Secret is removed',
  );
  await bench.until('Ready', /^True Written/);
}

async function needsLabel(bench: Bench): Promise<void> {
  const data = { url: Buffer.from('redis://redis:6379').toString('base64') };
  await bench.client.create(SECRETS, { metadata: bench.at('redis'), data });
  await bench.create({ store: { redis: { secretRef: { name: 'redis' } } } });
  const label = 'portcullis.dev/allow-reference: "true"';
  assert.match(await bench.until('Accepted', /^False RefNotPermitted/), new RegExp(`give it the label ${label}$`));
  await bench.until('Degraded', /^True SecretMissing/);
  const labels = { [LABELS.allowReference]: 'true' };
  await bench.client.patch(SECRETS, bench.at('redis'), { metadata: { labels } });
  await bench.until('Ready', /^True/);
  assert.equal((await bench.bundle()).store?.redisUrl, 'redis://redis:6379');
  await bench.client.patch(SECRETS, bench.at('redis'), { metadata: { labels: { [LABELS.allowReference]: null } } });
  await bench.until('Ready', /^False NotAccepted .*pods keep the last good one/);
}

async function follows(bench: Bench): Promise<void> {
  const { pods, reconcilers } = bench.operator.world;
  pods.run(bench.policy, 'a', 'b');
  const acknowledge = async (...names: string[]): Promise<void> => {
    for (const name of names) pods.load(bench.policy, name);
    await reconcilers.Access(`${bench.namespace}/orders`);
  };
  await bench.create({ rules: [RULE] });
  await bench.until('Enforced', /^False Progressing 0 of 2/);
  const before = await bench.bundle();
  await acknowledge('a');
  await bench.until('Enforced', /^False Progressing 1 of 2 .*waiting for b/);
  await acknowledge('b');
  await bench.until('Enforced', /^True Acknowledged/);
  await bench.edit({ forward: { identityHeaders: false } });
  await bench.until('Enforced', /^False Progressing 0 of 2/);
  assert.ok((await bench.bundle()).serial > before.serial);
  await acknowledge('a', 'b');
  await bench.until('Enforced', /^True Acknowledged/);
  assert.deepEqual((await bench.get())?.status?.pods, { matched: 2, current: 2, stale: 0 });
  await bench.edit({ rules: [{ ...RULE, allow: [{ roles: ['nobody'] }] }] }).then(
    () => assert.fail('the API server refuses an unknown role'),
    () => undefined,
  );
}

async function restores(bench: Bench): Promise<void> {
  const { metadata } = await bench.create({ rules: [RULE] });
  await bench.until('Ready', /^True/);
  const first = await bench.bundle();
  const old = (await bench.secret())?.data ?? {};
  await bench.edit({ mode: 'Shadow' });
  await bench.until('Ready', /^True/);
  const restored = async (code: string): Promise<void> => {
    const count = bench.events('BundleTampered').length;
    await until(
      () => bench.events('BundleTampered').length > count,
      () => `no Event about ${code}`,
    );
    assert.match(bench.events('BundleTampered').at(-1) ?? '', new RegExp(`\\(${code}\\) and was replaced$`));
    assert.equal((await bench.bundle()).mode, 'Shadow');
  };
  const at = bench.at(accessSecretName('orders'));
  let wait = restored('bundle_corrupt');
  await bench.client.patch(SECRETS, at, { data: { [BUNDLE_FILE]: 'e30=' } });
  await wait;
  wait = restored('bundle_older');
  await bench.client.patch(SECRETS, at, { data: old });
  await wait;
  wait = restored('bundle_corrupt');
  await bench.client.patch(SECRETS, at, { immutable: true, data: { [BUNDLE_FILE]: 'e30=' } });
  await wait;

  const { serial } = await bench.bundle();
  assert.ok(serial > first.serial);
  await bench.client.delete(SECRETS, at);
  await until(
    async () => (await bench.secret())?.data?.[BUNDLE_FILE] !== undefined,
    () => 'the deleted Secret was not written again',
  );
  assert.ok((await bench.bundle()).serial > serial);
  assert.equal((await bench.secret())?.metadata.ownerReferences?.[0]?.uid, metadata.uid);
}

async function conflicts(bench: Bench): Promise<void> {
  const data = { mine: 'AAAA' };
  await bench.client.create(SECRETS, { metadata: bench.at(accessSecretName('orders')), data });
  await bench.create({});
  await bench.until(
    'Ready',
    /^False Conflicted Secret conflicts\/portcullis-access-orders was not written by Portcullis/,
  );
  assert.deepEqual((await bench.secret())?.data, data);
}

async function many(t: TestContext, bench: Bench): Promise<void> {
  const { operator } = bench;
  const before = operator.requests();
  const started = performance.now();
  const names = Array.from({ length: MANY }, (_, index) => `policy-${index}`);
  for (const name of names) await bench.create({ rules: [RULE] }, name);
  for (const name of names) await bench.until('Ready', /^True/, name);
  t.diagnostic(`${MANY} policies ready in ${Math.round(performance.now() - started)} ms`);
  await quiet(operator);
  const requests = operator.requests() - before;
  t.diagnostic(`${(requests / MANY).toFixed(1)} requests a policy`);
  assert.ok(requests <= 8 * MANY, `${requests} requests`);
  const atRest = operator.requests();
  const begun = performance.now();
  for (const name of names) await operator.world.reconcilers.Access(`${bench.namespace}/${name}`);
  t.diagnostic(`${((performance.now() - begun) / MANY).toFixed(2)} ms a reconciliation at rest`);
  assert.equal(operator.requests(), atRest, 'nothing changed: no request');
}

/** Waits until the operator has sent nothing for a while. */
async function quiet(operator: PolicyOperator): Promise<void> {
  for (let last = -1; operator.requests() !== last; await sleep(300)) last = operator.requests();
}

async function settleTogether(bench: Bench, other: PolicyOperator): Promise<void> {
  const written: number[] = [];
  bench.operator.caches.bundles.onChange((now) => {
    if (now?.metadata.namespace !== bench.namespace) return;
    const file = Buffer.from(now.data?.[BUNDLE_FILE] ?? '', 'base64').toString('latin1');
    const serial = /"serial":(\d+)/.exec(file)?.[1];
    if (serial !== undefined && Number(serial) !== written.at(-1)) written.push(Number(serial));
  });
  await bench.create({ rules: [RULE] });
  for (let edit = 0; edit < 5; edit++) {
    const rules = [{ ...RULE, name: `edit-${edit}` }];
    await bench.edit({ rules });
    if (edit % 2 === 0) await bench.client.delete(SECRETS, bench.at(accessSecretName('orders')));
  }
  await bench.until('Ready', /^True/);
  await quiet(bench.operator);
  await quiet(other);
  assert.equal((await bench.bundle()).rules[0]?.name, 'edit-4');
  assert.deepEqual(
    written,
    written.toSorted((one, two) => one - two),
  );
}
