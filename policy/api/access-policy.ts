import Type, { type Static } from 'typebox';
import { accessRules, noIdentityWithoutTokens, rolesExist } from './access-rules.ts';
import { authentication, identity } from './authentication.ts';
import { clientIP, mode, store } from './common-fields.ts';
import { oneOf } from './field.ts';
import { columns, commonStatus, type ResourceDefinition, type ResourceOf } from './resource.ts';
import { cors, securityHeaders } from './response-headers.ts';
import { roles } from './roles.ts';
import { tokens } from './tokens.ts';

const pathMatching = Type.Object(
  {
    case: oneOf(['Sensitive', 'Insensitive'], {
      description: 'Whether /Orders and /orders are different paths.',
      default: 'Sensitive',
    }),
    trailingSlash: oneOf(['Strict', 'Ignore'], {
      description: 'Whether /orders/ and /orders are different paths.',
      default: 'Strict',
    }),
    parameters: oneOf(['Refuse', 'Allow'], {
      description:
        'What to do with ;parameters in a path (RFC 3986 section 3.3): answer 400, or take them as part of the segment.',
      default: 'Refuse',
    }),
  },
  {
    description:
      'How the path of a request is compared. Match as the app does, or a request is decided as one path and served as another.',
    default: {},
  },
);

const forward = Type.Object(
  {
    identityHeaders: Type.Boolean({
      default: true,
      description:
        "Adds X-Portcullis-Subject, -Tenant and -Roles to the app's request. A client's own are always stripped.",
    }),
  },
  { description: 'What the app is told.', default: {} },
);

const spec = Type.Object(
  {
    mode,
    store: Type.Optional(store),
    clientIP: Type.Optional(clientIP),
    authentication,
    tokens: Type.Optional(tokens),
    identity,
    roles,
    rules: accessRules,
    pathMatching,
    cors: Type.Optional(cors),
    securityHeaders,
    forward,
  },
  { description: 'Who may do what.', rules: [rolesExist, noIdentityWithoutTokens] },
);
const status = Type.Object(commonStatus, { description: 'What the operator observed.' });

/** Who may send which requests. Defaults are filled in. */
export type AccessPolicy = ResourceOf<'AccessPolicy', Static<typeof spec>, Static<typeof status>>;

/** Every key set that a policy names; the namespace is the policy's own where it is left out. */
export function keySetRefsOf({ spec }: Pick<AccessPolicy, 'spec'>): { name: string; namespace?: string }[] {
  const used = spec.authentication.jwt.flatMap(({ keySetRef }) => keySetRef ?? []);
  return spec.tokens === undefined ? used : [...used, spec.tokens.keySetRef];
}

/** Names of the Secrets of API keys and of clients that sign, in the policy's own namespace. */
export function credentialSecretsOf({ spec: { authentication } }: Pick<AccessPolicy, 'spec'>): string[] {
  return [...authentication.apiKeys, ...authentication.signedRequests].map(({ secretRef }) => secretRef.name);
}

/** AccessPolicy as crds/, docs/reference.md and the decoder see it. */
export const accessPolicy: ResourceDefinition = {
  kind: 'AccessPolicy',
  plural: 'accesspolicies',
  singular: 'accesspolicy',
  shortName: 'pap',
  description: 'Who may send which requests.',
  spec,
  status,
  printerColumns: [columns.condition('Ready'), columns.condition('Enforced'), columns.mode, columns.pods, columns.age],
};
