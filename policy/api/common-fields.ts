import Type from 'typebox';
import { LABEL_OPERATORS } from '../evaluate/label-selector.ts';
import { isCidr } from './cidr.ts';
import { DURATION_PATTERN, parseDuration } from './duration.ts';
import { listOf, oneOf, setOf, text, textsByName } from './field.ts';
import { matches, type Rule, rule } from './rule.ts';

/** The regular expression of an RFC 9110 token, with which headers and cookies are named. */
export const TOKEN_PATTERN = '^[A-Za-z0-9!#$%&\\x27*+.^_`|~-]+$';

const durationRule = matches(DURATION_PATTERN, 'write a duration such as 90s, 10m or 1h30m (units h, m, s, ms)');

/** A GEP-2257 duration. */
export function duration(options: {
  description: string;
  default?: string;
  defaultText?: string;
  rules?: readonly Rule[];
}) {
  const description = `${options.description} A duration such as 90s or 1h30m.`;
  return text({ ...options, description, maxLength: 32, rules: [durationRule, ...(options.rules ?? [])] });
}

/** A rule that a duration is more than nothing. */
export const positiveDuration = rule<string>(
  `!self.matches(r'${DURATION_PATTERN}') || duration(self) > duration('0s')`,
  'must be longer than 0s',
  (value) => parseDuration(value) !== 0,
);

const nameRule = matches(
  '^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$',
  'write a name of letters, digits, -, _ and ., such as place-order, that begins and ends with a letter or digit',
);

/** The name of an item in a list. */
export function itemName(description: string, rules: readonly Rule[] = []) {
  return text({ description, maxLength: 63, rules: [nameRule, ...rules] });
}

const resourceNameRule = matches(
  '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$',
  'write the name of a Kubernetes object: letters in lower case, digits, . and -',
);

/** The name of another Kubernetes object. */
export function objectName(
  description: string,
  { rules = [], ...options }: { defaultText?: string; rules?: readonly Rule[] } = {},
) {
  return text({ description, maxLength: 253, rules: [resourceNameRule, ...rules], ...options });
}

