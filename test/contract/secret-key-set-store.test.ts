import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connectKubeClient } from '../../operator/kube/https-kube-client.ts';
import type { KubeClient } from '../../operator/kube/kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import { NAMESPACES, SECRETS, type Secret } from '../../operator/kube/objects.ts';
import { generateKey } from '../../operator/signing-keys/generate-key.ts';
import { type ReconcileResult, reconcileKeySet } from '../../operator/signing-keys/reconcile-key-set.ts';
import { KEYRING_FILE, OUTPUTS_FILE, SecretKeySetStore } from '../../operator/signing-keys/secret-key-set-store.ts';
import type { KeySetStoreClient } from '../../operator/signing-keys/secret-key-set-store-secrets.ts';
import { damagedKeySetStoreSuite, keySetStoreSuite } from '../../operator/signing-keys/testing/key-set-store-suite.ts';
import { escrowSecretName, keyringSecretName, outputsSecretName } from '../../policy/api/names.ts';
import { ESCROW_INDEX_FILE } from '../../policy/keys/escrow-document.ts';
import { JWKS_FILE } from '../../policy/keys/exports.ts';
import { activeKid } from '../../policy/keys/outputs.ts';
import type { KeySetSpec } from '../../policy/keys/spec.ts';
import { HOUR, MINUTE, SPEC } from '../../policy/keys/testing/fixtures.ts';
import { startApiServer } from '../cluster/api-server.ts';
import { apiServerFor } from '../cluster/require-api-server.ts';
import { installCrds } from './install-crds.ts';

