import { SECRETS } from '../../operator/kube/objects.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { FERNET_KEYS_FILE } from '../../policy/keys/exports.ts';
import { connectTo } from '../kube/connect.ts';
import type { KubeValues } from '../kube/kube-flag-names.ts';

/**
 * The MultiFernet list in a cluster's Secret (`name` in the namespace of the flags, or `namespace/name`). Throws
 * `config_invalid` when there is none, and KubeError when the API server refuses.
 */
export async function readSecretKeys(flags: KubeValues, secret: string): Promise<string> {
  const { client, namespace: ownNamespace } = connectTo(flags);
  const [name = '', namespace = ownNamespace] = secret.split('/').reverse();
  try {
    const found = await client.get(SECRETS, { namespace, name });
    const value = found?.data?.[FERNET_KEYS_FILE];
    if (value !== undefined) return Buffer.from(value, 'base64').toString('utf8');
    const problem = found === null ? 'does not exist' : `has no key "${FERNET_KEYS_FILE}"`;
    throw new PortcullisError(
      'config_invalid',
      `Secret ${namespace}/${name} ${problem}; name the one that a SigningKeySet with algorithm Fernet writes, NAMESPACE/NAME-fernet`,
    );
  } finally {
    client.close();
  }
}