/** The namespace of another Kubernetes object. */
export function namespaceName(description: string, defaultText: string) {
  const rules = [matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$', 'write a namespace: lower-case letters, digits and -')];
  return text({ description, defaultText, maxLength: 63, rules });
}

/** Whether a policy acts or only watches. */
export const mode = oneOf(['Enforce', 'Shadow'], {
  description: 'Enforce carries out what the policy decides; Shadow decides, counts and logs, and changes no answer.',
  default: 'Enforce',
});

/** Where counters shared by all pods live. */
export const store = Type.Object(
  {
    redis: Type.Object(
      {
        secretRef: Type.Object(
          {
            name: objectName(
              'The Secret, in the policy\'s namespace and labelled portcullis.dev/allow-reference: "true".',
            ),
          },
          {
            description:
              'The Secret whose key `url` holds a redis:// or rediss:// URL (or redis+sentinel://, redis+cluster://), and whose key `ca.crt`, if there is one, the only authorities for TLS, in PEM.',
          },
        ),
      },
      { description: 'Redis 7 or compatible.' },
    ),
  },
  {
    description: 'Where counters shared by all pods live. A policy of the other kind on the same pods must agree.',
    defaultText: "the operator's store, or this pod's memory when it has none",
  },
);

const cidrRule = rule<string>(
  'isCIDR(self)',
  'write a range of addresses such as 10.0.0.0/8 or fd00::/8 (one address: 10.0.0.7/32)',
  isCidr,
);

/** How the client's address is found behind proxies. */
export const clientIP = Type.Object(
  {
    trustedHops: Type.Integer({
      minimum: 0,
      maximum: 16,
      default: 0,
      description: "Proxies in front of the pod that append to X-Forwarded-For. 0 takes the connection's own address.",
    }),
    trustedProxies: setOf(text({ description: 'A range of addresses.', maxLength: 64, rules: [cidrRule] }), {
      description:
        'Ranges of addresses whose X-Forwarded-For is believed. Empty believes any peer when trustedHops is above 0.',
      maxItems: 64,
      default: [],
    }),
  },
  {
    description: "How the client's address is found behind proxies.",
    defaultText: "the operator's, or the connection's own address where it has none",
  },
);

/** The regular expression of a host or a wildcard of hosts. */
export const HOST_PATTERN = '^(([*][.])?([a-z0-9_-]{1,63}[.])*[a-z0-9_-]{1,63}|\\[[0-9a-f:.]+\\])$';

const hostRule = matches(
  HOST_PATTERN,
  'write a host in lower case without port, such as api.example.com, or *.example.com for its subdomains',
);

/** The regular expression of a path pattern; a segment of one or two dots is refused besides. */
export const PATH_PATTERN =
  '^(/(([^/{}*?#%;\\\\\\x00-\\x20\\x7f]|%[0-9A-Fa-f]{2})+|[{][A-Za-z_]\\w{0,62}[}]))*(/([*][*])?)?$';

const pathRule = matches(
  PATH_PATTERN,
  'write a path such as /orders, /orders/{id} or /files/**: begun by /, {name} for one segment, ** only as the last, other signs as %XX',
);

const noDotSegments = rule<string>(
  "!self.matches(r'/[.][.]?(/|$)')",
  'requests are matched with . and .. resolved; write the path without them',
  (text) => !/\/[.][.]?(\/|$)/.test(text),
);

/** A rule that a text is the name of a method. */
export const methodRule = matches('^[A-Z][A-Z_-]*$', 'write an HTTP method in upper case, such as GET');
const servedMethodRule = rule<string>(
  "!(self in ['CONNECT', 'TRACE'])",
  'CONNECT and TRACE are refused before any rule; leave them out',
  (method) => method !== 'CONNECT' && method !== 'TRACE',
);

const hosts = setOf(text({ description: 'A host, or *. and a domain.', maxLength: 253, rules: [hostRule] }), {
  description: 'Hosts of the request, without port. *.example.com matches one or more labels before example.com.',
  maxItems: 16,
  default: [],
  defaultText: 'every host',
});

const methods = setOf(text({ description: 'A method.', maxLength: 32, rules: [methodRule, servedMethodRule] }), {
  description: 'HTTP methods. HEAD follows GET.',
  maxItems: 16,
  default: [],
  defaultText: 'every method',
});

/** A pattern of paths. */
export const pathPattern = text({ description: 'A path pattern.', maxLength: 256, rules: [pathRule, noDotSegments] });
const paths = 'Path patterns: literal segments, {param} for one segment, ** last for any rest.';

/** Which requests a rule is about. */
export const ruleMatch = Type.Object(
  { hosts, paths: setOf(pathPattern, { description: paths, minItems: 1, maxItems: 16 }), methods },
  {
    description:
      'Which requests the rule is about. Among rules that match, the one with the most specific path decides.',
  },
);

/** Which requests a limit is about. */
export const limitMatch = Type.Object(
  {
    hosts,
    paths: setOf(pathPattern, { description: paths, maxItems: 16, default: [], defaultText: 'every path' }),
    methods,
  },
  { description: 'Which requests the limit counts.', default: {}, defaultText: 'every request' },
);

/** A CEL expression; compiling it is the compiler's work. */
export function expression(description: string) {
  return text({ description: `${description} An error counts as false.`, maxLength: 1024 });
}

/** The regular expression of a label's key, of a value of one. */
const LABEL_KEY_PATTERN = '^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$';
const LABEL_VALUE_PATTERN = '^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$';

const labelKey = 'write a label such as team or kubernetes.io/metadata.name';

const labelKeys = rule<Record<string, string>>(
  `self.all(k, size(k) <= 317 && k.matches(r'${LABEL_KEY_PATTERN}'))`,
  `keys of matchLabels: ${labelKey}`,
  (map) => Object.keys(map).every((key) => key.length <= 317 && new RegExp(LABEL_KEY_PATTERN).test(key)),
);

const labelValue = Type.String({
  description: 'The value of a label.',
  maxLength: 63,
  rules: [matches(LABEL_VALUE_PATTERN, 'write the value of a label: at most 63 letters, digits, dots, - and _')],
});

const valuesFitOperator = rule<{ operator: string; values: readonly string[] }>(
  "(self.operator in ['In', 'NotIn']) == (size(self.values) > 0)",
  'In and NotIn need values; Exists and DoesNotExist take none',
  ({ operator, values }) => ['In', 'NotIn'].includes(operator) === values.length > 0,
);

const matchExpression = Type.Object(
  {
    key: text({
      description: "The label's key.",
      maxLength: 317,
      rules: [matches(LABEL_KEY_PATTERN, labelKey)],
    }),
    operator: oneOf(LABEL_OPERATORS, {
      description: 'NotIn and DoesNotExist hold also where there is no such label.',
    }),
    values: setOf(labelValue, { description: 'Values for In and NotIn.', maxItems: 32, default: [] }),
  },
  { description: 'What must hold of one label.', rules: [valuesFitOperator] },
);

/** Kubernetes' LabelSelector (meta/v1): what `selects` evaluates. */
export function labelSelector(description: string) {
  return Type.Object(
    {
      matchLabels: textsByName(labelValue, {
        description: 'Labels that must be there with these values.',
        maxProperties: 16,
        default: {},
        rules: [labelKeys],
      }),
      matchExpressions: listOf(matchExpression, {
        description: 'What must hold of labels besides.',
        maxItems: 16,
        default: [],
      }),
    },
    { description },
  );
}
