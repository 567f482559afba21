import { isDeepStrictEqual } from 'node:util';
import { render } from '../render.ts';
import type { Check } from '../step.ts';

/** Outputs that are not what the keyring says are written; `rolledBack` has made sure that no serial goes down. */
export const outputsStale: Check = {
  name: 'outputs-stale',
  decide({ outputs, keyring }) {
    const wanted = render(keyring);
    return isDeepStrictEqual(outputs, wanted) ? null : { kind: 'WriteOutputs', outputs: wanted };
  },
};

/** What others read besides is brought in line with the outputs, once these are what they should be. */
export const exportsStale: Check = {
  name: 'exports-stale',
  decide({ outputs, context }) {
    return outputs === null || context.exported ? null : { kind: 'WriteExports', outputs };
  },
};

/** Outputs seen written, so times that run from publication may start; to stamp them when deciding would start them too soon. */
export const unconfirmed: Check = {
  name: 'unconfirmed',
  decide({ keyring }) {
    return keyring.confirmed < keyring.serial ? { kind: 'Confirm' } : null;
  },
};
