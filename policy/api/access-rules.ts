import Type, { type Static } from 'typebox';
import { expression, itemName, ruleMatch } from './common-fields.ts';
import { listOf, mapOf, type ObjectOf, setOf, text } from './field.ts';
import { roleName } from './roles.ts';
import { matches, rule, ruleAbout } from './rule.ts';
import { ruleBody } from './rule-body.ts';
import { ruleSchedule } from './rule-schedule.ts';
import { ruleTenant } from './rule-tenant.ts';

const permission = matches(
  '^[A-Za-z0-9][A-Za-z0-9:._/-]*$',
  'write the one permission that is needed, such as orders:write ("*" belongs to a role)',
);

const isTrue = rule<boolean>('self', 'write true, or leave the field out', (value) => value);

const allowFields = {
  anonymous: Type.Optional(
    Type.Boolean({
      description: 'Lets everyone in; a bad token is ignored. Stands alone. Only true.',
      rules: [isTrue],
    }),
  ),
  authenticated: Type.Optional(
    Type.Boolean({ description: 'Lets in every request with a valid token. Only true.', rules: [isTrue] }),
  ),
  roles: Type.Optional(
    setOf(roleName('A role of spec.roles.'), {
      description: 'The identity has any of these roles.',
      minItems: 1,
      maxItems: 8,
    }),
  ),
  permissions: Type.Optional(
    setOf(text({ description: 'A permission.', maxLength: 63, rules: [permission] }), {
      description: 'The identity has all of these permissions.',
      minItems: 1,
      maxItems: 16,
    }),
  ),
  when: Type.Optional(
    expression(
      'CEL that must be true, over claims, path, query, headers, method, source.ip and now. Needs a valid token.',
    ),
  ),
};

type Allow = ObjectOf<typeof allowFields>;

const allow = Type.Object(allowFields, {
  description: 'One way to be let in: everything written in it must hold.',
  rules: [
    rule<Allow>(
      'has(self.anonymous) || has(self.authenticated) || has(self.roles) || has(self.permissions) || has(self.when)',
      'an empty entry lets nobody in; write anonymous: true, authenticated: true, roles, permissions or when',
      (a) => Object.keys(a).length > 0,
    ),
    rule<Allow>(
      '!has(self.anonymous) || !(has(self.authenticated) || has(self.roles) || has(self.permissions) || has(self.when))',
      'anonymous: true lets everyone in and stands alone; write the other conditions as an entry of their own',
      (a) => a.anonymous === undefined || Object.keys(a).length === 1,
    ),
  ],
});

const accessRule = Type.Object(
  {
    name: itemName('Name of the rule in logs, metrics and `explain`.'),
    match: ruleMatch,
    allow: listOf(allow, { description: 'Ways to be let in; any entry suffices.', minItems: 1, maxItems: 8 }),
    tenant: Type.Optional(ruleTenant),
    schedule: Type.Optional(ruleSchedule),
    body: Type.Optional(ruleBody),
  },
  { description: 'One rule.' },
);

/** The rules of an access policy. */
export const accessRules = mapOf(accessRule, {
  description: 'What is let in. A request that no rule matches is answered 401 without identity, else 403.',
  maxItems: 128,
  default: [],
});

interface SpecPart {
  readonly authentication: Readonly<Record<'jwt' | 'apiKeys' | 'signedRequests', readonly unknown[]>>;
  readonly roles: readonly { readonly name: string }[];
  readonly rules: Static<typeof accessRules>;
}

/** Rules name roles that exist. */
export const rolesExist = ruleAbout<SpecPart>(
  {
    cel: '[self.roles.map(q, q.name)].all(names, self.rules.all(r, r.allow.all(a, !has(a.roles) || a.roles.all(n, n in names))))',
    message: 'a rule names a role that spec.roles does not have; add the role or correct the name',
    fieldPath: '.rules',
  },
  (spec) => {
    const known = new Set(spec.roles.map((role) => role.name));
    return spec.rules.flatMap((r, i) =>
      r.allow.flatMap((a, j) =>
        (a.roles ?? []).flatMap((name, k) => (known.has(name) ? [] : [['rules', i, 'allow', j, 'roles', k] as const])),
      ),
    );
  },
);

/** Rules that need an identity can get one. */
export const noIdentityWithoutTokens = ruleAbout<SpecPart>(
  {
    cel: 'size(self.authentication.jwt) + size(self.authentication.apiKeys) + size(self.authentication.signedRequests) > 0 || self.rules.all(r, r.allow.exists(a, has(a.anonymous)))',
    message:
      'a rule needs an identity, but authentication is empty, so it can never let anyone in; add an issuer under authentication.jwt, apiKeys or signedRequests, or anonymous: true to the rule',
    fieldPath: '.rules',
  },
  ({ authentication: { jwt, apiKeys, signedRequests }, ...spec }) =>
    jwt.length + apiKeys.length + signedRequests.length > 0
      ? []
      : spec.rules.flatMap((r, i) =>
          r.allow.some((a) => a.anonymous !== undefined) ? [] : [['rules', i, 'allow'] as const],
        ),
);
