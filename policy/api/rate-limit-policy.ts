import Type, { type Static } from 'typebox';
import {
  clientIP,
  duration,
  expression,
  itemName,
  limitMatch,
  mode,
  positiveDuration,
  store,
} from './common-fields.ts';
import { mapOf, type ObjectOf, oneOf, setOf, text, textsByName } from './field.ts';
import { MAX_WINDOW, parseRate, parseTierRate, RATE_PATTERN, UNLIMITED } from './rate.ts';
import { columns, commonStatus, type ResourceDefinition, type ResourceOf } from './resource.ts';
import { rule, ruleAbout } from './rule.ts';

/** Tiers that every policy has. */
export const BUILT_IN_TIERS: readonly string[] = ['anonymous', 'authenticated'];

const window = "duration(self.split('/')[1])";
const rateCel = `self.matches(r'${RATE_PATTERN}') && ${window} >= duration('1ms') && ${window} <= duration('${MAX_WINDOW}')`;

const rateRule = rule<string>(
  rateCel,
  `write a rate such as 10/1m: a count of at least 1, a slash, and a duration of at most ${MAX_WINDOW}`,
  (value) => parseRate(value) !== undefined,
);

const tierRateRule = rule<string>(
  `self == '${UNLIMITED}' || (${rateCel})`,
  `write a rate such as 10/1m (a count of at least 1, a slash, and a duration of at most ${MAX_WINDOW}), or ${UNLIMITED}`,
  (value) => parseTierRate(value) !== undefined,
);

const notBuiltIn = rule<string>(
  "!(self in ['anonymous', 'authenticated', 'default'])",
  'anonymous and authenticated are built in and default stands for the rest; choose another name',
  (name) => !BUILT_IN_TIERS.includes(name) && name !== 'default',
);

const tier = Type.Object(
  {
    name: itemName('Name of the tier, used as a key in `rates`.', [notBuiltIn]),
    when: Type.Optional(
      expression(
        "CEL over the request that puts it in this tier. Without it, the token's tier claim must equal the name.",
      ),
    ),
  },
  { description: 'A group of subjects with rates of its own.' },
);

const limitFields = {
  name: itemName('Name of the limit, shown in the RateLimit headers, logs and metrics.'),
  match: limitMatch,
  key: setOf(oneOf(['ip', 'user', 'tenant'], { description: 'One part of the key.' }), {
    description: 'What requests are counted by: ip (an IPv6 client by its /64), user (by ip when anonymous), tenant.',
    minItems: 1,
    maxItems: 3,
  }),
  algorithm: oneOf(['SlidingWindow', 'TokenBucket', 'FixedWindow'], {
    description:
      'SlidingWindow never admits more than the rate in any window; TokenBucket burst + rate x time; FixedWindow up to twice the rate at a boundary.',
    default: 'SlidingWindow',
  }),
  rate: Type.Optional(
    text({
      description: 'The rate for every tier: requests over a window, such as 10/1m.',
      maxLength: 32,
      rules: [rateRule],
    }),
  ),
  rates: Type.Optional(
    textsByName(text({ description: 'A rate such as 10/1m, or Unlimited.', maxLength: 32, rules: [tierRateRule] }), {
      description:
        'The rate of each tier: anonymous, authenticated, those of spec.tiers, and default for the ones not named.',
      maxProperties: 19,
    }),
  ),
  burst: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 999_999_999,
      description: 'TokenBucket only, and needed there: size of the bucket, in requests.',
    }),
  ),
  onStoreFailure: oneOf(['LocalShare', 'Allow', 'Deny'], {
    description:
      'What happens while the store does not answer: LocalShare counts in memory against the rate divided by the pods last seen, Allow admits, Deny refuses.',
    default: 'LocalShare',
  }),
};

type Limit = ObjectOf<typeof limitFields>;

