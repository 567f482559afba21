import { readRecipients } from '../../operator/escrow/read-recipients.ts';
import type { Recipients } from '../../operator/escrow/recipients.ts';
import { LABELS } from '../../policy/api/names.ts';
import type { ReferencedSecret } from '../../policy/compile/references.ts';
import type { KeySetSpec } from '../../policy/keys/spec.ts';

/** To whom a key set's keys are encrypted, by the Secrets of a policy directory. `now`: epoch milliseconds. */
export async function recipientsIn(
  secrets: readonly ReferencedSecret[],
  { namespace, escrow }: KeySetSpec,
  now: number,
): Promise<Recipients> {
  if (escrow === null) return { kind: 'Off' };
  const name = escrow.recipientsSecret;
  const secret = secrets.find((candidate) => candidate.namespace === namespace && candidate.name === name);
  const about = (message: string): Recipients => ({
    kind: 'Unusable',
    message: `Secret ${namespace}/${name} ${message}`,
  });
  if (secret === undefined) {
    return about('is in no file of the policy directory; add it, one armoured OpenPGP public key for each recipient');
  }
  if (secret.labels[LABELS.allowReference] !== 'true') {
    return about(`may not be referred to; label it ${LABELS.allowReference}: "true"`);
  }
  const recipients = await readRecipients(secret.data, now);
  return recipients.kind === 'Unusable' ? about(recipients.message) : recipients;
}
