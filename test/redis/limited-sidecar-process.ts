import type { LimitsBundle } from '../../policy/bundle/types.ts';
import { startSidecarUnderTest } from '../support/sidecar-under-test.ts';

// A sidecar in a process of its own: told its limits by the first message, it answers with its port and serves until the
// test disconnects.
process.once('message', async (limits: Partial<LimitsBundle>) => {
  const sidecar = await startSidecarUnderTest({ limits });
  process.once('disconnect', () => void sidecar.stop());
  process.send?.(sidecar.port);
});
