import { SIGNING_KEY_SETS } from '../../operator/resources.ts';
import { SecretKeySetStore } from '../../operator/signing-keys/secret-key-set-store.ts';
import { decodeResource } from '../../policy/api/decode.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { connectTo, operatorNamespace } from '../kube/connect.ts';
import type { KubeValues } from '../kube/kube-flag-names.ts';
import { tokenTermsOf } from '../local/directory-key-store.ts';
import { issuerOf, signsNothing, type TokenIssuer } from './mint-token.ts';

/** Which cluster, and where Portcullis is in it; undefined: found out. */
export interface ClusterFlags extends KubeValues {
  readonly operatorNamespace: string | undefined;
}

/**
 * The issuer of a SigningKeySet (`name` in the namespace of the flags, or `namespace/name`), with the key that is published
 * and signs now. Throws `config_invalid` when there is none or it is for Fernet, and KubeError when the API server refuses.
 */
export async function clusterIssuer(flags: ClusterFlags, keySet: string): Promise<TokenIssuer> {
  const { client, namespace: ownNamespace } = connectTo(flags);
  const [name = '', namespace = ownNamespace] = keySet.split('/').reverse();
  const object = await client.get(SIGNING_KEY_SETS, { namespace, name });
  if (object === null) {
    const known = (await client.list(SIGNING_KEY_SETS, { namespace })).items.map(({ metadata }) => metadata.name);
    const choice = known.length === 0 ? 'there are none in that namespace' : `there are ${known.join(', ')}`;
    throw new PortcullisError('config_invalid', `no SigningKeySet ${namespace}/${name}; ${choice}`);
  }
  const decoded = decodeResource(object);
  if (!('resource' in decoded))
    throw new PortcullisError(
      'config_invalid',
      `SigningKeySet ${namespace}/${name} is not valid; see kubectl describe sks ${name} -n ${namespace}`,
    );
  const terms = tokenTermsOf(decoded.resource as SigningKeySet);
  if (terms === null) throw signsNothing(`${namespace}/${name}`);
  const operator = flags.operatorNamespace ?? (await operatorNamespace(client));
  const outputs = await new SecretKeySetStore(client, operator, { namespace, name }).readOutputs();
  if (outputs?.issuing == null) {
    const problem = `SigningKeySet ${namespace}/${name} has no key yet; see kubectl describe sks ${name} -n ${namespace}`;
    throw new PortcullisError('config_invalid', problem, { retry: 'later' });
  }
  return issuerOf(terms, outputs.issuing);
}
