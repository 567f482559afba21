import Type from 'typebox';
import { BYTE_SIZE_PATTERN } from './byte-size.ts';
import { pathPattern } from './common-fields.ts';
import { oneOf, setOf, text } from './field.ts';
import { lasting, within } from './penalties.ts';
import { rateRule } from './rate-rules.ts';
import { matches, rule } from './rule.ts';

function key(what: string) {
  return oneOf(['ip', 'user', 'tenant'], {
    description: `What ${what} counted by: ip (an IPv6 client by its /64), user (by ip when anonymous), tenant (by user without one).`,
    default: 'user',
  });
}

const bruteForce = Type.Object(
  {
    failures: Type.Integer({ minimum: 1, maximum: 100_000, description: 'Failed log-ins that lead to a block.' }),
    within: within('How far apart these may lie.', '5m'),
    keys: setOf(oneOf(['ip', 'user'], { description: 'ip or user.' }), {
      description:
        'ip blocks the address. user blocks further log-ins under that name, but not from addresses where it logged in before, nor anybody who has a token. user is known at our own token endpoints only.',
      minItems: 1,
      maxItems: 2,
      default: ['ip', 'user'],
    }),
    block: lasting('How long the block lasts.', '1h'),
    paths: setOf(pathPattern, {
      description:
        'Where the application does log-ins itself: a POST to one of these that it answers 401 or 403 is a failed log-in. Our own token endpoints need not be named.',
      maxItems: 16,
      default: [],
    }),
  },
  { description: 'Guessing passwords. A token with a forged signature counts as a failed log-in of its address.' },
);

const abuse = Type.Object(
  {
    requests: Type.Integer({ minimum: 1, maximum: 999_999_999, description: 'Requests that lead to the throttle.' }),
    within: within('How far apart these may lie.', '1m'),
    key: key('requests are'),
    throttle: text({
      description: 'The rate that is left to them, such as 10/1m. Must be below requests over within.',
      maxLength: 32,
      rules: [rateRule],
    }),
    for: lasting('How long the throttle lasts.', '5m'),
  },
  { description: 'Far more requests than anybody needs: whoever sends them is slowed down, besides all limits.' },
);

const statusOfError = rule<number>(
  'self >= 400 && self <= 599',
  'write statuses of errors, from 400 to 599, such as 404',
  (status) => status >= 400 && status <= 599,
);

const scanning = Type.Object(
  {
    statuses: setOf(Type.Integer({ minimum: 100, maximum: 599, description: 'A status.', rules: [statusOfError] }), {
      description: 'Answers that count, by us or by the application.',
      minItems: 1,
      maxItems: 32,
      default: [401, 403, 404],
    }),
    count: Type.Integer({ minimum: 1, maximum: 100_000, description: 'Such answers that lead to a block.' }),
    within: within('How far apart these may lie.', '1m'),
    block: lasting('How long the block of the address lasts.', '10m'),
  },
  { description: 'Looking for what is there: many errors for one address.' },
);

const exfiltration = Type.Object(
  {
    bytes: text({
      description: 'Bytes of answers that are worth an event, such as 1024Mi.',
      maxLength: 16,
      rules: [matches(BYTE_SIZE_PATTERN, 'write a size such as 512Ki or 1024Mi')],
    }),
    within: within('In which time.', '1m'),
    key: key('bytes are'),
  },
  { description: 'More data than anybody needs: told by an event and an alert, nothing is blocked.' },
);

/** What attacks are told by, and what is done. */
export const threats = Type.Object(
  {
    bruteForce: Type.Optional(bruteForce),
    abuse: Type.Optional(abuse),
    scanning: Type.Optional(scanning),
    exfiltration: Type.Optional(exfiltration),
  },
  { description: 'What attacks are told by, and what is done about them.' },
);
