import { encryptTo, type PublicKey, readPublicKey } from './open-pgp.ts';
import type { Recipients } from './recipients.ts';

const MAX_RECIPIENTS = 16;
/** Whoever may write the Secret makes the operator check all that is in it. */
const MAX_BYTES = 65_536;

/**
 * The recipients in the values of a Secret, by entry: each one armoured OpenPGP public key. All of them can be encrypted to at
 * `now` (epoch milliseconds), or none is: `message` then names each entry that cannot, and what to write; the caller names the
 * Secret. A key that expires is usable to its last moment.
 */
export async function readRecipients(entries: Readonly<Record<string, string>>, now: number): Promise<Recipients> {
  const names = Object.keys(entries).sort();
  if (names.length === 0) return unusable('has no entry; write one public key for each recipient');
  if (names.length > MAX_RECIPIENTS) return unusable(`has ${names.length} entries; at most ${MAX_RECIPIENTS}`);
  if (names.reduce((sum, name) => sum + (entries[name] ?? '').length, 0) > MAX_BYTES) {
    return unusable(`is longer than ${MAX_BYTES} bytes; add --export-options export-minimal to gpg --export`);
  }
  const keys = new Map<string, PublicKey>();
  const problems: string[] = [];
  for (const name of names) {
    const read = await readPublicKey(entries[name] ?? '', now);
    if ('problem' in read) problems.push(`entry ${JSON.stringify(name)} ${read.problem}`);
    else keys.set(read.fingerprint, read);
  }
  if (problems.length > 0) return unusable(problems.join('; '));
  const recipients = [...keys.values()];
  return {
    kind: 'Usable',
    fingerprints: [...keys.keys()].sort(),
    encrypt: (text) => encryptTo(recipients, Buffer.from(text), now),
  };
}

function unusable(message: string): Recipients {
  return { kind: 'Unusable', message };
}
