import Type from 'typebox';
import { expression, itemName, limitMatch } from './common-fields.ts';
import { mapOf, type ObjectOf, oneOf, setOf, text, textsByName } from './field.ts';
import { UNLIMITED } from './rate.ts';
import { rateOrUnlimitedRule, rateRule } from './rate-rules.ts';
import { matches, rule, ruleAbout } from './rule.ts';

/** Tiers that every policy has. */
export const BUILT_IN_TIERS: readonly string[] = ['anonymous', 'authenticated'];

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

const keyRule = matches(
  '^(ip|user|tenant|tier|rule|claim:[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,63})$',
  'write ip, user, tenant, tier, rule, or claim: and the name of a claim, such as claim:desk (a member of a claim has no name: make it a claim of its own)',
);

const limitFields = {
  name: itemName('Name of the limit, shown in the RateLimit headers, logs and metrics.'),
  match: limitMatch,
  key: setOf(text({ description: 'One part of the key.', maxLength: 70, rules: [keyRule] }), {
    description:
      'What requests are counted by: ip (an IPv6 client by its /64), user (by ip when anonymous), tenant, tier (all of a tier together), claim:NAME (a claim that is a text, a number or a boolean), rule (the rule of the access policy). Without a tenant or such a claim: as user.',
    minItems: 1,
    maxItems: 4,
    default: ['user'],
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
    textsByName(
      text({ description: 'A rate such as 10/1m, or Unlimited.', maxLength: 32, rules: [rateOrUnlimitedRule] }),
      {
        description:
          'The rate of each tier: anonymous, authenticated, those of spec.tiers, and default for the ones not named.',
        maxProperties: 19,
      },
    ),
  ),
  burst: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 999_999_999,
      description: 'TokenBucket only, and needed there: size of the bucket, in requests.',
    }),
  ),
  cost: Type.Integer({
    minimum: 1,
    maximum: 999_999_999,
    default: 1,
    description: 'How much of the rate one request takes. Clients are told of the requests that this leaves.',
  }),
  lane: oneOf(['Shared', 'Reserved'], {
    description:
      'Reserved: within its rate an authenticated match is counted here only, past all other limits, throttles and shedding; over it, as if this limit were not there.',
    default: 'Shared',
  }),
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
    rule<Limit>(
      '!has(self.burst) || self.cost <= self.burst',
      'cost is more than burst, so that no request would ever be admitted; write a burst of at least the cost',
      (l) => l.burst === undefined || l.cost <= l.burst,
    ),
    rule<Limit>(
      "self.lane != 'Reserved' || size(self.match.paths) > 0",
      'a Reserved lane leads past all other limits; say for which requests (match: {paths: [...], methods: [...]})',
      (l) => l.lane !== 'Reserved' || l.match.paths.length > 0,
    ),
    rule<Limit>(
      "self.lane != 'Reserved' || !has(self.rates) || !self.rates.exists(k, self.rates[k] == 'Unlimited')",
      'a Reserved lane without a limit would lead past all others; write a rate instead of Unlimited',
      (l) => l.lane !== 'Reserved' || !Object.values(l.rates ?? {}).includes(UNLIMITED),
    ),
  ],
});

/** `tiers` of a RateLimitPolicy. */
export const tiers = mapOf(tier, {
  description: 'Tiers besides the built-in anonymous and authenticated. The first that fits is taken.',
  maxItems: 16,
  default: [],
});

/** `limits` of a RateLimitPolicy. */
export const limits = mapOf(limit, {
  description: 'Limits. All that match apply; the strictest answers.',
  maxItems: 64,
  default: [],
});

const fields = { tiers, limits };
type TiersAndLimits = ObjectOf<typeof fields>;

const everyTierHasARate = ruleAbout<TiersAndLimits>(
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

const ratesNameTiers = ruleAbout<TiersAndLimits>(
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

/** What must hold between `tiers` and `limits`. */
export const tierRules = [everyTierHasARate, ratesNameTiers];
