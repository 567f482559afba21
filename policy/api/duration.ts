/** The regular expression of a GEP-2257 duration, valid in JavaScript and RE2. */
export const DURATION_PATTERN = '^([0-9]{1,5}(h|m|s|ms)){1,4}$';

const whole = new RegExp(DURATION_PATTERN);
const MILLISECONDS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Milliseconds of a GEP-2257 duration such as `90s` or `1h30m`; undefined when `text` is none. */
export function parseDuration(text: string): number | undefined {
  if (!whole.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) total += Number(count) * MILLISECONDS[unit!]!;
  return total;
}
