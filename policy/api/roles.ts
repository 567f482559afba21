import Type, { type Static } from 'typebox';
import { mapOf, setOf, text } from './field.ts';
import { matches, ruleAbout } from './rule.ts';

const grant = matches(
  '^([*]|[A-Za-z0-9][A-Za-z0-9:._/-]*)$',
  'write a permission such as orders:read, or "*" alone for all of them',
);

const roleNameRule = matches(
  '^[A-Za-z0-9_][A-Za-z0-9:._/-]*$',
  'write a role of letters, digits, :, ., _, / and -, such as trader',
);

/** The name of a role. */
export function roleName(description: string) {
  return text({ description, maxLength: 63, rules: [roleNameRule] });
}

const role = Type.Object(
  {
    name: roleName('Name of the role, as tokens carry it.'),
    inherits: setOf(roleName('A role listed above this one.'), {
      description: 'Roles whose permissions this one has too. Only roles listed above it.',
      maxItems: 16,
      default: [],
    }),
    permissions: setOf(text({ description: 'A permission, or "*".', maxLength: 63, rules: [grant] }), {
      description: 'What the role may do. "*" is every permission.',
      maxItems: 64,
      default: [],
    }),
  },
  { description: 'One role.' },
);

type Roles = Static<typeof role>[];

const inheritsFromAbove = ruleAbout<Roles>(
  {
    cel: 'self.all(i, r, r.inherits.all(p, self.exists(j, q, j < i && q.name == p)))',
    message: 'a role may inherit only from roles listed above it: add the inherited role, or move it up',
  },
  (roles) => {
    const above = new Set<string>();
    return roles.flatMap((role, index) => {
      const unknown = role.inherits.flatMap((name, place) =>
        above.has(name) ? [] : [[index, 'inherits', place] as const],
      );
      above.add(role.name);
      return unknown;
    });
  },
);

/** The roles of an access policy. */
export const roles = mapOf(role, {
  description: 'Roles and what they may do. A role of a token that is not listed grants nothing.',
  maxItems: 32,
  default: [],
  rules: [inheritsFromAbove],
});
