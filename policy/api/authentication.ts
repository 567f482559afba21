import Type from 'typebox';
import { apiKeys } from './api-keys.ts';
import { itemName, namespaceName, objectName, TOKEN_PATTERN } from './common-fields.ts';
import { externalJwks, issuerFields, issuerIsOfJwks, jwksNeedsIssuer, jwksOrKeySet } from './external-jwks.ts';
import { listOf, mapOf, type ObjectOf, setOf, text } from './field.ts';
import { revocation } from './revocation.ts';
import { matches, rule } from './rule.ts';
import { signedRequests } from './signed-requests.ts';

const headerName = matches(TOKEN_PATTERN, 'write the name of a header, such as Authorization');
const cookieName = matches(TOKEN_PATTERN, 'write the name of a cookie, such as access_token');

const sourceFields = {
  header: Type.Optional(
    text({ description: 'Header that carries the token. Case does not matter.', maxLength: 128, rules: [headerName] }),
  ),
  scheme: Type.Optional(
    text({
      description: 'Word before the token in the header. Case does not matter.',
      defaultText: 'Bearer in Authorization; in other headers none, the value is the token',
      maxLength: 32,
      rules: [matches(TOKEN_PATTERN, 'write an authentication scheme such as Bearer')],
    }),
  ),
  cookie: Type.Optional(text({ description: 'Cookie that carries the token.', maxLength: 128, rules: [cookieName] })),
  query: Type.Optional(
    text({
      description:
        'Query parameter that carries the token. Of WebSocket handshakes alone, for browsers, which can set no header there; the application never sees it.',
      maxLength: 64,
      rules: [matches('^[A-Za-z0-9_.-]+$', 'write the name of a query parameter, such as token')],
    }),
  ),
};

/** One place of a token as it is written in a policy. */
export type TokenSource = ObjectOf<typeof sourceFields>;

/** The scheme before a token in `source`'s header: as written, `Bearer` in Authorization, else the empty text. */
export function schemeOf(source: TokenSource): string {
  return source.scheme ?? (source.header?.toLowerCase() === 'authorization' ? 'Bearer' : '');
}

const source = Type.Object(sourceFields, {
  description: 'One place in a request.',
  rules: [
    rule<TokenSource>(
      '[has(self.header), has(self.cookie), has(self.query)].filter(h, h).size() == 1',
      'write either header (and its scheme), cookie or query: {header: Authorization, scheme: Bearer}, {cookie: access_token} or {query: token}',
      ({ header, cookie, query }) => [header, cookie, query].filter((place) => place !== undefined).length === 1,
    ),
    rule<TokenSource>(
      '!has(self.scheme) || has(self.header)',
      'scheme belongs to a header; a cookie or parameter holds the bare token',
      (s) => s.scheme === undefined || s.header !== undefined,
    ),
  ],
});

/** A SigningKeySet of the policy's namespace, or of one whose owner shares it. */
export function keySetRef(description: string) {
  return Type.Object(
    {
      name: objectName('Name of the SigningKeySet.'),
      namespace: Type.Optional(namespaceName('Namespace of the SigningKeySet.', "the policy's own")),
    },
    { description },
  );
}

const jwt = Type.Object(
  {
    name: itemName('Name of the issuer in logs and metrics.'),
    keySetRef: Type.Optional(
      keySetRef(
        'The SigningKeySet whose keys, issuer, audiences, longest lifetime and clock skew hold for these tokens. Either this or jwks.',
      ),
    ),
    jwks: Type.Optional(externalJwks),
    ...issuerFields,
    requiredClaims: setOf(text({ description: 'A claim.', maxLength: 128 }), {
      description: 'Claims that a token must have, besides iss, aud and exp.',
      maxItems: 32,
      default: [],
    }),
    from: listOf(source, {
      description: 'Where a token may stand, looked for in this order.',
      minItems: 1,
      maxItems: 8,
      default: [{ header: 'Authorization', scheme: 'Bearer' }],
    }),
  },
  { description: 'One issuer of tokens.', rules: [jwksOrKeySet, jwksNeedsIssuer, issuerIsOfJwks] },
);

/** How a request proves who sent it. */
export const authentication = Type.Object(
  {
    jwt: mapOf(jwt, {
      description: 'Issuers whose JSON Web Tokens (RFC 7519) are accepted.',
      maxItems: 16,
      default: [],
    }),
    apiKeys,
    signedRequests,
    revocation: Type.Optional(revocation),
  },
  { description: 'How a request proves who sent it.', default: {} },
);

const pointer = matches(
  '^(/([^/~]|~[01])*)+$',
  'write a JSON pointer (RFC 6901) into the claims, such as /sub or /realm_access/roles',
);

function pointers(what: string, defaults: readonly string[]) {
  return listOf(text({ description: 'A JSON pointer.', maxLength: 256, rules: [pointer] }), {
    description: `JSON pointers (RFC 6901) into the claims to ${what}. The first that finds something is taken.`,
    maxItems: 8,
    default: defaults,
  });
}

/** Where in the claims the identity stands. */
export const identity = Type.Object(
  {
    user: pointers('the user, a text', ['/sub', '/user_id']),
    roles: pointers('the roles, a text or a list of texts', ['/roles', '/role']),
    tenant: pointers('the tenant, a text', ['/tenant_id']),
    tier: pointers('the tier, a text', ['/tier']),
  },
  { description: "Where in a token's claims the identity stands.", default: {} },
);
