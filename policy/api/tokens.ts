import Type from 'typebox';
import { keySetRef } from './authentication.ts';
import { text } from './field.ts';
import { matches } from './rule.ts';

const plainPath = matches(
  '^(/[.]?[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$',
  'write a path such as /.well-known/jwks.json: plain segments, no {parameter}, no ** and no slash at the end',
);

/** The tokens that pods issue themselves. */
export const tokens = Type.Object(
  {
    keySetRef: keySetRef('The SigningKeySet whose keys sign the tokens.'),
    jwksPath: text({
      description:
        'Where GET answers with the public keys as a JWK Set (RFC 7517), to everybody; before any rule. Compared as pathMatching says. 404 with an HS algorithm, whose keys are secrets.',
      maxLength: 256,
      default: '/.well-known/jwks.json',
      rules: [plainPath],
    }),
  },
  {
    description:
      'What pods annotated portcullis.dev/issue-tokens: "true" answer by themselves; on others, and in mode Shadow, these paths are like any other.',
    defaultText: 'none',
  },
);
