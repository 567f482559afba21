import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { stringify } from 'yaml';
import { runKeysRestore } from '../../cli/keys/restore.ts';
import { connectKubeClient } from '../../operator/kube/https-kube-client.ts';
import type { KubeClient } from '../../operator/kube/kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import { NAMESPACES, SECRETS } from '../../operator/kube/objects.ts';
import { type CustomResource, SIGNING_KEY_SETS, type SigningKeySetStatus } from '../../operator/resources.ts';
import { generateKey } from '../../operator/signing-keys/generate-key.ts';
import { type ReconcileResult, reconcileKeySet } from '../../operator/signing-keys/reconcile-key-set.ts';
import { SecretKeySetStore } from '../../operator/signing-keys/secret-key-set-store.ts';
import { fakeRecipients } from '../../operator/signing-keys/testing/fake-recipients.ts';
import { escrowSecretName, keyringSecretName, outputsSecretName } from '../../policy/api/names.ts';
import { activeKid } from '../../policy/keys/outputs.ts';
import { SPEC } from '../../policy/keys/testing/fixtures.ts';
import { type ApiServer, startApiServer } from '../cluster/api-server.ts';
import { apiServerFor } from '../cluster/require-api-server.ts';
import { installCrds } from './install-crds.ts';

/** What opens the messages of fake recipients. */
const DECRYPT = "cut -d' ' -f3 | base64 -d";

const { name } = SPEC;

function withApiServer(server: ApiServer, client: KubeClient, scratch: string): void {
  let places = 0;

  /** A key set with keys, its namespace and its operator's. */
  async function newPlace(): Promise<Place> {
    const place = new Place(server, client, `operator-${++places}`, `trading-${places}`);
    for (const namespace of [place.operator, place.namespace]) {
      await client.create(NAMESPACES, { metadata: { name: namespace } });
    }
    await place.createKeySet();
    await place.reconcile();
    return place;
  }

  test('a deleted keyring comes back from the escrow in the cluster', async () => {
    const place = await newPlace();
    const before = await place.store.readKeyring();
    await place.delete(keyringSecretName(place.namespace, name));
    const halted = (await place.reconcile()).end;
    assert.ok(halted.kind === 'Halt' && halted.message.includes(`keys restore ${name} -n ${place.namespace}`));
    const { code, stdout, stderr } = await place.restore();
    assert.equal(code, 0, stderr);
    const [active, standby] = before?.keyring.keys.map(({ kid }) => kid) ?? [];
    assert.match(stdout, new RegExp(`^Restored the keyring of ${place.namespace}/${name}, serial \\d+:\n`));
    assert.match(stdout, new RegExp(`\n  Active +${active} +ES256\n  Standby +${standby} +ES256\n`));
    assert.match(stdout, new RegExp(`kubectl wait sks/${name} -n ${place.namespace} `));
    assert.doesNotMatch(stdout, /"d"|privateMembers/);
    const { end, outputs } = await place.reconcile();
    assert.equal(end.kind, 'Wait');
    assert.equal(activeKid(outputs!), active);
    assert.equal((await place.restore()).code, 2, 'a keyring is there again');
  });

  test('everything but the resource is lost: it comes back from a file', async () => {
    const place = await newPlace();
    const before = await place.store.readKeyring();
    const escrow = await client.get(SECRETS, {
      namespace: place.operator,
      name: escrowSecretName(place.namespace, name),
    });
    const file = join(scratch, 'escrow.yaml');
    await writeFile(file, stringify({ apiVersion: 'v1', kind: 'List', items: [{ kind: 'Secret', ...escrow }] }));
    for (const named of [keyringSecretName, outputsSecretName, escrowSecretName]) {
      await place.delete(named(place.namespace, name));
    }
    const gone = await place.restore();
    assert.equal(gone.code, 2);
    assert.match(
      gone.stderr,
      /there is no Secret operator-\d+\/trading-\d+\.trading-escrow; give a copy of it with --file/,
    );
    const { code, stderr } = await place.restore('--file', file);
    assert.equal(code, 0, stderr);
    assert.equal((await place.reconcile()).end.kind, 'Wait');
    const after = await place.store.readKeyring();
    assert.deepEqual(
      after?.keyring.keys.map(({ kid, jwk, privateMembers }) => ({ kid, jwk, privateMembers })),
      before?.keyring.keys.map(({ kid, jwk, privateMembers }) => ({ kid, jwk, privateMembers })),
    );
    assert.deepEqual((await place.store.readEscrow())?.escrow.index?.serial, after?.keyring.serial);
  });

  test('kids that the status knows and the escrow lacks: refused, then accepted; revoked ones are not missed', async () => {
    const place = await newPlace();
    await place.delete(keyringSecretName(place.namespace, name));
    await place.delete(outputsSecretName(place.namespace, name));
    const keys = ['newer', 'revoked'].map((kid) => ({
      kid,
      state: 'Standby' as const,
      algorithm: 'ES256',
      createdAt: '2026-01-01T00:00:00Z',
    }));
    await client.patch(
      SIGNING_KEY_SETS,
      { namespace: place.namespace, name },
      { status: { serial: 77, keys } },
      { subresource: 'status' },
    );
    const revocations = [{ kid: 'revoked', reason: 'stolen' }];
    await client.patch(SIGNING_KEY_SETS, { namespace: place.namespace, name }, { spec: { revocations } });
    const refused = await place.restore();
    assert.equal(refused.code, 2);
    assert.match(
      refused.stderr,
      /of serial \d+, but serial 77 has been written; it lacks newer, so that .*--accept-loss\n$/,
    );
    const { code, stdout, stderr } = await place.restore('--accept-loss');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /serial 78:\n/);
    assert.match(stdout, /\n {2}lost newer: not in the escrow\n/);
  });

  test('a damaged keyring: what to do, and done so it works', async () => {
    const place = await newPlace();
    const key = { namespace: place.operator, name: keyringSecretName(place.namespace, name) };
    await client.patch(SECRETS, key, { data: { 'keyring.json': 'e30=' } });
    const refused = await place.restore('--replace');
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /is damaged: .*keep a copy, delete that Secret, and run this again\n$/);
    await place.delete(key.name);
    assert.equal((await place.restore()).code, 0);
  });

  test('a decryption that fails, no such key set, no right to it: one line, nothing written', async () => {
    const place = await newPlace();
    const keyring = keyringSecretName(place.namespace, name);
    await place.delete(keyring);
    await client.create(
      { apiVersion: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts', namespaced: true },
      { metadata: { namespace: place.namespace, name: 'nobody' } },
    );
    const path = `/api/v1/namespaces/${place.namespace}/serviceaccounts/nobody/token`;
    const { body } = await server.request('POST', path, { spec: {} });
    const { token } = (body as { status: { token: string } }).status;
    const kubeconfig = join(scratch, 'nobody');
    await writeFile(kubeconfig, (await readFile(server.kubeconfig, 'utf8')).replace(server.adminToken, token));
    const cases = [
      [
        ['--decrypt', 'echo no card >&2; false'],
        /the message of key \S+: `echo no card >&2; false` failed: no card\n$/,
      ],
      [['--namespace', 'default'], /no SigningKeySet default\/trading; there are none: name another namespace with -n/],
      [
        ['--kubeconfig', kubeconfig],
        /you must be allowed to get, create and update Secrets in namespace operator-\d+, /,
      ],
      [['--file', join(scratch, 'none')], /none cannot be read: ENOENT/],
    ] as const;
    for (const [flags, says] of cases) {
      const { code, stdout, stderr } = await place.restore(...flags);
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, says);
      assert.match(stderr, /^portcullis keys restore: [^\n]+\n$/);
    }
    assert.equal(await client.get(SECRETS, { namespace: place.operator, name: keyring }), null);
  });
}

