import Type, { type Static } from 'typebox';
import { isJwt, isSymmetric, KEY_SET_ALGORITHMS } from '../keys/algorithms.ts';
import { defaultPrePublish } from '../keys/spec.ts';
import { duration, labelSelector, objectName, positiveDuration } from './common-fields.ts';
import { parseDuration } from './duration.ts';
import { listOf, mapOf, type ObjectOf, oneOf, setOf, text } from './field.ts';
import { columns, commonStatus, type ResourceDefinition, type ResourceOf } from './resource.ts';
import { matches, rule, ruleAbout, transitionRule } from './rule.ts';

/** A rule that a text is a StringOrURI (RFC 7519 §2) without spaces. */
export const stringOrUri = matches(
  '^[!-~]+$',
  'write a URL or a name without spaces, such as https://auth.example.com',
);

const secretNameIsNotOurs = rule<string>(
  "!self.startsWith('portcullis-')",
  'names that begin with portcullis- are kept for bundles; write another',
  (name) => !name.startsWith('portcullis-'),
);

const rotation = Type.Object(
  {
    period: duration({ description: 'R: how long a key signs before the next one does.', default: '720h' }),
    prePublish: Type.Optional(
      duration({
        description: 'How long a key is published before it signs.',
        defaultText: '24h; 1h with an HS algorithm or Fernet',
      }),
    ),
    maxKeys: Type.Integer({
      minimum: 3,
      maximum: 32,
      default: 8,
      description: 'Most keys held at once: standby, active and retired. Rotation waits at the cap.',
    }),
    ackTimeout: duration({
      description: 'How long the next key waits for pods that have not acknowledged it. 0s waits for ever.',
      default: '24h',
    }),
    notBefore: Type.Optional(
      Type.String({
        format: 'date-time',
        nullable: true, // server-side apply keeps a null that has no default
        description:
          'Rotates once when the active key is older than this instant. RFC 3339, such as 2026-01-31T00:00:00Z.',
      }),
    ),
    suspend: Type.Boolean({ default: false, description: 'Stops rotation; revocation still works.' }),
  },
  { description: 'When keys change.', default: {} },
);

const revocation = Type.Object(
  {
    kid: text({
      description: "The key's kid, as the JWKS and tokens show it.",
      maxLength: 128,
      rules: [matches('^[A-Za-z0-9_-]+$', 'write the kid exactly as the JWKS shows it: letters, digits, - and _')],
    }),
    reason: Type.Optional(text({ description: 'Why, for people.', maxLength: 256 })),
  },
  { description: 'One revoked key.' },
);

const fields = {
  algorithm: oneOf(KEY_SET_ALGORITHMS, {
    description:
      'Algorithm of new keys: of JWS (RFC 7518 section 3.1, RFC 8037), or Fernet for encrypting. Old keys keep theirs until they retire. Fernet stays Fernet, and the others never become it.',
  }),
  issuer: Type.Optional(
    text({
      description: 'The `iss` of every token. Compared exactly. Required, but not with Fernet.',
      maxLength: 512,
      rules: [stringOrUri],
    }),
  ),
  audiences: Type.Optional(
    setOf(text({ description: 'One audience.', maxLength: 512, rules: [stringOrUri] }), {
      description:
        'The `aud` that tokens carry; a token must name at least one of them. Required, but not with Fernet.',
      minItems: 1,
      maxItems: 16,
    }),
  ),
  maxTokenLifetime: Type.Optional(
    duration({
      description:
        'T: longest life of a token. Tokens with exp - iat above it are refused. Required, but not with Fernet: without it a Fernet key is never removed by itself.',
      rules: [positiveDuration],
    }),
  ),
  rotation,
  propagation: duration({ description: 'P: time for a change to reach every pod.', default: '120s' }),
  jwksMaxAge: duration({ description: 'C: how long a verifier may cache the JWKS.', default: '600s' }),
  clockSkew: duration({ description: 'S: how far clocks may be apart when exp and nbf are checked.', default: '60s' }),
  revocations: mapOf(revocation, {
    description: 'Keys that must not verify any more. Append only.',
    key: 'kid',
    maxItems: 256,
    default: [],
  }),
  escrow: Type.Optional(
    Type.Object(
      {
        recipientsSecretRef: Type.Object(
          {
            name: objectName(
              'The Secret, in the key set\'s namespace and labelled portcullis.dev/allow-reference: "true".',
            ),
          },
          { description: 'The Secret whose values are armoured OpenPGP public keys, one recipient each.' },
        ),
        required: Type.Boolean({
          default: true,
          description:
            'Whether no key is made while it cannot be encrypted to every recipient. The successor of a revoked key is made all the same.',
        }),
      },
      {
        description:
          "Encrypts every key with OpenPGP before anyone uses it, into a Secret of the operator's namespace, from which `kubectl portcullis keys restore` brings a lost keyring back.",
        defaultText: 'none',
      },
    ),
  ),
  deletionPolicy: oneOf(['Retain', 'Delete'], {
    description:
      'What becomes of the keys when this resource is deleted. Delete keeps the escrow, and waits for it where there is one.',
    default: 'Retain',
  }),
  secretName: Type.Optional(
    objectName(
      "Secret, in the key set's namespace, into which Portcullis writes what apps read: `jwks.json`, or `keys` with the Fernet keys, one a line. Not with an HS algorithm.",
      {
        defaultText: 'the name of the key set with -jwks or -fernet behind it',
        rules: [secretNameIsNotOurs],
      },
    ),
  ),
  usableFrom: Type.Optional(
    Type.Object(
      {
        namespaceSelector: labelSelector(
          'Namespaces by their labels; kubernetes.io/metadata.name is the name of one. An empty selector selects all.',
        ),
      },
      {
        description:
          'Whose policies may name this key set besides those of its own namespace. Not with an HS algorithm or Fernet: their keys are secrets.',
        defaultText: 'its own namespace only',
      },
    ),
  ),
};

