import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { didYouMean } from '../policy/api/nearest.ts';
import { PortcullisError } from '../policy/errors.ts';

/** A key id of 256 bits, base64url (RFC 7638, section 3): one of 64 begins with a dash. No flag of ours is as long. */
const KEY_ID_LIKE_A_FLAG = /^-[\w-]{42}$/;

/**
 * `parseArgs` of node:util, strict. Throws `config_invalid` with what is wrong, the flag that was probably meant, and
 * `more`, which says where to read on; in one line.
 */
export function parseFlags<Options extends ParseArgsOptionsConfig>(
  argv: readonly string[],
  options: Options,
  more: string,
  allowPositionals = false,
) {
  const isKeyId = (argument: string) => allowPositionals && KEY_ID_LIKE_A_FLAG.test(argument);
  const args = argv.filter((argument) => !isKeyId(argument));
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals });
    return { values, positionals: [...positionals, ...argv.filter(isKeyId)] };
  } catch (cause) {
    throw new PortcullisError('config_invalid', `${problemOf(cause as Error, options)}; ${more}`, { cause });
  }
}

/** Without Node's advice on values and arguments that begin with a dash, which ours never do. */
function problemOf({ message }: Error, options: ParseArgsOptionsConfig): string {
  const problem = message.replace(/ is ambiguous.*/s, ' missing').replace(/\. (To|This) .*/s, '');
  const unknown = /^Unknown option '--(.+)'$/.exec(problem)?.[1];
  if (unknown === undefined) return problem;
  return `${problem}${didYouMean(
    `--${unknown}`,
    Object.keys(options).map((name) => `--${name}`),
  )}`;
}
