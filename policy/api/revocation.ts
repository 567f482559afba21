import Type from 'typebox';
import { duration } from './common-fields.ts';
import { durationBounds } from './duration-bounds.ts';
import { oneOf } from './field.ts';

/** How revoked tokens are refused before they end. */
export const revocation = Type.Object(
  {
    onStoreFailure: oneOf(['Deny', 'Allow'], {
      description:
        'What to do with a token that is not known to be revoked while the store does not answer for longer than maxStaleness: answer 503, or accept it.',
      default: 'Deny',
    }),
    maxStaleness: duration({
      description: 'A token revoked elsewhere is refused here after at most this long.',
      default: '1s',
      rules: [durationBounds('200ms', '1m')],
    }),
  },
  {
    description:
      'Looks on every request whether the token was revoked: by its `jti`, or by its `sub` when it was issued before an instant. Of every issuer.',
    defaultText: 'tokens are accepted until they end',
  },
);
