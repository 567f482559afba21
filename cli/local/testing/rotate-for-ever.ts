import { generateKey } from '../../../operator/signing-keys/generate-key.ts';
import { reconcileKeySet } from '../../../operator/signing-keys/reconcile-key-set.ts';
import { HOUR, rotating } from '../../../policy/keys/testing/fixtures.ts';
import { DirectoryKeyStore } from '../directory-key-store.ts';

/** A key set that rotates every few steps of a clock that runs 12 hours a step. */
export const FAST_SPEC = {
  ...rotating({ periodMs: 36 * HOUR, prePublishMs: 25 * HOUR }),
  clockSkewMs: 24 * HOUR,
};

/** Rotates the key set in a state directory, printing a line a step, until the process is killed. */
async function rotateForEver(stateDirectory: string): Promise<never> {
  const store = new DirectoryKeyStore(stateDirectory, FAST_SPEC);
  let now = 1_000_000_000_000;
  for (;;) {
    const stored = await store.readKeyring();
    now = Math.max(now, stored?.keyring.maxTime ?? 0) + 12 * HOUR;
    const result = await reconcileKeySet({
      spec: FAST_SPEC,
      store,
      now: () => now,
      generateKey,
      recipients: async () => ({ kind: 'Off' }),
      acknowledgements: [],
    });
    // Another process may have run its clock ahead meanwhile; the next step catches up.
    if (result.end.kind === 'Halt' && result.end.reason !== 'ClockSkew') throw new Error(result.end.message);
    process.stdout.write(`${result.outputs?.serial}\n`);
  }
}

if (process.argv[2] === 'rotate') await rotateForEver(process.argv[3] ?? '');
