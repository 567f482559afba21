import { BUNDLE_SIGNING_KEY_SECRET } from '../../../policy/api/names.ts';
import { testPrivateKey } from '../../../policy/bundle/testing/example-bundles.ts';
import type { KubeClient } from '../../kube/kube-client.ts';
import { type BundleSigningKey, loadBundleSigningKey } from '../bundle-signing-key.ts';

/** The operator's namespace in tests. */
export const OPERATOR_NAMESPACE = 'portcullis';

/** Where the key is in tests. */
export const SIGNING_KEY = { namespace: OPERATOR_NAMESPACE, name: BUNDLE_SIGNING_KEY_SECRET };

/** A signing key that is always the same: for tests. */
export function testSigningKey(client: KubeClient): Promise<BundleSigningKey> {
  return loadBundleSigningKey(client, OPERATOR_NAMESPACE, () => testPrivateKey(1));
}