const limit = Type.Object(limitFields, {
  description: 'One limit.',
  rules: [
    rule<Limit>(
      'has(self.rate) != has(self.rates)',
      'write either rate (one for all tiers) or rates (one for each tier)',
      (l) => (l.rate === undefined) !== (l.rates === undefined),
    ),
    rule<Limit>(
      "(self.algorithm == 'TokenBucket') == has(self.burst)",
      'burst belongs to TokenBucket, which needs it: write both (algorithm: TokenBucket, burst: 100) or neither',
      (l) => (l.algorithm === 'TokenBucket') === (l.burst !== undefined),
    ),
  ],
});

const fields = {
  mode,
  store: Type.Optional(store),
  clientIP: Type.Optional(clientIP),
  tiers: mapOf(tier, {
    description: 'Tiers besides the built-in anonymous and authenticated. The first that fits is taken.',
    maxItems: 16,
    default: [],
  }),
  limits: mapOf(limit, {
    description: 'Limits. All that match apply; the strictest answers.',
    maxItems: 64,
    default: [],
  }),
  timeouts: Type.Object(
    {
      connect: duration({
        description: 'Longest wait for a connection to the app.',
        default: '1s',
        rules: [positiveDuration],
      }),
      request: duration({
        description: "Longest wait for the head of the app's answer.",
        default: '30s',
        rules: [positiveDuration],
      }),
      idle: duration({
        description: 'Longest silence on an open exchange.',
        default: '60s',
        rules: [positiveDuration],
      }),
    },
    { description: 'Time-outs towards the app.', default: {} },
  ),
};

type Spec = ObjectOf<typeof fields>;

const everyTierHasARate = ruleAbout<Spec>(
  {
    cel: "self.limits.all(l, !has(l.rates) || 'default' in l.rates || ('anonymous' in l.rates && 'authenticated' in l.rates && self.tiers.all(t, t.name in l.rates)))",
    message:
      "a limit's rates must name every tier (anonymous, authenticated and those of spec.tiers), or have a default; write Unlimited where no limit is meant",
  },
  (spec) =>
    spec.limits.flatMap((l, index) => {
      const rates = l.rates;
      if (rates === undefined || Object.hasOwn(rates, 'default')) return [];
      const missing = [...BUILT_IN_TIERS, ...spec.tiers.map((t) => t.name)].filter(
        (name) => !Object.hasOwn(rates, name),
      );
      return missing.map((name) => ['limits', index, 'rates', name]);
    }),
);

const ratesNameTiers = ruleAbout<Spec>(
  {
    cel: "self.limits.all(l, !has(l.rates) || l.rates.all(k, k in ['anonymous', 'authenticated', 'default'] || self.tiers.exists(t, t.name == k)))",
    message:
      'rates names a tier that is neither built in (anonymous, authenticated, default) nor in spec.tiers; add it there or correct the name',
  },
  (spec) =>
    spec.limits.flatMap((l, index) => {
      const known = new Set(['default', ...BUILT_IN_TIERS, ...spec.tiers.map((t) => t.name)]);
      return Object.keys(l.rates ?? {})
        .filter((name) => !known.has(name))
        .map((name) => ['limits', index, 'rates', name]);
    }),
);

const spec = Type.Object(fields, {
  description: 'What the policy limits.',
  rules: [everyTierHasARate, ratesNameTiers],
});
const status = Type.Object(commonStatus, { description: 'What the operator observed.' });

/** How many requests a subject may make. Defaults are filled in. */
export type RateLimitPolicy = ResourceOf<'RateLimitPolicy', Static<typeof spec>, Static<typeof status>>;

/** RateLimitPolicy as crds/, docs/reference.md and the decoder see it. */
export const rateLimitPolicy: ResourceDefinition = {
  kind: 'RateLimitPolicy',
  plural: 'ratelimitpolicies',
  singular: 'ratelimitpolicy',
  shortName: 'prl',
  description: 'How many requests a client may make, and how long they may take.',
  spec,
  status,
  printerColumns: [columns.condition('Ready'), columns.condition('Enforced'), columns.mode, columns.pods, columns.age],
};
