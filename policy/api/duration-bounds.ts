import { DURATION_PATTERN, parseDuration } from './duration.ts';
import { type Rule, rule } from './rule.ts';

/** A rule that a duration lies between two others, both written as durations and included. */
export function durationBounds(least: string, most: string): Rule {
  const [from, to] = [parseDuration(least)!, parseDuration(most)!];
  return rule<string>(
    `!self.matches(r'${DURATION_PATTERN}') || (duration(self) >= duration('${least}') && duration(self) <= duration('${most}'))`,
    `must be from ${least} to ${most}`,
    (value) => {
      const duration = parseDuration(value);
      return duration === undefined || (duration >= from && duration <= to);
    },
  );
}
