import Type from 'typebox';
import { DELIVERIES, PASSWORD_CLASSES } from '../bundle/tokens.ts';
import { duration, objectName } from './common-fields.ts';
import { DURATION_PATTERN, parseDuration } from './duration.ts';
import { type ObjectOf, oneOf, setOf, text } from './field.ts';
import { matches, type Rule, rule } from './rule.ts';

/** A path that is compared whole. */
export const plainPath: Rule = matches(
  '^(/[.]?[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$',
  'write a path such as /.well-known/jwks.json: plain segments, no {parameter}, no ** and no slash at the end',
);

function path(description: string) {
  return text({ description, maxLength: 256, rules: [plainPath] });
}

const ENDPOINT_PATH =
  'Where it answers POST, after a rule has let the request in; other methods get 405. Compared as pathMatching says.';

const credentialFields = {
  htpasswdSecretRef: Type.Optional(
    Type.Object(
      {
        name: objectName('The Secret, in the policy\'s namespace and labelled portcullis.dev/allow-reference: "true".'),
      },
      {
        description:
          'The Secret whose key `users.htpasswd` holds a line NAME:HASH for each user, bcrypt of cost 12 to 15, and whose key `claims.yaml` or `claims.json` says what their tokens say besides.',
      },
    ),
  ),
  upstream: Type.Optional(
    Type.Object(
      { path: path('Where the application answers POST. No rule should let clients in there.') },
      {
        description:
          'The application knows the users: it gets {"username", "password"} and answers with JSON in which `identity` finds who that is.',
      },
    ),
  ),
};

const credentials = Type.Object(credentialFields, {
  description: 'Where users and their passwords are known.',
  rules: [
    rule<ObjectOf<typeof credentialFields>>(
      'has(self.htpasswdSecretRef) != has(self.upstream)',
      'write either htpasswdSecretRef: {name: …}, for users of a Secret, or upstream: {path: …}, for those that the application knows',
      (given) => (given.htpasswdSecretRef === undefined) !== (given.upstream === undefined),
    ),
  ],
});

const password = Type.Object(
  {
    minLength: Type.Integer({ minimum: 8, maximum: 64, default: 8, description: 'Characters (Unicode code points).' }),
    classes: setOf(
      oneOf(PASSWORD_CLASSES, { description: 'Upper, Lower: a letter; Digit; Special: neither letter nor digit.' }),
      {
        description: 'Of each a password needs one character at least.',
        maxItems: 4,
        default: PASSWORD_CLASSES,
      },
    ),
  },
  { description: 'What a new password must be like. Every rule that one breaks is named.', default: {} },
);

const graceBound = rule<string>(
  `!self.matches(r'${DURATION_PATTERN}') || duration(self) <= duration('5m')`,
  'must be at most 5m: for so long a stolen token may be replayed',
  (value) => (parseDuration(value) ?? 0) <= 300_000,
);

const lifetimeBound = rule<string>(
  `!self.matches(r'${DURATION_PATTERN}') || duration(self) >= duration('1s')`,
  'must be at least 1s',
  (value) => (parseDuration(value) ?? 1_000) >= 1_000,
);

/** What a policy says of the tokens that its pods issue, beside the keys. */
export const endpointFields = {
  accessLifetime: Type.Optional(
    duration({
      description: "How long an access token lives, at most the key set's maxTokenLifetime.",
      defaultText: "1h, or the key set's maxTokenLifetime when that is shorter",
      rules: [lifetimeBound],
    }),
  ),
  refreshLifetime: duration({
    description: 'How long after the login the last refresh token ends; no refresh prolongs it.',
    default: '168h',
    rules: [lifetimeBound],
  }),
  refreshGrace: duration({
    description:
      'For so long a refresh token that was replaced still leads to the one that replaced it: two tabs, a lost answer. Later use revokes both.',
    default: '10s',
    rules: [graceBound],
  }),
  login: Type.Optional(
    Type.Object({ path: path(ENDPOINT_PATH), credentials }, { description: 'Passwords for tokens.' }),
  ),
  register: Type.Optional(
    Type.Object(
      {
        path: path(ENDPOINT_PATH),
        upstream: path(
          'Where the application answers POST and makes the user; it gets the body as it came. No rule should let clients in there.',
        ),
        password,
      },
      { description: 'New users: the password is checked here, the rest is the application’s. Needs login.' },
    ),
  ),
  refresh: Type.Optional(
    Type.Object(
      { path: path(ENDPOINT_PATH) },
      { description: 'A refresh token for new tokens; without it logins give none. Needs login.' },
    ),
  ),
  logout: Type.Optional(Type.Object({ path: path(ENDPOINT_PATH) }, { description: 'Revokes tokens. Needs login.' })),
  delivery: oneOf(DELIVERIES, {
    description:
      'Body: tokens in JSON. Cookie: in cookies that scripts cannot read (HttpOnly, Secure, SameSite=Strict); then jwt must read {cookie: __Host-access_token}.',
    default: 'Body',
  }),
};

type Endpoints = ObjectOf<typeof endpointFields> & { readonly jwksPath: string };

/** Paths of the endpoints that a policy has, with the members that hold them. */
export function endpointPaths(tokens: Endpoints): readonly (readonly [member: string, path: string])[] {
  const { login, register, refresh, logout, jwksPath } = tokens;
  return [
    ...Object.entries({ login, register, refresh, logout }).flatMap(([member, endpoint]) =>
      endpoint === undefined ? [] : ([[member, endpoint.path]] as const),
    ),
    ['jwksPath', jwksPath],
  ];
}

const MEMBERS = ['login', 'register', 'refresh', 'logout'];
const ALL_PATHS = [...MEMBERS.map((name) => `(has(self.${name}) ? [self.${name}.path] : [])`), '[self.jwksPath]'].join(
  ' + ',
);

/** Rules about the endpoints together. */
export const endpointRules: readonly Rule[] = [
  rule<Endpoints>(
    `(${ALL_PATHS}).all(p, (${ALL_PATHS}).exists_one(q, q == p))`,
    'login, register, refresh, logout and jwksPath need a path each that none of the others has',
    (tokens) => {
      const paths = endpointPaths(tokens).map(([, path]) => path);
      return new Set(paths).size === paths.length;
    },
  ),
  rule<Endpoints>(
    'has(self.login) || !(has(self.register) || has(self.refresh) || has(self.logout))',
    'register, refresh and logout are for users who log in here: add login: {path: /auth/login, credentials: …}, or leave them out',
    ({ login, register, refresh, logout }) => login !== undefined || (register ?? refresh ?? logout) === undefined,
  ),
];
