import { randomBytes } from 'node:crypto';
import { parseDuration } from '../../policy/api/duration.ts';
import { apiKeyHash, apiKeyOf } from '../../policy/credentials/api-key.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { isExpected } from '../expected-error.ts';
import { parseFlags } from '../parse-flags.ts';
import type { CommandIo } from '../token/run-token.ts';

const HELP = `portcullis api-key generate --subject SUB [--roles R,R] [--tenant T] [--tier T] [--expires-in DURATION]

Prints a new API key, once and for its holder alone, and below it the line for keys.yaml of the Secret that a policy's
authentication.apiKeys refers to. The line holds the key's hash: nobody can get the key back from it.

  --subject SUB          whom the key stands for
  --roles R,R            roles, with commas between
  --tenant T, --tier T   of whom it stands for
  --expires-in DURATION  when it ends, such as 2160h (default: never)
  --help                 this text

Exit code: 0, or 2 when there is no key to print; the reason is on standard error.
`;

const MORE = 'see portcullis api-key --help';
const FLAGS = {
  subject: { type: 'string' },
  roles: { type: 'string' },
  tenant: { type: 'string' },
  tier: { type: 'string' },
  'expires-in': { type: 'string' },
  help: { type: 'boolean' },
} as const;

/** The command `portcullis api-key`. Resolves to the exit code; see HELP. `random`: cryptographically random bytes. */
export async function runApiKey(
  argv: readonly string[],
  io: CommandIo,
  random: (bytes: number) => Uint8Array = randomBytes,
): Promise<number> {
  try {
    const { values, positionals } = parseFlags(argv, FLAGS, MORE, true);
    if (values.help) {
      io.stdout.write(HELP);
      return 0;
    }
    if (positionals.join(' ') !== 'generate') throw usage('write portcullis api-key generate');
    const { subject, roles, tenant, tier, 'expires-in': expiresIn } = values;
    if (subject === undefined) throw usage('--subject SUB is required: whom the key stands for');
    const key = apiKeyOf(random(24));
    const members = {
      sha256: apiKeyHash(key),
      subject: plain('subject', subject),
      ...(roles !== undefined && { roles: roles.split(',').map((role) => plain('roles', role.trim())) }),
      ...(tenant !== undefined && { tenant: plain('tenant', tenant) }),
      ...(tier !== undefined && { tier: plain('tier', tier) }),
      ...(expiresIn !== undefined && { expires: endOf(expiresIn, io.now()) }),
    };
    // JSON strings and lists are YAML.
    const line = Object.entries(members).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
    io.stdout.write(`${key}\n- {${line.join(', ')}}\n`);
    return 0;
  } catch (error) {
    if (!isExpected(error)) throw error;
    io.stderr.write(`portcullis api-key: ${error.message}\n`);
    return 2;
  }
}

function endOf(duration: string, now: number): string {
  const ms = parseDuration(duration);
  if (ms === undefined || ms === 0) throw usage('--expires-in must be a duration such as 2160h');
  return new Date(now + ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

function plain(flag: string, text: string): string {
  if (text !== '' && text.length <= 256 && !/[\x00-\x1f\x7f]/.test(text)) return text;
  throw usage(`--${flag} must have 1 to 256 characters, none of them a control character`);
}

function usage(message: string): PortcullisError {
  return new PortcullisError('config_invalid', `${message}; ${MORE}`);
}