function withApiServer(client: KubeClient): void {
  let namespaces = 0;

  /** A new namespace of an operator. */
  async function newPlace(): Promise<Place> {
    const namespace = `operator-${++namespaces}`;
    await client.create(NAMESPACES, { metadata: { name: namespace } });
    const { items } = await client.list(SECRETS, { namespace: SPEC.namespace });
    for (const { metadata } of items) await client.delete(SECRETS, metadata);
    return new Place(client, namespace);
  }

  keySetStoreSuite('SecretKeySetStore', newPlace);
  damagedKeySetStoreSuite('SecretKeySetStore', newPlace);

  test('its Secrets say what they hold and whose they are', async () => {
    const place = await newPlace();
    await place.reconcile();
    await place.store().writeEscrow({ recipients: [], index: null, messages: {} }, null);
    for (const [name, holds, file, namespace] of [
      [KEYRING, 'keyring', KEYRING_FILE, place.namespace],
      [OUTPUTS, 'key-set-outputs', OUTPUTS_FILE, place.namespace],
      [ESCROW, 'key-set-escrow', ESCROW_INDEX_FILE, place.namespace],
      [EXPORT, 'key-set-exports', JWKS_FILE, SPEC.namespace],
    ] as const) {
      const secret = await place.secret(name, namespace);
      assert.equal(secret?.type, 'Opaque');
      assert.deepEqual(Object.keys(secret.data ?? {}), [file]);
      assert.equal(secret.metadata.ownerReferences, undefined, 'garbage collection would delete keys');
      assert.deepEqual(secret.metadata.labels, {
        'portcullis.dev/holds': holds,
        'portcullis.dev/owner-namespace': SPEC.namespace,
        'portcullis.dev/owner-name': SPEC.name,
      });
    }
  });

  test('at rest nothing is written', async () => {
    const place = await newPlace();
    await place.reconcile();
    const versions = async () =>
      Promise.all(
        [place.secret(KEYRING), place.secret(OUTPUTS), place.secret(EXPORT, SPEC.namespace)].map(
          async (secret) => (await secret)?.metadata.resourceVersion,
        ),
      );
    const before = await versions();
    await place.reconcile();
    assert.deepEqual(await versions(), before);
  });

  const inTheWay: readonly [name: string, secret: string, change: (secret: Secret) => Secret, says: RegExp][] = [
    ['a keyring without our labels', KEYRING, unlabelled, /does not have the labels.*restore it from a backup/],
    ['outputs without our labels', OUTPUTS, unlabelled, /does not have the labels.*delete it: it is written again/],
    ["another key set's keyring", KEYRING, ofAnother, /holds the keyring of auth\/other; restore it/],
    ['a keyring cut short', KEYRING, cutShort(KEYRING_FILE), /is damaged: document must be JSON.*restore it/],
    ['a keyring without its file', KEYRING, (secret) => ({ ...secret, data: {} }), /is damaged.*restore it/],
    ['outputs cut short', OUTPUTS, cutShort(OUTPUTS_FILE), /is damaged: .*delete it/],
    ['an immutable keyring', KEYRING, (secret) => ({ ...secret, immutable: true }), /is immutable.*put a copy/],
    ['immutable outputs', OUTPUTS, (secret) => ({ ...secret, immutable: true }), /is immutable.*put a copy/],
  ];
  for (const [name, secretName, change, says] of inTheWay) {
    test(`${name}: refused with what to do, nothing overwritten, no key shown`, async () => {
      const place = await newPlace();
      await place.reconcile();
      const good = await place.secret(secretName);
      assert.ok(good !== null);
      const bad = await client.replace(SECRETS, change(good));
      place.now += 2000 * HOUR;
      const error = await place.reconcile().then(
        () => assert.fail('went on'),
        (error: Error & { code?: string }) => error,
      );
      assert.equal(error.code, /labels|immutable/.test(name) ? 'keyring_refused' : 'keyring_invalid');
      assert.match(error.message, says);
      assert.match(error.message, new RegExp(`^Secret ${place.namespace}/${secretName} `));
      assert.doesNotMatch(error.message, /"[dkxy]":/);
      assert.deepEqual((await place.secret(secretName))?.metadata.resourceVersion, bad.metadata.resourceVersion);
    });
  }

  test('a Secret of somebody else under the name: refused, not taken over', async () => {
    for (const name of [KEYRING, OUTPUTS]) {
      const place = await newPlace();
      await client.create(SECRETS, { metadata: { namespace: place.namespace, name }, data: { mine: 'bWluZQ==' } });
      await assert.rejects(place.reconcile(), { code: 'keyring_refused' });
      assert.deepEqual((await place.secret(name))?.data, { mine: 'bWluZQ==' });
    }
  });

  test('outputs that another writes meanwhile are not replaced by older ones', async () => {
    for (const first of ['create', 'replace'] as const) {
      const place = await newPlace();
      const { outputs } = await place.reconcile();
      assert.ok(outputs !== null);
      if (first === 'create') await client.delete(SECRETS, { namespace: place.namespace, name: OUTPUTS });
      const newer = { ...outputs, serial: outputs.serial + 2 };
      let overtaken = false;
      const slow = place.through(async (method, forward) => {
        if (method === first && !overtaken) {
          overtaken = true;
          await place.store().writeOutputs(newer);
        }
        return forward();
      });
      await place.store(slow).writeOutputs({ ...outputs, serial: outputs.serial + 1 });
      assert.ok(overtaken);
      assert.deepEqual(await place.store().readOutputs(), newer);
    }
  });

  test('deleted outputs are written again as they were', async () => {
    const place = await newPlace();
    const { outputs } = await place.reconcile();
    await client.delete(SECRETS, { namespace: place.namespace, name: OUTPUTS });
    assert.deepEqual((await place.reconcile()).outputs, outputs);
    assert.deepEqual(await place.store().readOutputs(), outputs);
  });

  test('exports that users change or delete are put right', async () => {
    const place = await newPlace();
    const { outputs } = await place.reconcile();
    const key = { namespace: SPEC.namespace, name: EXPORT };
    for (const change of [
      () => client.delete(SECRETS, key),
      () => client.patch(SECRETS, key, { data: { [JWKS_FILE]: 'e30=' } }),
      () => client.patch(SECRETS, key, { data: { more: 'A'.repeat(900_000) } }),
      () => client.patch(SECRETS, key, { metadata: { annotations: { 'portcullis.dev/serial': '99' } } }),
    ]) {
      await change();
      assert.equal(await place.store().isExported(outputs), false);
      await place.reconcile();
      assert.equal(await place.store().isExported(outputs), true);
    }
  });

  test('a foreign, immutable or otherwise typed Secret in the way of exports is refused and left as it is', async () => {
    for (const [secret, says] of [
      [{ metadata: {} }, /is not one that Portcullis made.*spec\.secretName/],
      [{ metadata: { labels: EXPORT_LABELS }, immutable: true }, /is immutable.*delete it/],
      [{ metadata: { labels: EXPORT_LABELS }, type: 'example.com/keys' }, /not of type Opaque.*delete it/],
    ] as const) {
      const place = await newPlace();
      await place.reconcile();
      const metadata = { ...secret.metadata, namespace: SPEC.namespace, name: EXPORT };
      await client.delete(SECRETS, metadata);
      const made = await client.create(SECRETS, { ...secret, metadata, data: { a: 'YQ==' } });
      const { end } = await place.reconcile();
      assert.ok(end.kind === 'Halt' && end.reason === 'ExportsRefused');
      assert.match(end.message, says);
      assert.deepEqual(await place.secret(EXPORT, SPEC.namespace), made);
      await client.delete(SECRETS, metadata);
      assert.equal((await place.reconcile()).end.kind, 'Wait');
    }
  });

  test('a deleted key set is erased, however many large Secrets were made up as its exports', async () => {
    const place = await newPlace();
    await place.reconcile();
    const data = { a: Buffer.alloc(1_000_000).toString('base64') };
    for (let i = 0; i < 10; i++) {
      const metadata = { namespace: SPEC.namespace, name: `made-up-${i}`, labels: EXPORT_LABELS };
      await client.create(SECRETS, { metadata, data });
    }
    // Deleted, but kept by a finalizer of somebody else.
    const finalizers = ['example.com/kept'];
    const kept = { namespace: SPEC.namespace, name: 'made-up-0' };
    await client.patch(SECRETS, kept, { metadata: { finalizers } });
    const erased = await place.reconcile(undefined, { ...BRISK, deletion: { policy: 'Delete', forced: false } });
    assert.equal(erased.end.kind, 'Release');
    assert.deepEqual((await client.list(SECRETS, { namespace: place.namespace })).items, []);
    const left = (await client.list(SECRETS, { namespace: SPEC.namespace })).items.map(({ metadata }) => metadata.name);
    assert.deepEqual(left, [kept.name]);
    await client.patch(SECRETS, kept, { metadata: { finalizers: null } });
  });

  test('a deleted keyring halts; put back, the key set goes on', async () => {
    const place = await newPlace();
    const { outputs } = await place.reconcile();
    const keyring = await place.secret(KEYRING);
    assert.ok(keyring !== null);
    await client.delete(SECRETS, { namespace: place.namespace, name: KEYRING });
    assert.equal(await place.haltsWith(), 'KeyringLost');
    assert.equal(await place.secret(KEYRING), null);
    const { resourceVersion: _, uid: __, creationTimestamp: ___, ...metadata } = keyring.metadata;
    await client.create(SECRETS, { ...keyring, metadata });
    const restored = await place.reconcile();
    assert.equal(restored.end.kind, 'Wait');
    assert.deepEqual(restored.outputs, outputs);
  });

  test('an old keyring put back halts', async () => {
    const place = await newPlace();
    await place.reconcile();
    const old = await place.secret(KEYRING);
    place.now += 800 * HOUR;
    await place.reconcile();
    const { resourceVersion } = (await place.secret(KEYRING))?.metadata ?? {};
    assert.ok(old !== null && resourceVersion !== undefined);
    await client.replace(SECRETS, { ...old, metadata: { ...old.metadata, resourceVersion } });
    assert.equal(await place.haltsWith(), 'RolledBack');
  });

  test('a keyring deleted between reading and writing is not written again', async () => {
    const place = await newPlace();
    await place.reconcile();
    place.now += 800 * HOUR;
    const deleting = place.through(async (method, forward) => {
      if (method === 'replace') await client.delete(SECRETS, { namespace: place.namespace, name: KEYRING });
      return forward();
    });
    assert.equal(await place.haltsWith(deleting), 'KeyringLost');
  });

  test('stopped after any request, or before its answer came: the next operator goes on with the same keys', async () => {
    for (const answered of [true, false]) {
      for (let stopAt = 1; ; stopAt++) {
        const place = await newPlace();
        let writes = 0;
        const mortal = place.through(async (method, forward) => {
          if (method === 'get' || method === 'list') return forward();
          if (++writes < stopAt) return forward();
          if (writes === stopAt && !answered) await forward();
          throw new Error('stopped');
        });
        const ended = await place.reconcile(mortal).then(
          () => true,
          () => false,
        );
        const kept = (await place.store().readKeyring())?.keyring.keys[0]?.kid;
        const { outputs, keyring, end } = await place.reconcile();
        assert.equal(end.kind, 'Wait');
        assert.equal(await place.store().isExported(outputs), true);
        if (kept !== undefined) assert.equal(keyring?.keys[0]?.kid, kept);
        assert.equal(keyring?.keys.length, 2, `stopped at write ${stopAt}`);
        assert.equal(outputs?.verificationKeys.length, 2);
        if (ended) break;
      }
    }
  });

  test('two operators at once: every key is made, activated and dropped once, serials only rise', async () => {
    const place = await newPlace();
    const counts = new Map<string, number>();
    const active: string[] = [];
    let serial = 0;
    for (let hours = 0; hours < 30; hours++) {
      const results = await Promise.all([place.reconcile(), place.reconcile(), place.reconcile()]);
      for (const { message } of results.flatMap(({ events }) => events)) {
        counts.set(message, (counts.get(message) ?? 0) + 1);
      }
      const outputs = await place.store().readOutputs();
      const stored = await place.store().readKeyring();
      assert.equal(outputs?.serial, stored?.keyring.serial);
      assert.ok(outputs !== null && outputs.serial >= serial);
      serial = outputs.serial;
      assert.equal(await place.store().isExported(outputs), true);
      const kid = activeKid(outputs) ?? '';
      if (active.at(-1) !== kid) active.push(kid);
      place.now += HOUR;
    }
    assert.ok(active.length >= 5, `${active.length} activations`);
    assert.equal(new Set(active).size, active.length);
    assert.deepEqual(
      [...counts].filter(([, count]) => count !== 1),
      [],
    );
  });
}

