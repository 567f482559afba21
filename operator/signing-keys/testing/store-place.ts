import assert from 'node:assert/strict';
import { escrowSecretName, keyringSecretName, outputsSecretName } from '../../../policy/api/names.ts';
import type { KeySetAlgorithm } from '../../../policy/keys/algorithms.ts';
import type { KeySetOutputs } from '../../../policy/keys/outputs.ts';
import { QuietKeySet, SPEC } from '../../../policy/keys/testing/fixtures.ts';
import { SECRETS } from '../../kube/objects.ts';
import { MemoryKubeClient, type MemoryRequest } from '../../kube/testing/memory-kube-client.ts';
import { SecretKeySetStore } from '../secret-key-set-store.ts';
import type { KeySetRef } from '../secret-key-set-store-exports.ts';

/** The operator's namespace. */
export const OPERATOR = 'portcullis-system';
const { namespace, name } = SPEC;
/** Where the JWK Set of the key set is exported. */
export const EXPORT = { namespace, name: 'trading-jwks' };
/** Names of its Secrets in the operator's namespace. */
export const NAMES = {
  keyring: keyringSecretName(namespace, name),
  outputs: outputsSecretName(namespace, name),
  escrow: escrowSecretName(namespace, name),
};

/** The Secrets of key set `auth/trading` in an API server in memory. */
export class StorePlace {
  readonly client = new MemoryKubeClient();
  readonly open = (): SecretKeySetStore => this.store();

  store(keySet: Partial<KeySetRef> = {}): SecretKeySetStore {
    return new SecretKeySetStore(this.client, OPERATOR, { namespace, name, ...keySet });
  }

  readonly cutShort = async (document: keyof typeof NAMES): Promise<void> => {
    const secret = await this.client.get(SECRETS, { namespace: OPERATOR, name: NAMES[document] });
    assert(secret !== null);
    const data = Object.fromEntries(
      Object.entries(secret.data ?? {}).map(([file, value]) => [file, value.slice(0, 40)]),
    );
    await this.client.replace(SECRETS, { ...secret, data });
  };

  /** All that a quiet key set has after its first key. */
  async filled(algorithm: KeySetAlgorithm = 'ES256'): Promise<KeySetOutputs> {
    const { ring, outputs } = quiet(algorithm);
    await this.open().writeEscrow({ recipients: ['A0'], index: null, messages: {} }, null);
    await this.open().writeKeyring(ring, null);
    await this.open().writeOutputs(outputs);
    await this.open().writeExports(outputs);
    return outputs;
  }

  /** `namespace/name` of every Secret. */
  async secrets(): Promise<string[]> {
    const { items } = await this.client.list(SECRETS);
    return items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).sort();
  }

  /** Calls once, before the next request of that verb about a Secret of that name. */
  once(verb: MemoryRequest['verb'], secret: string, act: () => Promise<unknown>): void {
    this.client.before = async (request) => {
      if (request.verb !== verb || request.name !== secret) return;
      this.client.before = () => undefined;
      await act();
    };
  }
}

/** A new key set with its first outputs. */
export function quiet(algorithm: KeySetAlgorithm): QuietKeySet & { readonly outputs: KeySetOutputs } {
  const keySet = new QuietKeySet({ ...SPEC, algorithm });
  while (keySet.outputs === null) keySet.apply(keySet.plan());
  return keySet as QuietKeySet & { readonly outputs: KeySetOutputs };
}
