import { randomUUID } from 'node:crypto';
import { parseDuration } from '../../policy/api/duration.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { isExpected } from '../expected-error.ts';
import { KUBE_FLAGS, KUBE_HELP } from '../kube/kube-flag-names.ts';
import { parseFlags } from '../parse-flags.ts';
import type { ClusterFlags } from './cluster-issuer.ts';
import { loadTokenIssuer, mintToken, type TokenIssuer } from './mint-token.ts';

const DEFAULT_LIFETIME_MS = 300_000;

const HELP = `portcullis token (--state DIR | --kube) --key-set NAME --claims JSON [--expires-in DURATION]

Prints a JWT signed by the active key of a key set, alone on its line.

  --state DIR            state directory of portcullis local
  --kube                 a SigningKeySet in a cluster; you must be allowed to read Secrets where the operator is
  --key-set NAME         key set, as NAME (in namespace default, with --kube in that of -n) or NAMESPACE/NAME
  --claims JSON          claims as a JSON object, such as '{"sub":"u1","roles":["trader"]}';
                         iss, aud, iat and exp are set for you and refused here
  --expires-in DURATION  life of the token, such as 90s or 5m, at most the key set's maxTokenLifetime
                         (default: 5m, or maxTokenLifetime when that is shorter)
With --kube:
${KUBE_HELP}
  --operator-namespace NS  where Portcullis is installed (default: found by its webhooks)
  --help                 this text

Exit code: 0, or 2 when the token could not be made; the reason is on standard error.
`;

const MORE = 'see portcullis token --help';

const FLAGS = {
  ...KUBE_FLAGS,
  'operator-namespace': { type: 'string' },
  state: { type: 'string' },
  kube: { type: 'boolean' },
  'key-set': { type: 'string' },
  claims: { type: 'string' },
  'expires-in': { type: 'string' },
  help: { type: 'boolean' },
} as const;

/** Where a command writes and what time it is. */
export interface CommandIo {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** The command `portcullis token`: `argv` without the command's name. Resolves to the exit code, 0 or 2; see HELP. */
export async function runToken(argv: readonly string[], io: CommandIo): Promise<number> {
  try {
    const options = parseOptions(argv);
    if (options === null) {
      io.stdout.write(HELP);
      return 0;
    }
    const issuer = await (options.source.kind === 'State'
      ? loadTokenIssuer(options.source.directory, options.keySet)
      : loadClusterIssuer(options.source.flags, options.keySet));
    const expiresInMs = options.expiresInMs ?? Math.min(DEFAULT_LIFETIME_MS, issuer.maxTokenLifetimeMs);
    const token = await mintToken(issuer, { claims: options.claims, now: io.now(), expiresInMs, jti: randomUUID() });
    io.stdout.write(`${token}\n`);
    return 0;
  } catch (error) {
    if (!isExpected(error)) throw error;
    io.stderr.write(`portcullis token: ${error.message}\n`);
    return 2;
  }
}

interface TokenOptions {
  readonly source:
    | { readonly kind: 'State'; readonly directory: string }
    | { readonly kind: 'Kube'; readonly flags: ClusterFlags };
  readonly keySet: string;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly expiresInMs: number | undefined;
}

function parseOptions(argv: readonly string[]): TokenOptions | null {
  const values = parseFlags(argv, FLAGS, MORE).values;
  if (values.help) return null;
  const { state, kube = false, 'key-set': keySet, claims, 'expires-in': expiresIn } = values;
  if (state !== undefined && kube) throw usage(`--state and --kube exclude each other; ${MORE}`);
  if ((state === undefined && !kube) || keySet === undefined || claims === undefined) {
    const source = kube ? '--kube' : state;
    const missing = Object.entries({
      '--state DIR or --kube': source,
      '--key-set NAME': keySet,
      '--claims JSON': claims,
    });
    const names = missing.flatMap(([name, value]) => (value === undefined ? [name] : []));
    throw usage(`missing ${names.join(', ')}; ${MORE}`);
  }
  const { namespace, kubeconfig, context, 'operator-namespace': operatorNamespace } = values;
  return {
    source:
      state === undefined
        ? { kind: 'Kube', flags: { namespace, kubeconfig, context, operatorNamespace } }
        : { kind: 'State', directory: state },
    keySet,
    claims: parseClaims(claims),
    expiresInMs: expiresIn === undefined ? undefined : parseLifetime(expiresIn),
  };
}

/** Loaded when used: the client of a cluster takes longer to load than a token to make. */
async function loadClusterIssuer(flags: ClusterFlags, keySet: string): Promise<TokenIssuer> {
  const { clusterIssuer } = await import('./cluster-issuer.ts');
  return clusterIssuer(flags, keySet);
}

function parseClaims(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw usage(`--claims must be JSON, such as '{"sub":"u1","roles":["trader"]}'`, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw usage(`--claims must be a JSON object, such as '{"sub":"u1","roles":["trader"]}'`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function parseLifetime(text: string): number {
  const parsed = parseDuration(text);
  if (parsed === undefined)
    throw usage(`--expires-in must be a duration such as 90s, 5m or 1h30m, not ${JSON.stringify(text)}`);
  return parsed;
}

function usage(message: string, cause?: unknown): PortcullisError {
  return new PortcullisError('config_invalid', message, cause === undefined ? {} : { cause });
}