type Spec = ObjectOf<typeof fields>;

/** How long a key of `spec` is published before it signs, as a duration: prePublish or its default. */
export function prePublishOf(spec: Pick<Spec, 'algorithm' | 'rotation'>): string {
  return spec.rotation.prePublish ?? defaultPrePublish(spec.algorithm);
}

const milliseconds = (text: string | undefined): number => parseDuration(text ?? '0s') ?? 0;

const SYMMETRIC = "(self.algorithm.startsWith('HS') || self.algorithm == 'Fernet')";

const prePublishCel = `duration(has(self.rotation.prePublish) ? self.rotation.prePublish : ${SYMMETRIC} ? '1h' : '24h')`;

const prePublishCoversCaches = ruleAbout<Spec>(
  {
    cel: `${prePublishCel} >= duration(self.propagation) + duration(self.jwksMaxAge) + duration(self.clockSkew)`,
    message:
      'rotation.prePublish (24h when left out, 1h with an HS algorithm or Fernet) must be at least propagation + jwksMaxAge + clockSkew, or a verifier meets a token before its key; raise it or lower those',
    fieldPath: '.rotation.prePublish',
  },
  (spec) => {
    const sum = milliseconds(spec.propagation) + milliseconds(spec.jwksMaxAge) + milliseconds(spec.clockSkew);
    return milliseconds(prePublishOf(spec)) >= sum ? [] : [['rotation', 'prePublish']];
  },
);

const periodAbovePrePublish = ruleAbout<Spec>(
  {
    cel: `duration(self.rotation.period) > ${prePublishCel}`,
    message:
      'rotation.period must be longer than rotation.prePublish (24h when left out, 1h with an HS algorithm or Fernet); raise the period or write a shorter prePublish',
    fieldPath: '.rotation.period',
  },
  (spec) => (milliseconds(spec.rotation.period) > milliseconds(prePublishOf(spec)) ? [] : [['rotation', 'period']]),
);

/** At a rotation every period this many keys that still verify would pile up, beside the active and the next one. */
const keysHaveRoom = ruleAbout<Spec>(
  {
    cel: '!has(self.maxTokenLifetime) || (duration(self.maxTokenLifetime) + duration(self.propagation) + duration(self.clockSkew)).getSeconds() <= duration(self.rotation.period).getSeconds() * (self.rotation.maxKeys - 2)',
    message:
      'more keys would overlap than rotation.maxKeys allows: maxTokenLifetime + propagation + clockSkew must be at most rotation.period times (maxKeys - 2); raise the period or maxKeys, or shorten maxTokenLifetime',
    fieldPath: '.rotation.maxKeys',
  },
  ({ maxTokenLifetime, propagation, clockSkew, rotation: { period, maxKeys } }) => {
    if (maxTokenLifetime === undefined) return [];
    const kept = milliseconds(maxTokenLifetime) + milliseconds(propagation) + milliseconds(clockSkew);
    return Math.floor(kept / 1000) <= Math.floor(milliseconds(period) / 1000) * (maxKeys - 2)
      ? []
      : [['rotation', 'maxKeys']];
  },
);

const JWT_FIELDS = ['issuer', 'audiences', 'maxTokenLifetime'] as const;

const tokensHaveTerms = ruleAbout<Spec>(
  {
    cel: "self.algorithm == 'Fernet' || (has(self.issuer) && has(self.audiences) && has(self.maxTokenLifetime))",
    message: 'issuer, audiences and maxTokenLifetime are required, unless the algorithm is Fernet',
  },
  (spec) =>
    isJwt(spec.algorithm) ? JWT_FIELDS.filter((field) => spec[field] === undefined).map((field) => [field]) : [],
);

const fernetHasNone = ruleAbout<Spec>(
  {
    cel: "self.algorithm != 'Fernet' || !(has(self.issuer) || has(self.audiences))",
    message: 'Fernet tokens name no issuer and no audience; leave issuer and audiences out',
  },
  (spec) =>
    isJwt(spec.algorithm)
      ? []
      : (['issuer', 'audiences'] as const).filter((field) => spec[field] !== undefined).map((field) => [field]),
);

