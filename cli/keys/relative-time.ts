const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
] as const;

const words = new Intl.RelativeTimeFormat('en', { numeric: 'always' });

/** `in 3 days`, `36 hours ago`: in the largest unit of which there are at least two. Epoch milliseconds. */
export function relativeTime(at: number, now: number): string {
  const distance = at - now;
  const [unit, length] = UNITS.find(([, ms]) => Math.abs(distance) >= 2 * ms) ?? UNITS[3];
  return words.format(Math.trunc(distance / length), unit);
}

/** `in 3 days (2026-01-04T00:00:00Z)`, of an RFC 3339 time. `now`: epoch milliseconds. */
export function moment(time: string, now: number): string {
  return `${relativeTime(Date.parse(time), now)} (${time})`;
}
