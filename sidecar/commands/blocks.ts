import { PortcullisError } from '../../policy/errors.ts';
import { askControl, type ControlAnswer } from '../control/control-client.ts';
import type { Output } from '../main.ts';
import type { BlockReport, ClearReport } from '../threats/block-report.ts';
import { orUsage, parseFlags } from './flags.ts';
import { containerPath } from './paths.ts';

const HELP = `sidecar blocks [clear SUBJECT … | clear --all]

Prints as JSON whom the rate limit policy blocks or slows down, why and until when; or ends that, in all pods that share a store.

  --all     with clear: all of them
  --help    this text
`;

/** `sidecar blocks`: asks the process and prints what it says. Exit code 1 when it cannot be asked or did not do all. */
export function blocksCommand(argv: readonly string[], output: Output): Promise<number> {
  return orUsage(output, async () => {
    const flags = { all: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } } as const;
    const { values, positionals } = parseFlags(argv, flags, true);
    if (values.help) {
      output.stdout.write(HELP);
      return 0;
    }
    const [verb, ...subjects] = positionals;
    if (verb !== undefined && verb !== 'clear') wrong(`there is no ${JSON.stringify(verb)}`);
    if (verb === undefined && values.all) wrong('--all goes with clear');
    if (verb === 'clear' && values.all === subjects.length > 0) wrong('write what to clear, or --all');
    const answer = await (verb === undefined
      ? ask(output, 'GET', '/blocks')
      : ask(output, 'POST', '/blocks/clear', { subjects: values.all ? null : subjects }));
    if (answer === null) return 1;
    const report = answer as BlockReport | ClearReport;
    output.stdout.write(`${JSON.stringify(report)}\n`);
    return 'everywhere' in report && !report.everywhere ? 1 : 0;
  });
}

async function ask(output: Output, method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> {
  const socket = containerPath('controlSocket');
  let answer: ControlAnswer;
  try {
    answer = await askControl(socket, method, path, body);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    output.stderr.write(`sidecar blocks: the process does not answer at ${socket} (${code})\n`);
    return null;
  }
  if (answer.status === 200) return answer.body;
  output.stderr.write(`sidecar blocks: ${(answer.body as { readonly error: string }).error}\n`);
  return null;
}

function wrong(message: string): never {
  throw new PortcullisError('config_invalid', `${message}; see sidecar blocks --help`);
}
