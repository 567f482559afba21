import { PortcullisError } from '../../policy/errors.ts';
import { askControl } from '../../sidecar/control/control-client.ts';
import type { BlockReport, ClearReport } from '../../sidecar/threats/block-report.ts';
import { runKubeCommand } from '../kube/command.ts';
import type { CommandIo } from '../token/run-token.ts';
import { askPods, type PodAnswer } from './ask-pods.ts';
import { blocksText, mergeBlocks, type PodBlocks } from './block-table.ts';
import { BLOCKS_FLAGS, BLOCKS_HELP, type BlocksArguments, blocksArguments } from './blocks-arguments.ts';
import { runLocally } from './run-locally.ts';

/** The command `portcullis blocks`, by the sidecars of a cluster or, with --control, by one process. Resolves to the exit code; see BLOCKS_HELP. */
export function runBlocks(argv: readonly string[], io: CommandIo): Promise<number> {
  if (argv.some((argument) => /^--control(=|$)/.test(argument))) {
    return runLocally(argv, io, async (control, asked) => print(asked, [await askProcess(control, asked)], io));
  }
  return runKubeCommand(
    {
      name: 'blocks',
      help: BLOCKS_HELP,
      flags: BLOCKS_FLAGS,
      arguments: ['[svc/NAME | pod/NAME | clear]', '[SUBJECT]', '[svc/NAME | pod/NAME]'],
      run: async (target, args, values, plainIo) => {
        const asked = blocksArguments(args, values);
        return print(asked, await askPods(target, asked), plainIo);
      },
    },
    argv,
    io,
  );
}

async function askProcess(control: string, { clear }: BlocksArguments): Promise<PodAnswer> {
  const answer = await (clear === null
    ? askControl(control, 'GET', '/blocks')
    : askControl(control, 'POST', '/blocks/clear', clear)
  ).catch((cause) => {
    const { code } = cause as NodeJS.ErrnoException;
    throw new PortcullisError('config_invalid', `no process answers at ${control} (${code})`, { cause });
  });
  const { error } = answer.body as { readonly error?: string };
  if (answer.status !== 200) throw new PortcullisError('config_invalid', error ?? `answered ${answer.status}`);
  return { pod: 'local', report: answer.body, error: null };
}

function print({ clear, json }: BlocksArguments, answers: readonly PodAnswer[], io: CommandIo): number {
  for (const { pod, error } of answers) if (error !== null) io.stderr.write(`${pod}: ${error}\n`);
  const answered = answers.filter(({ report }) => report !== null);
  const failed = answered.length < answers.length;
  if (clear === null) {
    const reports = answered.map(({ pod, report }): PodBlocks => ({ ...(report as BlockReport), pod }));
    const rows = mergeBlocks(reports);
    io.stdout.write(json ? `${JSON.stringify(rows, null, 2)}\n` : blocksText(reports, io.now()));
    return failed ? 1 : 0;
  }
  const reports = answered.map(({ report }) => report as ClearReport);
  const cleared = [...new Set(reports.flatMap((report) => report.cleared))];
  const everywhere = reports.every((report) => report.everywhere);
  if (json) io.stdout.write(`${JSON.stringify({ cleared, everywhere })}\n`);
  else {
    io.stdout.write(cleared.length === 0 ? 'nothing to clear\n' : `cleared ${cleared.join(', ')}\n`);
    if (!everywhere) io.stderr.write('the store does not answer some pod: it may begin again; clear it again later\n');
  }
  return failed || !everywhere ? 1 : 0;
}
