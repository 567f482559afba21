import Type from 'typebox';
import { duration, methodRule, TOKEN_PATTERN } from './common-fields.ts';
import { type ObjectOf, oneOf, setOf, text, textsByName } from './field.ts';
import { matches, rule } from './rule.ts';

const token = matches(TOKEN_PATTERN, 'write the name of a header, such as Content-Type');
const origin = matches(
  '^([*]|[a-z][a-z0-9+.-]*://([a-z0-9.-]+|\\[[0-9a-f:.]+\\])(:[0-9]{1,5})?)$',
  'write an origin such as https://app.example.com (lower case, no path, no slash at the end), or "*" alone',
);

const corsFields = {
  origins: setOf(text({ description: 'An origin, or "*".', maxLength: 256, rules: [origin] }), {
    description: 'Origins whose pages may read answers, compared exactly. "*" alone is every origin.',
    minItems: 1,
    maxItems: 64,
  }),
  methods: setOf(text({ description: 'A method.', maxLength: 32, rules: [methodRule] }), {
    description: 'Methods that a preflight allows.',
    maxItems: 16,
    default: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  }),
  headers: setOf(text({ description: 'A header.', maxLength: 128, rules: [token] }), {
    description: 'Request headers that a preflight allows.',
    maxItems: 64,
    default: ['Authorization', 'Content-Type'],
  }),
  exposeHeaders: setOf(text({ description: 'A header.', maxLength: 128, rules: [token] }), {
    description: 'Headers of an answer that a page may read.',
    maxItems: 64,
    default: ['X-Request-ID'],
  }),
  credentials: Type.Boolean({ default: false, description: 'Whether a page may send cookies and see the answer.' }),
  maxAge: duration({ description: 'How long a browser may keep a preflight.', default: '10m' }),
};

type Cors = ObjectOf<typeof corsFields>;

/** Cross-origin requests. */
export const cors = Type.Object(corsFields, {
  description: 'Cross-origin requests (Fetch standard, CORS protocol).',
  defaultText: 'no CORS headers; a preflight is a request like any other',
  rules: [
    rule<Cors>(
      "!self.credentials || !('*' in self.origins)",
      'credentials: true needs the origins by name; browsers refuse "*" with credentials',
      (c) => !c.credentials || !c.origins.includes('*'),
    ),
    rule<Cors>(
      "!('*' in self.origins) || size(self.origins) == 1",
      '"*" in origins covers the others; write it alone or write the origins by name',
      (c) => !c.origins.includes('*') || c.origins.length === 1,
    ),
  ],
});

const OWN_HEADERS = [
  'connection',
  'content-length',
  'content-type',
  'date',
  'set-cookie',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
];

const headerNames = rule<Record<string, string>>(
  `self.all(k, size(k) <= 128 && k.matches(r'${TOKEN_PATTERN}'))`,
  'names in override must be header names, such as Content-Security-Policy',
  (map) => Object.keys(map).every((name) => name.length <= 128 && new RegExp(TOKEN_PATTERN).test(name)),
);

const notOurs = rule<Record<string, string>>(
  `!self.exists(k, k.lowerAscii() in [${OWN_HEADERS.map((name) => `'${name}'`).join(', ')}])`,
  `override must not set ${OWN_HEADERS.join(', ')}: they belong to the message itself`,
  (map) => !Object.keys(map).some((name) => OWN_HEADERS.includes(name.toLowerCase())),
);

const value = matches(
  '^([!-~]([ -~]*[!-~])?)?$',
  'write a header value of visible ASCII characters, or "" to leave the header out',
);

/** Headers that are added to every answer. */
export const securityHeaders = Type.Object(
  {
    preset: oneOf(['Strict', 'Api', 'None'], {
      description: 'Strict suits answers that a browser shows, Api answers that only programs read, None adds none.',
      default: 'Strict',
    }),
    override: textsByName(
      Type.String({ description: 'The value; "" leaves the header out.', maxLength: 4096, rules: [value] }),
      {
        description: 'Headers that replace those of the preset, or add to them.',
        maxProperties: 32,
        default: {},
        rules: [headerNames, notOurs],
      },
    ),
  },
  { description: 'Security headers on every answer, denials included.', default: {} },
);
