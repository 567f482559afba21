import Type from 'typebox';
import { keySetRef } from './authentication.ts';
import { text } from './field.ts';
import { endpointFields, endpointRules, plainPath } from './token-endpoints.ts';

/** The tokens that pods issue themselves. */
export const tokens = Type.Object(
  {
    keySetRef: keySetRef(
      "The SigningKeySet whose keys sign the tokens, and whose issuer and audiences they name. With login it must be of the policy's own namespace: keys that sign never leave theirs.",
    ),
    ...endpointFields,
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
      'What pods annotated portcullis.dev/issue-tokens: "true" answer by themselves; others answer 404 there to whomever a rule lets in. In mode Shadow these paths are like any other.',
    defaultText: 'none',
    rules: endpointRules,
  },
);
