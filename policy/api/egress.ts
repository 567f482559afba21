import Type, { type Static, type TSchema } from 'typebox';
import { circuitBreaker } from './circuit-breaker.ts';
import { duration, itemName, objectName, positiveDuration, ruleMatch, TOKEN_PATTERN } from './common-fields.ts';
import { parseDuration } from './duration.ts';
import { listOf, mapOf, type ObjectOf, text } from './field.ts';
import { rateOrUnlimitedRule } from './rate-rules.ts';
import { matches, rule } from './rule.ts';

/** What a request to a broker may be tried again after. */
export const RETRY_REASONS = ['429', '5xx', 'connect'] as const;

/** One of `RETRY_REASONS`. */
export type RetryReason = (typeof RETRY_REASONS)[number];

const originRule = matches(
  '^https://[^\\s@\\\\/?#]+/?$',
  'write https:// and a host, such as https://api.binance.com, without path, user, query or fragment; paths belong in allow',
);

/** Headers that frame a message, name its target or end at the next hop (RFC 9110 §7.6.1): none of them can carry a credential. */
const NOT_FOR_CREDENTIALS = [
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

const credentialHeaderRules = [
  matches(TOKEN_PATTERN, 'write the name of a header, such as X-MBX-APIKEY'),
  rule<string>(
    `!(self.lowerAscii() in [${NOT_FOR_CREDENTIALS.map((name) => `'${name}'`).join(', ')}])`,
    'this header ends at the next hop or frames the message; write the one that the broker documents, such as X-MBX-APIKEY or Authorization',
    (name) => !NOT_FOR_CREDENTIALS.includes(name.toLowerCase()),
  ),
];

/** YAML reads 429 as a number: both spellings are taken. */
const retryReason = Type.Unsafe<RetryReason>({
  type: 'string',
  enum: RETRY_REASONS,
  'x-kubernetes-int-or-string': true,
  description: 'One reason.',
} as TSchema);

const backoffFields = {
  base: duration({ description: 'Longest wait before the second try.', default: '200ms', rules: [positiveDuration] }),
  max: duration({
    description: 'Longest wait before any try. An answer whose Retry-After is longer is passed on at once.',
    default: '10s',
    rules: [positiveDuration],
  }),
};

const backoff = Type.Object(backoffFields, {
  description: 'Waits between tries are random, up to base times two for each try before (full jitter).',
  default: { base: '200ms', max: '10s' },
  rules: [
    rule<ObjectOf<typeof backoffFields>>(
      'duration(self.base) <= duration(self.max)',
      'base must not be longer than max: write base: 200ms, max: 10s',
      ({ base, max }) => (parseDuration(base) ?? 0) <= (parseDuration(max) ?? 0),
    ),
    rule<ObjectOf<typeof backoffFields>>(
      "duration(self.max) <= duration('1m')",
      'max must be at most 1m: the application waits all this time; let it try again by itself later',
      ({ max }) => (parseDuration(max) ?? 0) <= 60_000,
    ),
  ],
});

const retry = Type.Object(
  {
    attempts: Type.Integer({
      minimum: 1,
      maximum: 10,
      default: 4,
      description: 'Most tries of one request, the first included. Each is counted by rate.',
    }),
    retryOn: listOf(retryReason, {
      description:
        '429: the broker says so. 5xx: it answers 500 to 599, or not at all once the request was sent. connect: it could not be reached, so that nothing was sent. GET, HEAD, OPTIONS, PUT and DELETE are tried again; other methods after connect only.',
      minItems: 1,
      maxItems: 3,
      default: RETRY_REASONS,
    }),
    backoff,
  },
  { description: 'When a request is tried again.', defaultText: 'never' },
);

const labelled = 'The Secret, in the policy\'s namespace and labelled portcullis.dev/allow-reference: "true".';

const credentials = Type.Object(
  {
    secretRef: Type.Object(
      {
        name: objectName(labelled),
        key: text({
          description: "The Secret's key.",
          maxLength: 253,
          default: 'value',
          rules: [matches('^[A-Za-z0-9._-]+$', 'write a key of a Secret, such as value')],
        }),
      },
      { description: "Where the header's value is." },
    ),
    header: text({
      description: "The header that carries it to the broker. The application's own of this name is dropped.",
      maxLength: 128,
      rules: credentialHeaderRules,
    }),
    fernetKeySetRef: Type.Optional(
      Type.Object(
        { name: objectName("A SigningKeySet of the policy's namespace with algorithm Fernet.") },
        {
          description: 'The key set that the value is encrypted with: the Secret holds a Fernet token of it.',
          defaultText: 'the Secret holds the value itself',
        },
      ),
    ),
  },
  { description: 'What the sidecar adds so that the application need not know it.', defaultText: 'nothing is added' },
);

const allowed = Type.Object(
  { methods: ruleMatch.properties.methods, paths: ruleMatch.properties.paths },
  { description: 'Requests that are let through.' },
);

const broker = Type.Object(
  {
    name: itemName('First segment of the path that the application calls: http://127.0.0.1:14182/NAME/…'),
    url: text({ description: 'Where requests go. TLS is always verified.', maxLength: 512, rules: [originRule] }),
    allow: listOf(allowed, {
      description: 'All that may be asked of it, any entry; the path is the one behind the name.',
      minItems: 1,
      maxItems: 16,
    }),
    rate: text({
      description:
        'Requests over a window for all pods together, such as 1200/1m, or Unlimited. Without burst any window of this length holds at most so many.',
      maxLength: 32,
      rules: [rateOrUnlimitedRule],
    }),
    burst: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 999_999_999,
        description:
          'Makes the rate a token bucket of this size: at most burst + rate x time. Leave it out where the broker counts windows.',
      }),
    ),
    wait: duration({
      description: 'How long a request above the rate may wait for its turn before the application is answered 429.',
      default: '0s',
      rules: [
        rule<string>(
          "duration(self) <= duration('1m')",
          'must be at most 1m',
          (value) => (parseDuration(value) ?? 0) <= 60_000,
        ),
      ],
    }),
    retry: Type.Optional(retry),
    circuitBreaker: Type.Optional(
      Type.Object(circuitBreaker.properties, {
        description:
          'When a pod stops asking a broker that fails: 500 to 599, no connection, no answer in time. Each try counts.',
        defaultText: 'no circuit breaker',
      }),
    ),
    credentials: Type.Optional(credentials),
    caSecretRef: Type.Optional(
      Type.Object(
        { name: objectName(labelled) },
        {
          description:
            'The Secret whose key `ca.crt` holds the certificates, PEM, that may vouch for the broker: these and no others.',
          defaultText: 'the public authorities',
        },
      ),
    ),
    allowPrivateAddresses: Type.Boolean({
      default: false,
      description:
        'Whether the URL may lead to private addresses (loopback, RFC 1918, 100.64.0.0/10, fc00::/7). Link-local and metadata addresses are refused always.',
    }),
  },
  { description: 'One server outside, such as a broker.' },
);

/** What the application asks of others through the sidecar. */
export const egress = mapOf(broker, {
  description:
    'Servers outside that the application calls as http://127.0.0.1:14182/NAME/…; the sidecar speaks TLS to them.',
  maxItems: 16,
  default: [],
});

/** Names of the Secrets that egress refers to, in the policy's namespace. */
export function egressSecretsOf(brokers: readonly EgressBroker[]): readonly string[] {
  return brokers.flatMap(({ credentials, caSecretRef }) =>
    [credentials?.secretRef.name, caSecretRef?.name].filter((name) => name !== undefined),
  );
}

/** Names of the Fernet key sets that its credentials are encrypted with, in the policy's namespace. */
export function egressKeySetsOf(brokers: readonly EgressBroker[]): readonly string[] {
  return brokers.flatMap(({ credentials }) => credentials?.fernetKeySetRef?.name ?? []);
}

/** One server outside, as it is written in a policy with defaults filled in. */
export type EgressBroker = Static<typeof broker>;
