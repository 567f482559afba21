import { isExpected } from '../expected-error.ts';
import { parseFlags } from '../parse-flags.ts';
import type { CommandIo } from '../token/run-token.ts';
import { BLOCKS_FLAGS, BLOCKS_HELP, type BlocksArguments, blocksArguments } from './blocks-arguments.ts';

const MORE = 'see portcullis blocks --help';

/** `portcullis blocks --control PATH …`: parses and runs; what is wrong is said in one line, exit code 2. */
export async function runLocally(
  argv: readonly string[],
  io: CommandIo,
  run: (control: string, asked: BlocksArguments) => Promise<number>,
): Promise<number> {
  try {
    const flags = { ...BLOCKS_FLAGS, help: { type: 'boolean' } } as const;
    const { values, positionals } = parseFlags(argv, flags, MORE, true);
    if (values.help === true) {
      io.stdout.write(BLOCKS_HELP);
      return 0;
    }
    return await run(values.control ?? '', blocksArguments(positionals, values));
  } catch (error) {
    if (!isExpected(error)) throw error;
    io.stderr.write(`portcullis blocks: ${error.message}\n`);
    return 2;
  }
}
