import { MAX_WINDOW, parseRate, parseTierRate, RATE_PATTERN, UNLIMITED } from './rate.ts';
import { rule } from './rule.ts';

const window = "duration(self.split('/')[1])";
const rateCel = `self.matches(r'${RATE_PATTERN}') && ${window} >= duration('1ms') && ${window} <= duration('${MAX_WINDOW}')`;

/** A rule that a text is a rate. */
export const rateRule = rule<string>(
  rateCel,
  `write a rate such as 10/1m: a count of at least 1, a slash, and a duration of at most ${MAX_WINDOW}`,
  (value) => parseRate(value) !== undefined,
);

/** A rule that a text is a rate, or says on purpose that there is none. */
export const rateOrUnlimitedRule = rule<string>(
  `self == '${UNLIMITED}' || (${rateCel})`,
  `write a rate such as 10/1m (a count of at least 1, a slash, and a duration of at most ${MAX_WINDOW}), or ${UNLIMITED}`,
  (value) => parseTierRate(value) !== undefined,
);
