import Type from 'typebox';
import { text } from './field.ts';
import { matches } from './rule.ts';

/** Whose requests a rule lets in. */
export const ruleTenant = Type.Object(
  {
    from: text({
      description: 'path.NAME is a parameter of the path; query.NAME, header.NAME are what they say. Decoded once.',
      maxLength: 71,
      rules: [
        matches(
          '^(path[.][A-Za-z_]\\w{0,62}|(query|header)[.][A-Za-z0-9_-]{1,63})$',
          'write path.NAME, query.NAME or header.NAME, such as path.tenant',
        ),
      ],
    }),
  },
  {
    description:
      "Lets in only who is of the tenant that the request is about: the token's (identity.tenant) must be the same, character for character.",
    defaultText: 'every tenant',
  },
);
