/** The least work (2^12 rounds) that a hash must cost. */
export const MIN_BCRYPT_COST = 12;
/** The most: beyond it one login takes seconds. */
export const MAX_BCRYPT_COST = 15;

const BCRYPT_HASH = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

/** The cost of a bcrypt hash as a number, NaN for other texts. */
export function costOf(hash: string): number {
  return Number(BCRYPT_HASH.exec(hash)?.[1]);
}
