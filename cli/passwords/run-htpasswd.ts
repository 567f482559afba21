import { parseArgs } from 'node:util';
import { hash } from 'bcryptjs';
import { MIN_BCRYPT_COST } from '../../policy/passwords/bcrypt-cost.ts';
import { parseHtpasswd } from '../../policy/passwords/htpasswd.ts';
import { BCRYPT_MAX_BYTES, unusable } from '../../sidecar/token-service/password-rules.ts';
import type { CommandIo } from '../token/run-token.ts';

/** Far above any password; what is longer is another file. */
const MAX_INPUT_BYTES = 4096;

const HELP = `portcullis htpasswd NAME [--cost COST]

Reads a password from standard input, to its end and without one line break there, and prints the line of NAME for a
Secret's users.htpasswd.

  --cost COST  bcrypt's, 12 to 15 (default: 12); use one for all users of a Secret
  --help       this text

Exit code: 0, or 2 when there is no line to print; the reason is on standard error.
`;

/** What the command also reads. */
export interface HtpasswdIo extends CommandIo {
  readonly stdin: AsyncIterable<Uint8Array>;
}

/** The command `portcullis htpasswd`: `argv` without the command's name. Resolves to the exit code, 0 or 2; see HELP. */
export async function runHtpasswd(argv: readonly string[], io: HtpasswdIo): Promise<number> {
  const refuse = (reason: string): number => {
    io.stderr.write(`portcullis htpasswd: ${reason}\n`);
    return 2;
  };
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(argv);
  } catch (error) {
    return refuse(`${error instanceof Error ? error.message : error}; see portcullis htpasswd --help`);
  }
  const { values, positionals } = parsed;
  if (values.help === true) {
    io.stdout.write(HELP);
    return 0;
  }
  const [name, ...more] = positionals;
  if (name === undefined || name.includes(':') || more.length > 0) {
    return refuse('give one NAME without a colon, and the password on standard input');
  }
  const cost = Number(values.cost);
  if (!/^1[2-5]$/.test(values.cost)) return refuse('--cost must be 12, 13, 14 or 15');

  const input = await readInput(io.stdin);
  if (input === null) return refuse('standard input is no password: it is not UTF-8 or longer than 4 KiB');
  const password = input.replace(/\r?\n$/, '');
  if (password === '') return refuse('standard input is empty; write the password there');
  const [broken] = unusable(password, BCRYPT_MAX_BYTES);
  if (broken !== undefined) return refuse(`the password ${broken.message}`);

  const line = `${name}:${await hash(password, cost)}`;
  const read = parseHtpasswd(line, null);
  if (!read.ok) return refuse(read.problems.join('; '));
  io.stdout.write(`${line}\n`);
  return 0;
}

function parse(argv: readonly string[]) {
  const options = {
    cost: { type: 'string', default: String(MIN_BCRYPT_COST) },
    help: { type: 'boolean', short: 'h' },
  } as const;
  return parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
}

async function readInput(stdin: AsyncIterable<Uint8Array>): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_INPUT_BYTES) return null;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    return null;
  }
}
