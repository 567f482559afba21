import { randomBytes } from 'node:crypto';
import { parseDuration } from '../../policy/api/duration.ts';
import { didYouMean } from '../../policy/api/nearest.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { FERNET_KEY_BYTES, formatFernetKey } from '../../policy/fernet/fernet-key.ts';
import { isExpected } from '../expected-error.ts';
import { KUBE_FLAGS, type KubeValues } from '../kube/kube-flag-names.ts';
import { parseFlags } from '../parse-flags.ts';
import { type StreamedOutput, written } from '../streamed-output.ts';
import type { CommandIo } from '../token/run-token.ts';
import { COMMAND_HELP, FERNET_HELP } from './help.ts';
import type { TransformOptions } from './message-transform.ts';
import { type KeySource, readKeys } from './read-keys.ts';
import { transformLines, transformWhole } from './transform-input.ts';

const MORE = 'see --help';
const IV_BYTES = 16;
/** Where a file's name belongs some will write a key, and the error would show it. */
const KEY_TEXT = /[\w-]{43}=/g;
const HELP_FLAG = { help: { type: 'boolean' } } as const;
const FLAGS = {
  ...KUBE_FLAGS,
  ...HELP_FLAG,
  'key-file': { type: 'string' },
  secret: { type: 'string' },
  ttl: { type: 'string' },
  'double-base64': { type: 'boolean' },
  lines: { type: 'boolean' },
} as const;

/** What the command also reads and writes. */
export interface FernetIo extends CommandIo {
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: StreamedOutput['stdout'];
}

type Action = TransformOptions['action'];

/**
 * The command `portcullis fernet`: `argv` without the command's name. Resolves to the exit code: 0; 1 when a message was
 * refused; 2 when it was called wrongly, or keys, input or output failed.
 */
export async function runFernet(argv: readonly string[], io: FernetIo): Promise<number> {
  const [command = '', ...rest] = argv;
  if (command === '--help' || command === '-h') {
    io.stdout.write(FERNET_HELP);
    return 0;
  }
  const isKnown = isCommand(command);
  const prefix = `portcullis fernet${isKnown ? ` ${command}` : ''}: `;
  const say = (message: string) => io.stderr.write(`${prefix}${message.replaceAll(KEY_TEXT, '(a key)')}\n`);
  try {
    if (!isKnown) throw unknownCommand(command);
    return await (command === 'keygen' ? runKeygen(rest, io) : runAction(command, rest, io, say));
  } catch (error) {
    if (!isExpected(error) && !isSystemError(error)) throw error;
    say(error.message);
    return 2;
  }
}

/** Of input or output. */
function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error;
}

function isCommand(text: string): text is Action | 'keygen' {
  return Object.hasOwn(COMMAND_HELP, text);
}

async function runKeygen(argv: readonly string[], io: FernetIo): Promise<number> {
  const { help } = parseFlags(argv, HELP_FLAG, MORE).values;
  await written(io, help ? COMMAND_HELP.keygen : `${formatFernetKey(randomBytes(FERNET_KEY_BYTES))}\n`);
  return 0;
}

async function runAction(
  action: Action,
  argv: readonly string[],
  io: FernetIo,
  say: (message: string) => unknown,
): Promise<number> {
  const { help, ttl, 'double-base64': doubleBase64 = false, lines, ...values } = parseFlags(argv, FLAGS, MORE).values;
  if (help) {
    io.stdout.write(COMMAND_HELP[action]);
    return 0;
  }
  if (ttl !== undefined && action !== 'decrypt') throw usage(`--ttl is for decrypt; ${action} looks at no age`);
  const options: TransformOptions = {
    action,
    doubleBase64,
    ttlMs: ttl === undefined ? null : parseTtl(ttl),
    now: io.now,
    newIv: () => randomBytes(IV_BYTES),
    keys: await readKeys(keySource(values), (message) => say(`warning: ${message}`)),
  };
  const transform = lines ? transformLines : transformWhole;
  return transform(options, { input: io.stdin, write: (bytes) => written(io, bytes), say });
}

interface SourceValues extends KubeValues {
  readonly 'key-file'?: string | undefined;
  readonly secret?: string | undefined;
}

function keySource({ 'key-file': path, secret, ...flags }: SourceValues): KeySource {
  if (path !== undefined && secret !== undefined) throw usage('--key-file and --secret exclude each other');
  if (path !== undefined) return { kind: 'File', path };
  if (secret === undefined) throw usage('missing --key-file FILE or --secret NS/NAME');
  if (/^([^/]+\/)?[^/]+$/.test(secret)) return { kind: 'Secret', name: secret, flags };
  throw usage(`--secret must be NAMESPACE/NAME or NAME, not ${JSON.stringify(secret)}`);
}

function parseTtl(text: string): number {
  const parsed = parseDuration(text);
  if (parsed !== undefined) return parsed;
  throw usage(`--ttl must be a duration such as 90s, 24h or 1h30m, not ${JSON.stringify(text)}`);
}

function unknownCommand(command: string): PortcullisError {
  const known = Object.keys(COMMAND_HELP);
  const choice = `; there are ${known.join(', ')}`;
  if (command === '') return usage(`no command given${choice}`);
  return usage(`unknown command ${JSON.stringify(command)}${didYouMean(command, known) || choice}`);
}

function usage(message: string): PortcullisError {
  return new PortcullisError('config_invalid', `${message}; ${MORE}`);
}
