import Type from 'typebox';
import { itemName, objectName, TOKEN_PATTERN } from './common-fields.ts';
import { mapOf, text } from './field.ts';
import { matches } from './rule.ts';

/** The Secret of credentials that a policy reads; `holds`: what under which key. */
export function credentialsSecretRef(holds: string) {
  return Type.Object(
    {
      name: objectName('The Secret, in the policy\'s namespace and labelled portcullis.dev/allow-reference: "true".'),
    },
    { description: `The Secret whose key ${holds}` },
  );
}

const apiKeyList = Type.Object(
  {
    name: itemName('Name of the list in logs and `explain`.'),
    secretRef: credentialsSecretRef(
      '`keys.yaml` lists hashes of keys and whom each stands for, as `portcullis api-key generate` prints them.',
    ),
    header: text({
      description: 'Header that carries the key, alone. Case does not matter. Nothing else may be read from it.',
      maxLength: 128,
      default: 'X-API-Key',
      rules: [matches(TOKEN_PATTERN, 'write the name of a header, such as X-API-Key')],
    }),
  },
  { description: 'One list of API keys.' },
);

/** Lists of API keys that are accepted. */
export const apiKeys = mapOf(apiKeyList, {
  description: 'Lists of API keys that are accepted. Each reads a header of its own.',
  maxItems: 4,
  default: [],
});