/** R 5h, prePublish 1h, T 1h. */
const BRISK: KeySetSpec = { ...SPEC, rotation: { ...SPEC.rotation, periodMs: 5 * HOUR, prePublishMs: 60 * MINUTE } };

const KEYRING = keyringSecretName(SPEC.namespace, SPEC.name);
const OUTPUTS = outputsSecretName(SPEC.namespace, SPEC.name);
const ESCROW = escrowSecretName(SPEC.namespace, SPEC.name);
const EXPORT = `${SPEC.name}-jwks`;
const EXPORT_LABELS = {
  'portcullis.dev/holds': 'key-set-exports',
  'portcullis.dev/owner-namespace': SPEC.namespace,
  'portcullis.dev/owner-name': SPEC.name,
};

/** One operator's namespace and a clock that is set by hand. */
class Place {
  now = 1_000_000_000_000;
  readonly namespace: string;
  readonly #client: KubeClient;

  constructor(client: KubeClient, namespace: string) {
    this.#client = client;
    this.namespace = namespace;
  }

  readonly open = (): SecretKeySetStore => this.store();

  readonly cutShort = async (document: 'keyring' | 'outputs' | 'escrow'): Promise<void> => {
    const [name, file] = {
      keyring: [KEYRING, KEYRING_FILE] as const,
      outputs: [OUTPUTS, OUTPUTS_FILE] as const,
      escrow: [ESCROW, ESCROW_INDEX_FILE] as const,
    }[document];
    const secret = await this.secret(name);
    assert.ok(secret !== null);
    await this.#client.replace(SECRETS, cutShort(file)(secret));
  };

