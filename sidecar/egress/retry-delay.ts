import type { EgressRetry } from '../../policy/bundle/egress.ts';

/**
 * Milliseconds to wait after try number `attempt` (from 1): random up to `baseMs` doubled for each try before, at most `maxMs` (full
 * jitter); a Retry-After is waited for besides. Null: a Retry-After that is longer than `maxMs`. `random`: from 0 to below 1.
 */
export function retryDelay(
  attempt: number,
  { baseMs, maxMs }: Pick<EgressRetry, 'baseMs' | 'maxMs'>,
  retryAfterMs: number | null,
  random: number,
): number | null {
  const jitter = random * Math.min(maxMs, baseMs * 2 ** (attempt - 1));
  if (retryAfterMs === null) return jitter;
  return retryAfterMs > maxMs ? null : Math.min(maxMs, retryAfterMs + jitter);
}

/** Milliseconds of a Retry-After (RFC 9110 §10.2.3), seconds or a date; null: there is none that can be read. `now`: epoch milliseconds. */
export function parseRetryAfter(value: string | undefined, now: number): number | null {
  if (value === undefined) return null;
  if (/^[0-9]{1,9}$/.test(value)) return Number(value) * 1_000;
  // Date.parse takes much that is no date; HTTP's three formats (§5.6.7) begin with a day.
  const at = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}
