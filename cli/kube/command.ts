import type { ParseArgsOptionsConfig } from 'node:util';
import { PortcullisError } from '../../policy/errors.ts';
import { isExpected } from '../expected-error.ts';
import { parseFlags } from '../parse-flags.ts';
import type { CommandIo } from '../token/run-token.ts';
import { connectTo, type KubeTarget } from './connect.ts';
import { KUBE_FLAGS } from './kube-flag-names.ts';

const MORE = 'see --help';

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** A command that talks to a cluster. */
export interface KubeCommand {
  readonly name: string;
  readonly help: string;
  readonly flags: ParseArgsOptionsConfig;
  /** Names of the arguments, for the error when some are missing; those in brackets may be left out. */
  readonly arguments: readonly string[];
  /** Resolves to the exit code. */
  run(target: KubeTarget, args: readonly string[], values: Values, io: CommandIo): Promise<number>;
}

/** Parses, connects and runs; what is wrong is said in one line, exit code 2. */
export async function runKubeCommand(command: KubeCommand, argv: readonly string[], io: CommandIo): Promise<number> {
  const { name, help, flags } = command;
  try {
    const { values, positionals } = parseFlags(
      argv,
      { ...KUBE_FLAGS, ...flags, help: { type: 'boolean' } },
      MORE,
      true,
    );
    if (values['help']) {
      io.stdout.write(help);
      return 0;
    }
    const required = command.arguments.filter((argument) => !argument.startsWith('['));
    if (positionals.length < required.length || positionals.length > command.arguments.length) {
      throw usage(`wants ${command.arguments.join(' ') || 'no arguments'}, not ${positionals.length} of them`);
    }
    return await command.run(connectTo(values), positionals, values, plainly(io));
  } catch (error) {
    if (!isExpected(error)) throw error;
    plainly(io).stderr.write(`portcullis ${name}: ${error.message}\n`);
    return 2;
  }
}

/** What comes from a cluster may hold what a terminal obeys (ESC, bidirectional marks): only text, newlines and tabs get through. */
function plainly({ stdout, stderr, now }: CommandIo): CommandIo {
  const plain = (text: string): string => text.replace(/[^\P{C}\n\t]/gu, '\ufffd');
  return {
    now,
    stdout: { write: (text) => stdout.write(plain(text)) },
    stderr: { write: (text) => stderr.write(plain(text)) },
  };
}

/** An error of how the command was called. */
export function usage(message: string): PortcullisError {
  return new PortcullisError('config_invalid', `${message}; ${MORE}`);
}
