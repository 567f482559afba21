import type { Rate } from '../bundle/types.ts';
import { DURATION_PATTERN, parseDuration } from './duration.ts';

/** The regular expression of a rate, valid in JavaScript and RE2; its window has bounds besides. */
export const RATE_PATTERN = `^[1-9][0-9]{0,8}/${DURATION_PATTERN.slice(1)}`;

/** The word that says on purpose that a tier has no limit. */
export const UNLIMITED = 'Unlimited';

/** The longest window of a rate, 31 days. */
export const MAX_WINDOW = '744h';

const whole = new RegExp(RATE_PATTERN);
const maxWindowMs = parseDuration(MAX_WINDOW)!;

/** A rate such as `10/1m`: a count from 1 to 999999999 over a window from 1ms to 744h; undefined when `text` is none. */
export function parseRate(text: string): Rate | undefined {
  if (!whole.test(text)) return undefined;
  const slash = text.indexOf('/');
  const windowMs = parseDuration(text.slice(slash + 1));
  if (windowMs === undefined || windowMs < 1 || windowMs > maxWindowMs) return undefined;
  return { limit: Number(text.slice(0, slash)), windowMs };
}

/** A tier's rate: as `parseRate`, or null for `Unlimited`. */
export function parseTierRate(text: string): Rate | null | undefined {
  return text === UNLIMITED ? null : parseRate(text);
}
