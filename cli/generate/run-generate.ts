import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { didYouMean } from '../../policy/api/nearest.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { CommandIo } from '../token/run-token.ts';
import { type GenerateOptions, generatePolicy } from './generate-policy.ts';
import { PERMISSION_SOURCES } from './operation-access.ts';
import { basePathOf } from './path-template.ts';
import { formatRemarks } from './report.ts';

const HELP = `portcullis generate --openapi FILE [--key-set NAME]

Prints an AccessPolicy made of an OpenAPI document (3.0 or 3.1, YAML or JSON): a rule for each path and methods that
need the same, permissions by scope or tag, and roles to start with. What was guessed or cannot be expressed is on
standard error and in comments; review it.

  --openapi FILE         the document; references to other files are not followed
  --key-set NAME         the SigningKeySet that signs tokens, as NAME (in the policy's namespace) or NAMESPACE/NAME;
                         needed where an operation demands anything of its clients
  --name NAME            name of the policy (default: made of the document's title)
  --namespace NS         its namespace (default: none is written)
  --permissions FROM     scopes: the scopes of OAuth 2 and OpenID Connect, TAG:read and TAG:write where there are none;
                         tags: TAG:read and TAG:write always; none: any valid token (default: scopes)
  --base-path PATH       what stands before each path (default: the path of servers[0].url)
  --bodies               rules also say what bodies must be: media types, size and JSON Schema
  --output FILE          write there instead of standard output; a file that exists is left alone
  --force                unless this is given
  --help                 this text

Exit code: 0, or 2 when there is no policy; everything that is wrong is on standard error.
`;

/** The command `portcullis generate`: `argv` without the command's name. Resolves to the exit code, 0 or 2; see HELP. */
export async function runGenerate(argv: readonly string[], io: CommandIo): Promise<number> {
  const say = (text: string): unknown => io.stderr.write(`portcullis generate: ${text}\n`);
  try {
    const options = parseOptions(argv);
    if (options === null) {
      io.stdout.write(HELP);
      return 0;
    }
    const { file, output, force } = options;
    const { yaml, remarks, counts } = generate(await readFile(file, 'utf8'), file, options);
    const lines = formatRemarks(remarks, file);
    if (lines.length > 0) io.stderr.write(`${lines.join('\n')}\n`);
    if (yaml === null) {
      say('no policy was made; correct what is marked error');
      return 2;
    }
    if (output === undefined) io.stdout.write(yaml);
    else await write(output, yaml, force);
    const left = counts.leftOut === 0 ? '' : `, ${counts.leftOut} operations left out`;
    say(`${counts.operations} operations -> ${counts.rules} rules${left}; review them before use`);
    return 0;
  } catch (error) {
    if (!isExpected(error)) throw error;
    say(error.message);
    return 2;
  }
}

interface RunOptions extends GenerateOptions {
  readonly file: string;
  readonly output: string | undefined;
  readonly force: boolean;
}

function generate(text: string, file: string, options: GenerateOptions) {
  try {
    return generatePolicy(text, options);
  } catch (cause) {
    if (cause instanceof PortcullisError) throw usage(`${file} ${cause.message}`, cause);
    if (!(cause instanceof RangeError)) throw cause; // the stack
    throw usage(`${file} is nested too deep; no API needs that`, cause);
  }
}

async function write(output: string, yaml: string, force: boolean): Promise<void> {
  try {
    await writeFile(output, yaml, { flag: force ? 'w' : 'wx' });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw usage(`${output} exists and was left alone; give another --output, or --force to overwrite it`, cause);
  }
}

/** Ours, or the system's of a file. */
function isExpected(error: unknown): error is Error {
  return error instanceof PortcullisError || (error instanceof Error && 'syscall' in error);
}

function parseOptions(argv: readonly string[]): RunOptions | null {
  const values = parseFlags(argv);
  if (values.help) return null;
  const { openapi: file, permissions: from = 'scopes', 'key-set': keySet, 'base-path': basePath } = values;
  if (file === undefined) throw usage('missing --openapi FILE; see portcullis generate --help');
  const permissions = PERMISSION_SOURCES.find((source) => source === from);
  if (permissions === undefined) {
    const known = PERMISSION_SOURCES.join(', ');
    throw usage(
      `--permissions must be one of ${known}, not ${JSON.stringify(from)}${didYouMean(from, PERMISSION_SOURCES)}`,
    );
  }
  if (basePath !== undefined && !/^(\/[^/{}?#]+)*\/?$/.test(basePath))
    throw usage(`--base-path must be a path such as /api/v1, or / for none, not ${JSON.stringify(basePath)}`);
  return {
    file,
    output: values.output,
    force: values.force ?? false,
    name: values.name ?? null,
    namespace: values.namespace ?? null,
    keySet: keySet === undefined ? null : parseKeySet(keySet),
    permissions,
    basePath: basePath === undefined ? null : basePathOf(basePath, new Map()),
    bodies: values.bodies ?? false,
  };
}

function parseKeySet(text: string): NonNullable<GenerateOptions['keySet']> {
  const [, namespace, name] = /^(?:([^/]+)\/)?([^/]+)$/.exec(text) ?? [];
  if (name === undefined) throw usage(`--key-set must be NAME or NAMESPACE/NAME, not ${JSON.stringify(text)}`);
  return { name, ...(namespace !== undefined && { namespace }) };
}

function parseFlags(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        openapi: { type: 'string' },
        'key-set': { type: 'string' },
        name: { type: 'string' },
        namespace: { type: 'string' },
        permissions: { type: 'string' },
        'base-path': { type: 'string' },
        bodies: { type: 'boolean' },
        output: { type: 'string' },
        force: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw usage(`${error instanceof Error ? error.message : String(error)}; see portcullis generate --help`);
  }
}

function usage(message: string, cause?: unknown): PortcullisError {
  return new PortcullisError('config_invalid', message, cause === undefined ? {} : { cause });
}
