import type { PasswordClass, PasswordRules } from '../../policy/bundle/tokens.ts';

/** Why a password is not accepted: a closed list. */
export type PasswordRule =
  | 'too_short'
  | 'too_long'
  | 'no_upper'
  | 'no_lower'
  | 'no_digit'
  | 'no_special'
  | 'nul'
  | 'not_unicode';

/** bcrypt looks at no more bytes than these. */
export const BCRYPT_MAX_BYTES = 72;
/** A bound on work where something else than bcrypt may look at the password. */
export const MAX_PASSWORD_BYTES = 1024;

const CLASSES: Readonly<Record<PasswordClass, readonly [RegExp, PasswordRule, string]>> = {
  Upper: [/\p{Lu}/u, 'no_upper', 'needs an upper-case letter'],
  Lower: [/\p{Ll}/u, 'no_lower', 'needs a lower-case letter'],
  Digit: [/\p{Nd}/u, 'no_digit', 'needs a digit'],
  Special: [/[^\p{L}\p{N}]/u, 'no_special', 'needs a character that is neither a letter nor a digit'],
};

/** A rule that a password breaks, with a sentence for the one who chose it. */
export interface BrokenRule {
  readonly rule: PasswordRule;
  readonly message: string;
}

/** What no password may be, whoever looks at it: too long in UTF-8, with a NUL (where C ends a text), not Unicode. */
export function unusable(password: string, maxBytes: number): readonly BrokenRule[] {
  const broken: BrokenRule[] = [];
  if (Buffer.byteLength(password) > maxBytes) {
    broken.push({ rule: 'too_long', message: `must have at most ${maxBytes} bytes in UTF-8` });
  }
  if (password.includes('\0')) broken.push({ rule: 'nul', message: 'must not hold the character U+0000' });
  if (!password.isWellFormed()) broken.push({ rule: 'not_unicode', message: 'must be valid Unicode' });
  return broken;
}

/** Every rule that a new password breaks, in a fixed order. */
export function brokenRules(password: string, { minLength, classes }: PasswordRules): readonly BrokenRule[] {
  const broken: BrokenRule[] = [];
  if ([...password].length < minLength) {
    broken.push({ rule: 'too_short', message: `must have at least ${minLength} characters` });
  }
  for (const name of classes) {
    const [pattern, rule, message] = CLASSES[name];
    if (!pattern.test(password)) broken.push({ rule, message });
  }
  return [...broken, ...unusable(password, MAX_PASSWORD_BYTES)];
}
