import Type from 'typebox';
import { duration } from './common-fields.ts';
import { DURATION_PATTERN, parseDuration } from './duration.ts';
import { durationBounds } from './duration-bounds.ts';
import type { ObjectOf } from './field.ts';
import { rule } from './rule.ts';

/** How far apart offences may lie to count together. */
export function within(description: string, standard: string) {
  return duration({ description, default: standard, rules: [durationBounds('1s', '24h')] });
}

/** How long a measure lasts. */
export function lasting(description: string, standard: string) {
  return duration({ description, default: standard, rules: [durationBounds('1s', '744h')] });
}

const fields = {
  after: Type.Integer({
    minimum: 1,
    maximum: 100_000,
    description: 'Refusals by limits (429 rate_limited) that lead to a block.',
  }),
  within: within('How far apart these may lie.', '10m'),
  block: lasting('How long the first block lasts.', '1m'),
  multiplier: Type.Integer({
    minimum: 1,
    maximum: 100,
    default: 2,
    description:
      'Each further block lasts this many times as long as the one before; 1: all last as long as the first.',
  }),
  max: lasting(
    'The longest a block lasts. Who needs none for as long as this (or as `within`, when that is longer) begins anew.',
    '1h',
  ),
};

/** Blocks for who goes on after a limit has refused. */
export const penalties = Type.Object(fields, {
  description:
    'Blocks whoever goes on when a limit has refused: what the limit counts by (an address, a user, a tenant, …) is answered 429 `blocked` everywhere for a time that grows.',
  rules: [
    rule<ObjectOf<typeof fields>>(
      `!self.max.matches(r'${DURATION_PATTERN}') || !self.block.matches(r'${DURATION_PATTERN}') || duration(self.max) >= duration(self.block)`,
      'max must not be shorter than block: write max: 1h with block: 1m, or the same in both',
      ({ max, block }) => (parseDuration(max) ?? Number.POSITIVE_INFINITY) >= (parseDuration(block) ?? 0),
    ),
  ],
});