  store(client: KeySetStoreClient = this.#client): SecretKeySetStore {
    return new SecretKeySetStore(client, this.namespace, SPEC);
  }

  reconcile(client: KeySetStoreClient = this.#client, spec = BRISK): Promise<ReconcileResult> {
    return reconcileKeySet({
      spec,
      store: this.store(client),
      now: () => this.now,
      generateKey,
      recipients: () => assert.fail('no escrow is asked for'),
      acknowledgements: [],
    });
  }

  /** Why the key set halts. */
  async haltsWith(client: KeySetStoreClient = this.#client): Promise<string | undefined> {
    const { end } = await this.reconcile(client);
    return end.kind === 'Halt' ? end.reason : undefined;
  }

  secret(name: string, namespace = this.namespace): Promise<Secret | null> {
    return this.#client.get(SECRETS, { namespace, name });
  }

  /** The client, with every request of a reconciliation passing through `pass`. */
  through(pass: <T>(method: keyof KeySetStoreClient, forward: () => Promise<T>) => Promise<T>): KeySetStoreClient {
    const client = this.#client;
    return {
      get: (type, key) => pass('get', () => client.get(type, key)),
      create: (type, object) => pass('create', () => client.create(type, object)),
      replace: (type, object) => pass('replace', () => client.replace(type, object)),
      list: (type, selection) => pass('list', () => client.list(type, selection)),
      delete: (type, key, only) => pass('delete', () => client.delete(type, key, only)),
    };
  }
}

function unlabelled(secret: Secret): Secret {
  return { ...secret, metadata: { ...secret.metadata, labels: {} } };
}

function ofAnother(secret: Secret): Secret {
  return edited(secret, KEYRING_FILE, (text) => text.replace('"auth/trading"', '"auth/other"'));
}

function cutShort(file: string): (secret: Secret) => Secret {
  return (secret) => edited(secret, file, (text) => text.slice(0, -20));
}

function edited(secret: Secret, file: string, edit: (text: string) => string): Secret {
  const text = Buffer.from(secret.data?.[file] ?? '', 'base64').toString('utf8');
  return { ...secret, data: { [file]: Buffer.from(edit(text)).toString('base64') } };
}

const server = await startApiServer();
if ('reason' in server) {
  test('SecretKeySetStore on a kube-apiserver', async (t) => void (await apiServerFor(t)));
} else {
  const client = connectKubeClient(loadKubeConfig({ path: server.kubeconfig }), {
    requestsPerSecond: 10_000,
    burst: 10_000,
  });
  after(async () => {
    client.close();
    await server.stop();
  });
  await installCrds(server);
  await client.create(NAMESPACES, { metadata: { name: SPEC.namespace } });
  withApiServer(client);
}
