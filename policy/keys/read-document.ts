import { type Check, checked } from '../bundle/check.ts';
import { PortcullisError } from '../errors.ts';

/** What `check` makes of a JSON text that we wrote. Throws `keyring_invalid`, naming the place and never a value. */
export function readDocument<T>(text: string, check: Check<T>): T {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    // Without the parser's own message: it quotes the text, which holds private keys.
    throw new PortcullisError('keyring_invalid', 'document must be JSON; it is damaged or cut short');
  }
  return checked(check, document, 'keyring_invalid');
}
