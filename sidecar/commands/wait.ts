import { setTimeout as delay } from 'node:timers/promises';
import { askControl } from '../control/control-client.ts';
import type { Output } from '../main.ts';
import { durationOf, orUsage, parseFlags } from './flags.ts';
import { containerPath } from './paths.ts';

const POLL_MS = 25;

/**
 * `sidecar wait`, the container's postStart hook: resolves when the process listens on every port. At the time-out it says why not
 * and succeeds all the same: the pod starts and shows unready, where failing would only restart it without a word.
 */
export function waitCommand(argv: readonly string[], output: Output): Promise<number> {
  return orUsage(output, async () => {
    const { timeout } = parseFlags(argv, { timeout: { type: 'string', default: '5s' } }).values;
    const deadline = performance.now() + durationOf('timeout', timeout);
    const socket = containerPath('controlSocket');
    for (;;) {
      const reason = await askControl(socket, 'GET', '/listening').then(
        ({ status, body }) => (status === 200 ? null : (body as readonly string[]).join('; ')),
        (error: NodeJS.ErrnoException) => `the process does not answer at ${socket} (${error.code})`,
      );
      if (reason === null) return 0;
      if (performance.now() >= deadline) {
        output.stderr.write(`sidecar wait: not listening after ${timeout}: ${reason}\n`);
        return 0;
      }
      await delay(POLL_MS);
    }
  });
}
