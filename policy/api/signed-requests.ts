import Type from 'typebox';
import { credentialsSecretRef } from './api-keys.ts';
import { BYTE_SIZE_PATTERN } from './byte-size.ts';
import { duration, itemName } from './common-fields.ts';
import { durationBounds } from './duration-bounds.ts';
import { mapOf, oneOf, text } from './field.ts';
import { matches } from './rule.ts';

const clientList = Type.Object(
  {
    name: itemName('Name of the list in logs and `explain`.'),
    secretRef: credentialsSecretRef(
      '`clients.yaml` lists clients, the one or two secrets of each, and whom it stands for.',
    ),
    tolerance: duration({
      description: 'How far X-Timestamp may be from our clock; nonces are remembered for longer than twice this.',
      default: '30s',
      rules: [durationBounds('1s', '5m')],
    }),
    maxBytes: text({
      description: 'Largest body of a signed request, which is read whole; a larger one is answered 413. At most 1Mi.',
      maxLength: 12,
      default: '64Ki',
      rules: [matches(BYTE_SIZE_PATTERN, 'write a size such as 512, 64Ki or 1Mi')],
    }),
    onStoreFailure: oneOf(['Deny', 'Allow'], {
      description:
        'What to do with a good signature while the store cannot tell whether its nonce was used before: answer 503, or let it in, also if it is a repetition.',
      default: 'Deny',
    }),
  },
  { description: 'One list of clients that sign their requests.' },
);

/** Lists of clients that sign their requests with a shared secret. */
export const signedRequests = mapOf(clientList, {
  description:
    'Clients that sign their requests with HMAC-SHA256 over method, host, path, query, timestamp, nonce and body (docs/signed-requests.md).',
  maxItems: 4,
  default: [],
});
