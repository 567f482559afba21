import Type, { type Static } from 'typebox';
import { JWT_ALGORITHMS } from '../bundle/types.ts';
import { isSymmetric } from '../keys/spec.ts';
import { duration, labelSelector, positiveDuration } from './common-fields.ts';
import { parseDuration } from './duration.ts';
import { mapOf, type ObjectOf, oneOf, setOf, text } from './field.ts';
import { columns, commonStatus, type ResourceDefinition, type ResourceOf } from './resource.ts';
import { matches, ruleAbout, transitionRule } from './rule.ts';

const stringOrUri = matches('^[!-~]+$', 'write a URL or a name without spaces, such as https://auth.example.com');

const rotation = Type.Object(
  {
    period: duration({ description: 'R: how long a key signs before the next one does.', default: '720h' }),
    prePublish: Type.Optional(
      duration({
        description: 'How long a key is published before it signs.',
        defaultText: '24h; 1h with an HS algorithm',
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
  algorithm: oneOf(JWT_ALGORITHMS, {
    description: 'JWS algorithm (RFC 7518 section 3.1) of new keys. Old keys keep theirs until they retire.',
  }),
  issuer: text({ description: 'The `iss` of every token. Compared exactly.', maxLength: 512, rules: [stringOrUri] }),
  audiences: setOf(text({ description: 'One audience.', maxLength: 512, rules: [stringOrUri] }), {
    description: 'The `aud` that tokens carry; a token must name at least one of them.',
    minItems: 1,
    maxItems: 16,
  }),
  maxTokenLifetime: duration({
    description: 'T: longest life of a token. Tokens with exp - iat above it are refused.',
    rules: [positiveDuration],
  }),
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
  usableFrom: Type.Optional(
    Type.Object(
      {
        namespaceSelector: labelSelector(
          'Namespaces by their labels; kubernetes.io/metadata.name is the name of one. An empty selector selects all.',
        ),
      },
      {
        description:
          'Whose policies may name this key set besides those of its own namespace. Not with an HS algorithm: its keys are secrets.',
        defaultText: 'its own namespace only',
      },
    ),
  ),
};

type Spec = ObjectOf<typeof fields>;

/** How long a key of `spec` is published before it signs, as a duration: prePublish or its default. */
export function prePublishOf(spec: Pick<Spec, 'algorithm' | 'rotation'>): string {
  return spec.rotation.prePublish ?? (isSymmetric(spec.algorithm) ? '1h' : '24h');
}

const milliseconds = (text: string): number => parseDuration(text) ?? 0;

const prePublishCel =
  "duration(has(self.rotation.prePublish) ? self.rotation.prePublish : self.algorithm.startsWith('HS') ? '1h' : '24h')";

const prePublishCoversCaches = ruleAbout<Spec>(
  {
    cel: `${prePublishCel} >= duration(self.propagation) + duration(self.jwksMaxAge) + duration(self.clockSkew)`,
    message:
      'rotation.prePublish (24h when left out, 1h with HS256) must be at least propagation + jwksMaxAge + clockSkew, or a verifier meets a token before its key; raise it or lower those',
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
      'rotation.period must be longer than rotation.prePublish (24h when left out, 1h with HS256); raise the period or write a shorter prePublish',
    fieldPath: '.rotation.period',
  },
  (spec) => (milliseconds(spec.rotation.period) > milliseconds(prePublishOf(spec)) ? [] : [['rotation', 'period']]),
);

const secretsStayAtHome = ruleAbout<Spec>(
  {
    cel: "!has(self.usableFrom) || !self.algorithm.startsWith('HS')",
    message:
      'the keys of an HS algorithm are secrets and never leave their namespace; leave usableFrom out, or choose ES256',
    fieldPath: '.usableFrom',
  },
  ({ algorithm, usableFrom }) => (usableFrom === undefined || !isSymmetric(algorithm) ? [] : [['usableFrom']]),
);

const revocationsAppendOnly = transitionRule(
  'oldSelf.revocations.all(o, self.revocations.exists(n, n.kid == o.kid))',
  'spec.revocations is append only: put back the entries that were there',
);

const spec = Type.Object(fields, {
  description: 'What the key set is.',
  rules: [prePublishCoversCaches, periodAbovePrePublish, secretsStayAtHome, revocationsAppendOnly],
});

const status = Type.Object(
  {
    ...commonStatus,
    activeKey: Type.Optional(Type.String({ maxLength: 128, description: 'The kid that signs now.' })),
    nextRotation: Type.Optional(
      Type.String({ format: 'date-time', description: 'When the next key is to sign. RFC 3339.' }),
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
    { name: 'Active Key', type: 'string', jsonPath: '.status.activeKey', description: 'The kid that signs now.' },
    {
      name: 'Next Rotation',
      type: 'string', // kubectl shows a date that is to come as <invalid>
      jsonPath: '.status.nextRotation',
      description: 'When the next key is to sign.',
    },
    columns.age,
  ],
};
