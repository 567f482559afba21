import assert from 'node:assert/strict';
import { generateKey as generatePgpKey } from 'openpgp';
import { Registry } from 'prom-client';
import { escrowSecretName, keyringSecretName, LABELS, outputsSecretName } from '../../../policy/api/names.ts';
import { activeKid, type KeySetOutputs } from '../../../policy/keys/outputs.ts';
import type { Acknowledgement } from '../../../policy/keys/step.ts';
import type { EventRecord, KubeClient, Requeue } from '../../kube/kube-client.ts';
import { SECRETS } from '../../kube/objects.ts';
import { type CustomResource, SIGNING_KEY_SETS, type SigningKeySetStatus } from '../../resources.ts';
import { generateKey } from '../generate-key.ts';
import { KeySetMetrics } from '../key-set-metrics.ts';
import { SecretKeySetStore } from '../secret-key-set-store.ts';
import { signingKeySetController } from '../signing-key-set-controller.ts';

/** The operator's namespace. */
export const OPERATOR = 'portcullis-system';

/** R 15 s, T 20 s, P 3 s, S 1 s, prePublish 5 s, ackTimeout 1 min. */
export const QUICK_SPEC = {
  algorithm: 'ES256',
  issuer: 'https://auth.trading.example',
  audiences: ['trading-api'],
  maxTokenLifetime: '20s',
  rotation: { period: '15s', prePublish: '5s', ackTimeout: '1m' },
  propagation: '3s',
  jwksMaxAge: '0s',
  clockSkew: '1s',
};

/** A spec's escrow, to the recipients that `writeRecipients` writes. */
export const ESCROW = { escrow: { recipientsSecretRef: { name: 'ops' } } };

type Resource = CustomResource<SigningKeySetStatus>;

/** A controller of one key set of namespace `auth`, with a clock and acknowledgements that are set by hand. */
export class ControllerBench {
  now = Date.parse('2030-01-01T00:00:00.250Z');
  acknowledged: readonly Acknowledgement[] = [];
  readonly events: EventRecord[] = [];
  writes = 0;
  readonly client: KubeClient;
  readonly name: string;
  readonly key: { readonly namespace: string; readonly name: string };
  readonly #registry = new Registry();
  readonly #reconcile: ReturnType<typeof signingKeySetController>;
  #inNamespace: readonly Resource[] = [];

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
        list: (type, selection) => client.list(type, selection),
        create: (type, object) => counted(client.create(type, object)),
        replace: (type, object) => counted(client.replace(type, object)),
        apply: (type, object, subresource) => counted(client.apply(type, object, subresource)),
        patch: (type, key, patch, options) => counted(client.patch(type, key, patch, options)),
        delete: (type, key, only) => counted(client.delete(type, key, only)),
      },
      keySets: { inNamespace: () => this.#inNamespace },
      operatorNamespace: OPERATOR,
      acknowledgements: (keySet) => (keySet === `auth/${name}` ? this.acknowledged : []),
      events: { record: (event) => void this.events.push(event) },
      metrics: new KeySetMetrics(this.#registry, () => this.now),
      now: () => this.now,
      generateKey,
    });
  }

  async create(spec: object = {}): Promise<void> {
    const { apiVersion, kind } = SIGNING_KEY_SETS;
    await this.client.create(SIGNING_KEY_SETS, {
      apiVersion,
      kind,
      metadata: { ...this.key },
      spec: { ...QUICK_SPEC, ...spec },
    });
  }

  async reconcile(): Promise<Requeue> {
    this.#inNamespace = (await this.client.list(SIGNING_KEY_SETS, { namespace: 'auth' })).items;
    return this.#reconcile(`auth/${this.name}`);
  }

  object(): Promise<Resource | null> {
    return this.client.get(SIGNING_KEY_SETS, this.key);
  }

  async status(): Promise<SigningKeySetStatus> {
    const object = await this.object();
    assert.ok(object?.status !== undefined);
    return object.status;
  }

  /** `Ready=True Written` and so on. */
  async conditions(): Promise<string[]> {
    const { conditions = [] } = await this.status();
    return conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`);
  }

  async message(wanted: string): Promise<string> {
    return (await this.status()).conditions?.find(({ type }) => type === wanted)?.message ?? '';
  }

  reasons(): string[] {
    return this.events.map(({ reason }) => reason);
  }

  async outputs(): Promise<KeySetOutputs> {
    const outputs = await new SecretKeySetStore(this.client, OPERATOR, this.key).readOutputs();
    assert.ok(outputs !== null, 'no outputs');
    return outputs;
  }

  async activeKid(): Promise<string> {
    return activeKid(await this.outputs()) ?? '';
  }

  /** Names of the Secrets of the key set that exist. */
  async secrets(): Promise<string[]> {
    const ours = [keyringSecretName, outputsSecretName, escrowSecretName];
    const places = ours.map((nameOf) => ({ namespace: OPERATOR, name: nameOf('auth', this.name) }));
    const found = [...places, { namespace: 'auth', name: `${this.name}-jwks` }].map((at) =>
      this.client.get(SECRETS, at),
    );
    return (await Promise.all(found)).flatMap((secret) => (secret === null ? [] : [secret.metadata.name]));
  }

  /** Writes a recipient whose private key nobody has. */
  async writeRecipients(labels: Readonly<Record<string, string>> = { [LABELS.allowReference]: 'true' }): Promise<void> {
    const date = new Date(this.now - 1000);
    const { publicKey } = await generatePgpKey({ userIDs: [{ name: 'ops' }], date, format: 'armored' });
    const data = { 'ops.asc': Buffer.from(publicKey).toString('base64') };
    await this.client.create(SECRETS, { metadata: { namespace: 'auth', name: 'ops', labels }, data });
  }

  async deleteSecret(nameOf: (namespace: string, name: string) => string): Promise<void> {
    assert.ok(await this.client.delete(SECRETS, { namespace: OPERATOR, name: nameOf('auth', this.name) }));
  }

  async patch(change: object): Promise<void> {
    await this.client.patch(SIGNING_KEY_SETS, this.key, change);
  }

  /** Annotates the key set. */
  annotate(annotations: Readonly<Record<string, string>>): Promise<void> {
    return this.patch({ metadata: { annotations } });
  }

  async metric(name: string): Promise<string> {
    return this.#registry.getSingleMetricAsString(name);
  }
}