const secretsAreNotWritten = ruleAbout<Spec>(
  {
    cel: "!has(self.secretName) || !self.algorithm.startsWith('HS')",
    message: 'the keys of an HS algorithm are written into no Secret for apps; leave secretName out',
    fieldPath: '.secretName',
  },
  ({ algorithm, secretName }) =>
    secretName === undefined || !(isJwt(algorithm) && isSymmetric(algorithm)) ? [] : [['secretName']],
);

const secretsStayAtHome = ruleAbout<Spec>(
  {
    cel: `!has(self.usableFrom) || !${SYMMETRIC}`,
    message:
      'the keys of an HS algorithm or Fernet are secrets and never leave their namespace; leave usableFrom out, or choose ES256',
    fieldPath: '.usableFrom',
  },
  ({ algorithm, usableFrom }) => (usableFrom === undefined || !isSymmetric(algorithm) ? [] : [['usableFrom']]),
);

const revocationsAppendOnly = transitionRule(
  'oldSelf.revocations.all(o, self.revocations.exists(n, n.kid == o.kid))',
  'spec.revocations is append only: put back the entries that were there',
);

const fernetStaysFernet = transitionRule(
  "(self.algorithm == 'Fernet') == (oldSelf.algorithm == 'Fernet')",
  'spec.algorithm never changes from or to Fernet, for what encrypts does not sign; make another SigningKeySet',
);

const spec = Type.Object(fields, {
  description: 'What the key set is.',
  rules: [
    prePublishCoversCaches,
    periodAbovePrePublish,
    keysHaveRoom,
    tokensHaveTerms,
    fernetHasNone,
    secretsAreNotWritten,
    secretsStayAtHome,
    revocationsAppendOnly,
    fernetStaysFernet,
  ],
});

const instant = (description: string) => Type.String({ format: 'date-time', description: `${description} RFC 3339.` });

const keyStatus = Type.Object(
  {
    kid: Type.String({ maxLength: 128, description: "The key's id." }),
    state: oneOf(['Standby', 'Active', 'Retired'], { description: 'Published, signing, or verifying only.' }),
    algorithm: Type.String({ maxLength: 16, description: 'Its algorithm.' }),
    createdAt: instant('When it was made.'),
    activatedAt: Type.Optional(instant('When it began to sign.')),
    retiredAt: Type.Optional(instant('When it ceased to sign.')),
    removedAfter: Type.Optional(instant('When nothing that it signed is alive any more.')),
  },
  { description: 'One key.' },
);

const status = Type.Object(
  {
    ...commonStatus,
    serial: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Grows whenever what verifiers and signers are given changes.' }),
    ),
    activeKey: Type.Optional(Type.String({ maxLength: 128, description: 'The kid that signs now.' })),
    nextKey: Type.Optional(Type.String({ maxLength: 128, description: 'The kid that signs next.' })),
    nextRotation: Type.Optional(instant('When the next key is to sign.')),
    rotateRequest: Type.Optional(
      Type.String({ maxLength: 256, description: 'The last portcullis.dev/rotate-requested-at taken note of.' }),
    ),
    keys: Type.Optional(mapOf(keyStatus, { description: 'All keys, oldest first.', key: 'kid', maxItems: 32 })),
    escrow: Type.Optional(
      Type.Object(
        {
          recipients: listOf(Type.String({ maxLength: 64, description: 'A fingerprint.' }), {
            description:
              'OpenPGP fingerprints of those who can decrypt the keys. Compare them with the keys that you gave.',
            maxItems: 16,
          }),
        },
        { description: 'To whom every key is encrypted.' },
      ),
    ),
  },
  { description: 'What the operator observed.' },
);

/** Keys that sign and verify tokens, and how they change. Defaults are filled in, prePublish apart (`prePublishOf`). */
export type SigningKeySet = ResourceOf<'SigningKeySet', Static<typeof spec>, Static<typeof status>>;

/** SigningKeySet as crds/, docs/reference.md and the decoder see it. */
export const signingKeySet: ResourceDefinition = {
  kind: 'SigningKeySet',
  plural: 'signingkeysets',
  singular: 'signingkeyset',
  shortName: 'sks',
  description: 'Keys that sign and verify tokens, and how they rotate.',
  spec,
  status,
  printerColumns: [
    columns.condition('Ready'),
    { name: 'Algorithm', type: 'string', jsonPath: '.spec.algorithm', description: 'Algorithm of new keys.' },
    { name: 'Active Key', type: 'string', jsonPath: '.status.activeKey', description: 'The kid that signs now.' },
    { name: 'Next Key', type: 'string', jsonPath: '.status.nextKey', description: 'The kid that signs next.' },
    {
      name: 'Next Rotation',
      type: 'string', // kubectl shows a date that is to come as <invalid>
      jsonPath: '.status.nextRotation',
      description: 'When the next key is to sign.',
    },
    columns.age,
  ],
};
