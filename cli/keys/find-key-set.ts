import type { KubeClient } from '../../operator/kube/kube-client.ts';
import { type CustomResource, SIGNING_KEY_SETS, type SigningKeySetStatus } from '../../operator/resources.ts';
import { decodeResource } from '../../policy/api/decode.ts';
import { didYouMean } from '../../policy/api/nearest.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { thereAre } from '../../policy/compile/suggest.ts';
import { PortcullisError } from '../../policy/errors.ts';

/** A SigningKeySet as the API server holds it. */
export type KeySetObject = CustomResource<SigningKeySetStatus>;

/**
 * The SigningKeySet that `sks/NAME` or `NAME` names. Throws `config_invalid`, naming those that there are, and KubeError when
 * the API server refuses.
 */
export async function findKeySet(
  client: Pick<KubeClient, 'get' | 'list'>,
  namespace: string,
  argument: string,
): Promise<KeySetObject> {
  const name = keySetNamed(argument);
  const found = await client.get(SIGNING_KEY_SETS, { namespace, name });
  if (found !== null) return found;
  const known = (await client.list(SIGNING_KEY_SETS, { namespace })).items.map(({ metadata }) => metadata.name);
  const others = known.length === 0 ? '; there are none: name another namespace with -n' : `; ${thereAre(known)}`;
  const hint = didYouMean(name, known) || others;
  throw new PortcullisError('config_invalid', `no SigningKeySet ${namespace}/${name}${hint}`);
}

/** Its spec with every default filled in. Throws `config_invalid` when it is not valid. */
export function decodeKeySet(object: KeySetObject): SigningKeySet {
  const { apiVersion, kind } = SIGNING_KEY_SETS;
  const decoded = decodeResource({ ...object, apiVersion, kind });
  if ('resource' in decoded) return decoded.resource as SigningKeySet;
  const { namespace, name } = object.metadata;
  throw new PortcullisError(
    'config_invalid',
    `SigningKeySet ${namespace}/${name} is not valid; see kubectl describe sks ${name} -n ${namespace}`,
  );
}

function keySetNamed(text: string): string {
  const [kind = '', name] = text.split('/');
  if (name === undefined) return kind;
  if (['sks', 'signingkeyset', 'signingkeysets'].includes(kind) && name !== '') return name;
  throw new PortcullisError(
    'config_invalid',
    `write NAME or sks/NAME, and the namespace with -n, not ${JSON.stringify(text)}`,
  );
}
