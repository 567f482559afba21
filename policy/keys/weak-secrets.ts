/** Words of secrets that people type. None occurs by chance in random material of any usual encoding. */
const TYPED = ['secret', 'passw', 'changeme', 'change-me', 'change_me', 'example', 'qwerty', 'letmein', 'portcullis'];

/** Bytes of one value in a row at either end that chance does not produce (2^-56). */
const PADDING_RUN = 8;

/**
 * Says why an HMAC secret is guessable, as the end of the sentence "its secret ...", or null. Finds what people type or
 * copy from a web page (jwt.io's default), short secrets stretched by padding or repetition, and counting bytes. It does
 * not measure entropy: no test can.
 */
export function weaknessOfSecret(secret: Buffer): string | null {
  if (isProgression(secret)) return 'repeats or counts one byte';
  if (isRepetition(secret)) return 'repeats a shorter one';
  if (runLength(secret, 0, 1) >= PADDING_RUN || runLength(secret, secret.length - 1, -1) >= PADDING_RUN) {
    return 'is a shorter one with padding';
  }
  const text = secret.toString('latin1').toLowerCase();
  const word = TYPED.find((typed) => text.includes(typed));
  return word === undefined ? null : `contains the word "${word}"`;
}

/** Every byte differs from the one before it by the same amount: 0, 0, 0 ... or 0, 1, 2 ... */
function isProgression(secret: Buffer): boolean {
  const step = stepAt(secret, 1);
  for (let at = 2; at < secret.length; at++) {
    if (stepAt(secret, at) !== step) return false;
  }
  return true;
}

function stepAt(secret: Buffer, at: number): number {
  return ((secret[at] ?? 0) - (secret[at - 1] ?? 0)) & 0xff;
}

/** The whole is its own beginning over and over, the last time perhaps cut short. */
function isRepetition(secret: Buffer): boolean {
  for (let period = 1; period <= secret.length / 2; period++) {
    if (secret.subarray(period).equals(secret.subarray(0, secret.length - period))) return true;
  }
  return false;
}

function runLength(secret: Buffer, from: number, direction: 1 | -1): number {
  let length = 0;
  while (length < secret.length && secret[from + length * direction] === secret[from]) length++;
  return length;
}
