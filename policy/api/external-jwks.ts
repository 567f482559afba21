import Type from 'typebox';
import { duration, objectName, positiveDuration } from './common-fields.ts';
import { DURATION_PATTERN, parseDuration } from './duration.ts';
import { listOf, type ObjectOf, oneOf, setOf, text } from './field.ts';
import { matches, rule } from './rule.ts';
import { stringOrUri } from './signing-key-set.ts';

/** Algorithms that keys of issuers outside may be for: secrets are not published. */
export const EXTERNAL_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'] as const;

const jwksUri = matches(
  '^https://[^\\s@\\\\#]+$',
  'write an https:// URL without user, fragment or \\, such as https://login.example.com/jwks.json',
);

const refreshBounds = rule<string>(
  `!self.matches(r'${DURATION_PATTERN}') || (duration(self) >= duration('30s') && duration(self) <= duration('24h'))`,
  'must be from 30s to 24h',
  (value) => {
    const refresh = parseDuration(value);
    return refresh === undefined || (refresh >= 30_000 && refresh <= 86_400_000);
  },
);

/** An issuer outside, by its JWKS. */
export const externalJwks = Type.Object(
  {
    uri: text({
      description: 'Where the issuer publishes its keys (jwks_uri of its OpenID configuration).',
      maxLength: 2048,
      rules: [jwksUri],
    }),
    caSecretRef: Type.Optional(
      Type.Object(
        {
          name: objectName(
            'The Secret, in the policy\'s namespace and labelled portcullis.dev/allow-reference: "true".',
          ),
        },
        {
          description:
            'The Secret whose key `ca.crt` holds the certificates, PEM, that may vouch for the server: these and no others.',
          defaultText: 'the public authorities',
        },
      ),
    ),
    algorithms: listOf(oneOf(EXTERNAL_ALGORITHMS, { description: 'An algorithm.' }), {
      description:
        'What tokens of this issuer may be signed by. A key that does not say its alg is taken where exactly one of these fits it: for RSA write [RS256] or [PS256].',
      minItems: 1,
      maxItems: 5,
      default: EXTERNAL_ALGORITHMS,
    }),
    refresh: duration({
      description: 'How often the keys are fetched; besides once when a token names a key that is not known.',
      default: '10m',
      rules: [refreshBounds],
    }),
    onFailure: oneOf(['LastGood', 'Deny'], {
      description:
        'What to do while the keys cannot be fetched: use those fetched last for as long as it takes, or none that are older than twice refresh.',
      default: 'LastGood',
    }),
    allowPrivateAddresses: Type.Boolean({
      default: false,
      description:
        'Whether the URL may lead to private addresses (loopback, RFC 1918, 100.64.0.0/10, fc00::/7). Link-local and metadata addresses are refused always.',
    }),
  },
  { description: 'An issuer outside: its keys are fetched from here. Needs issuer and audiences.' },
);

/** What a key set says for its own tokens, and a policy for those of an issuer outside. */
export const issuerFields = {
  issuer: Type.Optional(
    text({
      description: 'The `iss` of every token, compared exactly. With jwks only, and required there.',
      defaultText: "the key set's",
      maxLength: 512,
      rules: [stringOrUri],
    }),
  ),
  audiences: Type.Optional(
    setOf(text({ description: 'One audience.', maxLength: 512, rules: [stringOrUri] }), {
      description: 'A token must name at least one of them in `aud`. With jwks only, and required there.',
      defaultText: "the key set's",
      minItems: 1,
      maxItems: 16,
    }),
  ),
  maxTokenLifetime: Type.Optional(
    duration({
      description: 'Tokens with exp - iat above it are refused. With jwks only.',
      defaultText: "24h; with keySetRef the key set's",
      rules: [positiveDuration],
    }),
  ),
  clockSkew: Type.Optional(
    duration({
      description: "How far clocks may be apart when exp and nbf are checked. With keySetRef at most the key set's.",
      defaultText: "60s; with keySetRef the key set's",
    }),
  ),
};

type Issuer = ObjectOf<typeof issuerFields> & { readonly keySetRef?: unknown; readonly jwks?: unknown };

/** Keys come from one place. */
export const jwksOrKeySet = rule<Issuer>(
  'has(self.keySetRef) != has(self.jwks)',
  'write either keySetRef: {name: …}, for keys of a SigningKeySet, or jwks: {uri: https://…}, for those of an issuer outside',
  (jwt) => (jwt.keySetRef === undefined) !== (jwt.jwks === undefined),
);

/** An issuer outside is told by name, and whom its tokens must be for. */
export const jwksNeedsIssuer = rule<Issuer>(
  '!has(self.jwks) || (has(self.issuer) && has(self.audiences))',
  'jwks needs issuer (the iss of its tokens) and audiences (the aud that they carry for this API)',
  (jwt) => jwt.jwks === undefined || (jwt.issuer !== undefined && jwt.audiences !== undefined),
);

/** Of tokens by a key set the key set says it. */
export const issuerIsOfJwks = rule<Issuer>(
  '!has(self.keySetRef) || !(has(self.issuer) || has(self.audiences) || has(self.maxTokenLifetime))',
  'with keySetRef, issuer, audiences and maxTokenLifetime are those of the SigningKeySet; leave them out',
  (jwt) => jwt.keySetRef === undefined || (jwt.issuer ?? jwt.audiences ?? jwt.maxTokenLifetime) === undefined,
);
