import { readFile } from 'node:fs/promises';
import { text as readText } from 'node:stream/consumers';
import { parseDuration } from '../../policy/api/duration.ts';
import { SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { parseCompactJws } from '../../sidecar/tokens/parse-compact-jws.ts';
import { isExpected } from '../expected-error.ts';
import { KUBE_FLAGS, KUBE_HELP } from '../kube/kube-flag-names.ts';
import { parseFlags } from '../parse-flags.ts';
import type { CommandIo } from '../token/run-token.ts';

const HELP = `portcullis revoke-token (--pod POD | --redis URL --key-set NAMESPACE/NAME) WHAT

Refuses tokens before they end, wherever a policy with authentication.revocation accepts them. WHAT is one of

  --token-file FILE      one token, by its jti; - reads standard input. It need not be valid, and never leaves this machine
  --jti JTI              likewise, by its jti
  --subject SUB          all tokens of a subject that were issued before --not-before
    --not-before INSTANT an RFC 3339 instant such as 2026-11-21T09:00:00Z (default: now)

  --pod POD              asks the sidecar of this pod, which knows the store: any pod whose policy accepts the tokens
  --issuer ISS           with --pod: of this issuer alone (default: the token's, else every issuer of the pod's policy)
  --redis URL            writes to the store itself
  --key-set NS/NAME      with --redis: the key set of the tokens, or external:ISSUER of an issuer outside
  --lifetime DURATION    with --redis: how long a token may live (maxTokenLifetime; default 24h)
With --pod:
${KUBE_HELP}
  --help                 this text

Exit code: 0 when they are revoked everywhere, 1 when the store did not take it, 2 when it was called wrongly.
`;

const MORE = 'see portcullis revoke-token --help';
const PROGRAM = ['/usr/local/bin/node', '/app/sidecar.mjs', 'revoke'];
/** Clocks of issuers and verifiers may be apart by this much, and a little more. */
const CLOCK_MARGIN_MS = 300_000;
const STORE_DEADLINE_MS = 5_000;
const STORE_RETRY_MS = 100;

const FLAGS = {
  ...KUBE_FLAGS,
  pod: { type: 'string' },
  redis: { type: 'string' },
  'key-set': { type: 'string' },
  lifetime: { type: 'string' },
  'token-file': { type: 'string' },
  jti: { type: 'string' },
  subject: { type: 'string' },
  'not-before': { type: 'string' },
  issuer: { type: 'string' },
  help: { type: 'boolean' },
} as const;

/** What the command also reads: a token. */
export interface RevokeTokenIo extends CommandIo {
  readonly stdin: AsyncIterable<Uint8Array>;
}

/** Which tokens. */
interface What {
  readonly jti: string | null;
  /** Epoch milliseconds. */
  readonly expiresAt: number | null;
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly notBefore: number | null;
}

/** The command `portcullis revoke-token`. Resolves to the exit code; see HELP. */
export async function runRevokeToken(argv: readonly string[], io: RevokeTokenIo): Promise<number> {
  try {
    const { values } = parseFlags(argv, FLAGS, MORE);
    if (values.help) {
      io.stdout.write(HELP);
      return 0;
    }
    const { pod, redis, lifetime, issuer, 'key-set': keySet } = values;
    if ((pod === undefined) === (redis === undefined)) throw usage('give --pod POD or --redis URL');
    if (redis !== undefined && keySet === undefined) throw usage('--redis needs --key-set NAMESPACE/NAME');
    if (redis === undefined && (keySet ?? lifetime) !== undefined)
      throw usage('--key-set and --lifetime belong to --redis; a pod knows its own');
    if (redis !== undefined && issuer !== undefined) throw usage('--issuer belongs to --pod; --key-set says whose');
    const what = await readWhat(values, io);
    return await (redis === undefined
      ? revokeInPod(String(pod), what, values, io)
      : revokeInRedis(redis, String(keySet), what, lifetime ?? '24h', io));
  } catch (error) {
    if (!isExpected(error)) throw error;
    io.stderr.write(`portcullis revoke-token: ${error.message}\n`);
    return 2;
  }
}

interface WhatFlags {
  readonly 'token-file'?: string | undefined;
  readonly jti?: string | undefined;
  readonly subject?: string | undefined;
  readonly 'not-before'?: string | undefined;
  readonly issuer?: string | undefined;
}

async function readWhat(flags: WhatFlags, io: RevokeTokenIo): Promise<What> {
  const { 'token-file': file, jti, subject, 'not-before': from, issuer = null } = flags;
  if ([file, jti, subject].filter((flag) => flag !== undefined).length !== 1) {
    throw usage('give one of --token-file FILE, --jti JTI and --subject SUB');
  }
  if ([jti, subject].includes('')) throw usage('an empty --jti or --subject is that of no token');
  if (from !== undefined && subject === undefined) throw usage('--not-before belongs to --subject');
  const what = { jti: jti ?? null, expiresAt: null, issuer, subject: subject ?? null, notBefore: instantOf(from, io) };
  return file === undefined ? what : { ...what, ...(await readToken(file, io)) };
}

/** What a token says of itself; whether it is good is not asked: who may revoke may revoke by jti, too. */
async function readToken(file: string, { stdin }: RevokeTokenIo): Promise<Pick<What, 'jti' | 'expiresAt' | 'issuer'>> {
  const token = (await (file === '-' ? readText(stdin as AsyncIterable<Buffer>) : readTextFile(file))).trim();
  const jws = parseCompactJws(token);
  if (typeof jws === 'string') throw usage('that is no JSON Web Token: three parts of base64url with dots between');
  const { jti, exp, iss, sub } = jws.claims;
  if (typeof jti !== 'string' || jti === '') {
    const instead =
      typeof sub === 'string' ? `; revoke all tokens of its subject: --subject ${JSON.stringify(sub)}` : '';
    throw usage(`the token has no jti${instead}`);
  }
  const expiresAt = typeof exp === 'number' && Number.isSafeInteger(Math.ceil(exp)) ? Math.ceil(exp) * 1_000 : null;
  return { jti, expiresAt, issuer: typeof iss === 'string' ? iss : null };
}

async function readTextFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new PortcullisError('config_invalid', `${path}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
}

function instantOf(text: string | undefined, { now }: CommandIo): number | null {
  if (text === undefined) return null;
  const instant = /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(instant)) throw usage('--not-before must be an instant such as 2026-11-21T09:00:00Z');
  if (instant > now())
    throw usage('--not-before lies in the future: tokens that are yet to be issued would be refused');
  return instant;
}

async function revokeInPod(
  pod: string,
  { jti, expiresAt, issuer, subject, notBefore }: What,
  flags: { readonly kubeconfig?: string; readonly context?: string; readonly namespace?: string },
  io: CommandIo,
): Promise<number> {
  const [{ connectTo }, { execInPod }] = await Promise.all([
    import('../kube/connect.ts'),
    import('../../operator/kube/exec.ts'),
  ]);
  const { kubeConfig, namespace } = connectTo(flags);
  const given = { jti, 'expires-at': expiresAt, issuer, subject, 'not-before': notBefore };
  // One argument each: a jti may begin with a dash.
  const command = [
    ...PROGRAM,
    ...Object.entries(given).flatMap(([flag, value]) => (value === null ? [] : [`--${flag}=${value}`])),
  ];
  const name = pod.replace(/^pods?\//, '');
  const result = await execInPod(kubeConfig, { namespace, pod: name, container: SIDECAR_CONTAINER, command });
  io.stdout.write(result.stdout);
  io.stderr.write(result.stderr);
  return result.exitCode;
}

async function revokeInRedis(
  redisUrl: string,
  group: string,
  { jti, expiresAt, subject, notBefore }: What,
  lifetime: string,
  { now, stdout, stderr }: CommandIo,
): Promise<number> {
  if (!/^(external:.+|[a-z0-9-]+\/[a-z0-9.-]+)$/.test(group))
    throw usage('--key-set must be NAMESPACE/NAME, such as default/trading, or external:ISSUER');
  const lifetimeMs = parseDuration(lifetime);
  if (lifetimeMs === undefined) throw usage('--lifetime must be a duration such as 1h');
  const { openStores } = await import('../../sidecar/stores/open-stores.ts');
  // A group of its own: nobody's limits are divided by one more.
  const own = 'portcullis/revoke-token';
  const stores = await openStores(
    { redisUrl },
    { groups: { access: own, limits: own }, replica: `revoke-token-${process.pid}`, maxStalenessMs: 1_000, now },
  );
  const at = now();
  const from = notBefore ?? at;
  const revoke = (): Promise<boolean> => {
    const revocations = stores.revocationsOf(group);
    if (subject !== null) return revocations.revokeSubject(subject, from, from + lifetimeMs + CLOCK_MARGIN_MS, at);
    return revocations.revokeToken(jti ?? '', (expiresAt ?? at + lifetimeMs) + CLOCK_MARGIN_MS, at);
  };
  try {
    for (const deadline = Date.now() + STORE_DEADLINE_MS; !(await revoke()); ) {
      if (Date.now() > deadline) {
        stderr.write('portcullis revoke-token: the store does not answer; nothing is revoked\n');
        return 1;
      }
      await new Promise((resolve) => setTimeout(resolve, STORE_RETRY_MS));
    }
  } finally {
    await stores.close();
  }
  stdout.write(`revoked with ${group}\n`);
  return 0;
}

function usage(message: string): PortcullisError {
  return new PortcullisError('config_invalid', `${message}; ${MORE}`);
}
