import { createReadStream } from 'node:fs';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { encryptTo, type PublicKey, readPublicKey } from '../../operator/escrow/open-pgp.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { parseFlags } from '../parse-flags.ts';
import { type StreamedOutput, written } from '../streamed-output.ts';
import type { CommandIo } from '../token/run-token.ts';

const HELP = `portcullis escrow encrypt FILE --recipient KEYFILE [--recipient KEYFILE]... [--output FILE] [--force]

Encrypts a file with OpenPGP for cold storage. Each recipient alone can decrypt it: gpg --output FILE --decrypt FILE.asc
The file is read as it is written, so it may be of any size. Nothing is signed: keep a checksum where nobody else writes.

  FILE                   what to encrypt; - for standard input
  --recipient KEYFILE    an OpenPGP public key, as gpg --armor --export FINGERPRINT prints it; - is not allowed
  -o, --output FILE      where to write (default: FILE.asc; with FILE - standard output); - for standard output
  --force                replaces a file that is there
  --help                 this text

Exit code: 0, or 2 when nothing was encrypted; the reason is on standard error.
`;

const MORE = 'see portcullis escrow --help';

const FLAGS = {
  recipient: { type: 'string', multiple: true },
  output: { type: 'string', short: 'o' },
  force: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

/** What the command also reads and writes. */
export interface EscrowIo extends CommandIo {
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: StreamedOutput['stdout'];
}

/** The command `portcullis escrow`: `argv` without the command's name. Resolves to the exit code, 0 or 2; see HELP. */
export async function runEscrow(argv: readonly string[], io: EscrowIo): Promise<number> {
  const [command = '', ...rest] = argv;
  try {
    if (command === '--help' || command === '-h') io.stdout.write(HELP);
    else if (command === 'encrypt') await runEncrypt(rest, io);
    else throw usage(command === '' ? 'no command given' : `unknown command ${JSON.stringify(command)}; write encrypt`);
    return 0;
  } catch (error) {
    if (!(error instanceof PortcullisError)) throw error;
    io.stderr.write(`portcullis escrow: ${error.message}\n`);
    return 2;
  }
}

async function runEncrypt(argv: readonly string[], io: EscrowIo): Promise<void> {
  const { values, positionals } = parseFlags(argv, FLAGS, MORE, true);
  const { help, recipient = [], force = false } = values;
  if (help) return void io.stdout.write(HELP);
  const [file] = positionals;
  if (file === undefined || positionals.length > 1) throw usage('name one FILE, or - for standard input');
  if (recipient.length === 0) throw usage('name who can decrypt it: --recipient KEYFILE');
  const now = io.now();
  const recipients = await Promise.all(recipient.map((path) => readRecipient(path, now)));
  const output = values.output ?? (file === '-' ? '-' : `${file}.asc`);
  const input = file === '-' ? Readable.from(io.stdin) : createReadStream(file);
  const content = Readable.toWeb(input) as ReadableStream<Uint8Array>;
  const encrypted = Readable.fromWeb((await encryptTo(recipients, content, now)) as ReadableStream);
  try {
    if (output === '-') for await (const chunk of encrypted) await written(io, String(chunk));
    else await writeTo(output, encrypted, force);
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    const remedy = cause.code === 'EEXIST' ? '; name another with --output, or replace it with --force' : '';
    const at = cause.syscall === 'read' ? `${file}: ` : ''; // what cannot be opened is named already
    throw new PortcullisError('config_invalid', `${at}${cause.message}${remedy}`, { cause });
  }
  if (output !== '-') {
    const to = recipients.map(({ fingerprint }) => fingerprint).join(', ');
    io.stderr.write(`${output}: encrypted to ${to}; gpg --decrypt reads it\n`);
  }
}

/** Whole or not at all. */
async function writeTo(path: string, content: Readable, force: boolean): Promise<void> {
  const place = force ? `${path}.${process.pid}.tmp` : path;
  const file = await open(place, 'wx', 0o600);
  try {
    await pipeline(content, file.createWriteStream());
    if (force) await rename(place, path);
  } catch (error) {
    await rm(place, { force: true });
    throw error;
  }
}

async function readRecipient(path: string, now: number): Promise<PublicKey> {
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new PortcullisError('config_invalid', `--recipient cannot be read: ${cause.message}`, { cause });
  });
  const read = await readPublicKey(text, now);
  if ('problem' in read) throw new PortcullisError('config_invalid', `--recipient ${path} ${read.problem}`);
  return read;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}

function usage(message: string): PortcullisError {
  return new PortcullisError('config_invalid', `${message}; ${MORE}`);
}