class Place {
  readonly operator: string;
  readonly namespace: string;
  readonly store: SecretKeySetStore;
  readonly #server: ApiServer;
  readonly #client: KubeClient;

  constructor(server: ApiServer, client: KubeClient, operator: string, namespace: string) {
    this.#server = server;
    this.#client = client;
    this.operator = operator;
    this.namespace = namespace;
    this.store = new SecretKeySetStore(client, operator, { namespace, name });
  }

  createKeySet(): Promise<CustomResource<SigningKeySetStatus>> {
    const spec = {
      algorithm: SPEC.algorithm,
      issuer: 'https://auth.example.com',
      audiences: ['orders'],
      maxTokenLifetime: '1h',
      escrow: { recipientsSecretRef: { name: 'ops' } },
    };
    return this.#client.create(SIGNING_KEY_SETS, { metadata: { namespace: this.namespace, name }, spec });
  }

  reconcile(): Promise<ReconcileResult> {
    const { namespace, store } = this;
    return reconcileKeySet({
      spec: { ...SPEC, namespace, escrow: { recipientsSecret: 'ops', required: true } },
      store,
      now: Date.now,
      generateKey,
      recipients: async () => fakeRecipients('AAAA'),
      acknowledgements: [],
    });
  }

  async delete(secret: string): Promise<void> {
    assert.ok(await this.#client.delete(SECRETS, { namespace: this.operator, name: secret }));
  }

  /** `flags` come last, so that they win. */
  async restore(...flags: readonly string[]) {
    const target = [
      '--kubeconfig',
      this.#server.kubeconfig,
      '-n',
      this.namespace,
      '--operator-namespace',
      this.operator,
    ];
    let [stdout, stderr] = ['', ''];
    const code = await runKeysRestore([name, ...target, '--decrypt', DECRYPT, ...flags], {
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      now: Date.now,
    });
    return { code, stdout, stderr };
  }
}

const server = await startApiServer();
if ('reason' in server) {
  test('portcullis keys restore on a kube-apiserver', async (t) => void (await apiServerFor(t)));
} else {
  const client = connectKubeClient(loadKubeConfig({ path: server.kubeconfig }), {
    requestsPerSecond: 10_000,
    burst: 10_000,
  });
  const scratch = await mkdtemp(join(tmpdir(), 'portcullis-restore-'));
  after(async () => {
    client.close();
    await server.stop();
    await rm(scratch, { recursive: true });
  });
  await installCrds(server);
  withApiServer(server, client, scratch);
}
