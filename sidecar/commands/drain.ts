import { askControl } from '../control/control-client.ts';
import type { Output } from '../main.ts';
import { durationOf, orUsage, parseFlags } from './flags.ts';
import { containerPath } from './paths.ts';

/** `sidecar drain`, the container's preStop hook: tells the process and returns at once. Exit code 1 when it cannot be told. */
export function drainCommand(argv: readonly string[], output: Output): Promise<number> {
  return orUsage(output, async () => {
    const { over } = parseFlags(argv, { over: { type: 'string', default: '5s' } }).values;
    const overMs = durationOf('over', over);
    const socket = containerPath('controlSocket');
    return askControl(socket, 'POST', '/drain', { overMs }).then(
      () => 0,
      (error: NodeJS.ErrnoException) => {
        output.stderr.write(`sidecar drain: the process does not answer at ${socket} (${error.code})\n`);
        return 1;
      },
    );
  });
}
