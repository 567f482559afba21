import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { BUNDLE_SIGNING_KEY_SECRET, LABELS } from '../../policy/api/names.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { type KubeClient, KubeError } from '../kube/kube-client.ts';
import { SECRETS, type Secret } from '../kube/objects.ts';

/** The key that signs bundles, and what sidecars are told to believe. */
export interface BundleSigningKey {
  /** Ed25519. */
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** The public key as SPKI DER in base64. */
  readonly spki: string;
}

const PRIVATE_KEY = 'ed25519.pem';

/**
 * The key in the Secret BUNDLE_SIGNING_KEY_SECRET of the operator's namespace; made with `generate` (an Ed25519 private key)
 * and written when there is none. Of several that do this at once one wins, and all get the winner's. Throws `key_refused`
 * when what is there is no such key: it is never overwritten; and KubeError.
 */
export async function loadBundleSigningKey(
  client: Pick<KubeClient, 'get' | 'create'>,
  namespace: string,
  generate: () => KeyObject,
): Promise<BundleSigningKey> {
  const at = { namespace, name: BUNDLE_SIGNING_KEY_SECRET };
  const found = (await client.get(SECRETS, at)) ?? (await created(client, namespace, generate()));
  const secret = found ?? (await client.get(SECRETS, at));
  if (secret === null) throw new KubeError(404, 'NotFound', `Secret ${namespace}/${at.name} was deleted meanwhile`);
  return keyIn(secret);
}

/** Null: another was first. */
async function created(
  client: Pick<KubeClient, 'create'>,
  namespace: string,
  privateKey: KeyObject,
): Promise<Secret | null> {
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' });
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace, name: BUNDLE_SIGNING_KEY_SECRET, labels: { [LABELS.holds]: 'bundle-signing-key' } },
    type: 'Opaque',
    immutable: true,
    data: { [PRIVATE_KEY]: Buffer.from(pem).toString('base64') },
  };
  try {
    return await client.create(SECRETS, secret);
  } catch (error) {
    if (error instanceof KubeError && error.reason === 'AlreadyExists') return null;
    throw error;
  }
}

function keyIn({ metadata, data }: Secret): BundleSigningKey {
  const privateKey = ed25519(data?.[PRIVATE_KEY] ?? '');
  if (privateKey === null) {
    throw new PortcullisError(
      'key_refused',
      `Secret ${metadata.namespace}/${metadata.name} holds no Ed25519 private key as ${PRIVATE_KEY}; restore it from a backup, or delete it for a new key and restart every injected pod: they believe only the old one`,
    );
  }
  const publicKey = createPublicKey(privateKey);
  return { privateKey, publicKey, spki: publicKey.export({ format: 'der', type: 'spki' }).toString('base64') };
}

// Without the cause: messages about a key that cannot be read may quote it.
function ed25519(base64: string): KeyObject | null {
  try {
    const key = createPrivateKey(Buffer.from(base64, 'base64').toString('utf8'));
    return key.asymmetricKeyType === 'ed25519' ? key : null;
  } catch {
    return null;
  }
}
