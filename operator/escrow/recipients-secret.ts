import { LABELS } from '../../policy/api/names.ts';
import type { KubeClient } from '../kube/kube-client.ts';
import { SECRETS } from '../kube/objects.ts';
import { readRecipients } from './read-recipients.ts';
import type { Recipients } from './recipients.ts';

/**
 * The recipients in a Secret, read live: it must be labelled for reference, and none of those that Portcullis writes. `now`:
 * epoch milliseconds. Throws KubeError.
 */
export async function recipientsInSecret(
  client: Pick<KubeClient, 'get'>,
  at: { readonly namespace: string; readonly name: string },
  now: number,
): Promise<Recipients> {
  const where = `Secret ${at.namespace}/${at.name}`;
  const secret = await client.get(SECRETS, at);
  if (secret === null) {
    return unusable(`${where} does not exist; write one armoured OpenPGP public key for each recipient into it`);
  }
  const { labels = {} } = secret.metadata;
  if (labels[LABELS.holds] !== undefined) {
    return unusable(`${where} is one that Portcullis writes; name one with public keys only`);
  }
  if (labels[LABELS.allowReference] !== 'true') {
    return unusable(`${where} may not be referred to; label it ${LABELS.allowReference}=true`);
  }
  const entries = Object.entries(secret.data ?? {});
  const found = await readRecipients(
    Object.fromEntries(entries.map(([name, value]) => [name, Buffer.from(value, 'base64').toString('utf8')])),
    now,
  );
  return found.kind === 'Unusable' ? unusable(`${where} ${found.message}`) : found;
}

function unusable(message: string): Recipients {
  return { kind: 'Unusable', message };
}
