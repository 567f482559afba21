import { outputsSecretName } from '../../../policy/api/names.ts';
import type { KeySetOutputs } from '../../../policy/keys/outputs.ts';
import { encodeOutputs } from '../../../policy/keys/outputs-document.ts';
import { ObjectStore } from '../../kube/object-store.ts';
import type { Secret } from '../../kube/objects.ts';
import type { CustomResource } from '../../resources.ts';
import { OUTPUTS_FILE } from '../../signing-keys/secret-key-set-store.ts';

const OPERATOR = 'portcullis-system';

/** For tests: the caches of an operator that has these key sets. */
export class PublishedKeySets {
  readonly keySets = new ObjectStore<CustomResource>(fail);
  readonly ownSecrets = new ObjectStore<Secret>(fail);
  readonly namespace = OPERATOR;

  /** Adds a key set, or changes its spec: ES256, and whatever else `spec` says. */
  declare(namespace: string, name: string, spec: object = {}): void {
    const defaults = {
      algorithm: 'ES256',
      issuer: `https://${name}.example`,
      audiences: ['a'],
      maxTokenLifetime: '1h',
    };
    this.keySets.set({
      apiVersion: 'portcullis.dev/v1alpha1',
      kind: 'SigningKeySet',
      metadata: { namespace, name },
      spec: { ...defaults, ...spec },
    });
  }

  /** Writes the outputs of a key set as its controller does; a text is written as it is. */
  publish(namespace: string, name: string, outputs: KeySetOutputs | string): void {
    const text = typeof outputs === 'string' ? outputs : encodeOutputs(outputs);
    this.ownSecrets.set({
      metadata: { namespace: OPERATOR, name: outputsSecretName(namespace, name) },
      data: { [OUTPUTS_FILE]: Buffer.from(text).toString('base64') },
    });
  }
}

function fail(error: unknown): never {
  throw error;
}
