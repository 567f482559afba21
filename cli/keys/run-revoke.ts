import { type KubeClient, KubeError } from '../../operator/kube/kube-client.ts';
import { SIGNING_KEY_SETS } from '../../operator/resources.ts';
import { didYouMean } from '../../policy/api/nearest.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { runKubeCommand, usage } from '../kube/command.ts';
import { KUBE_HELP } from '../kube/kube-flag-names.ts';
import type { CommandIo } from '../token/run-token.ts';
import { decodeKeySet, findKeySet, type KeySetObject } from './find-key-set.ts';
import { isJson } from './output-flag.ts';
import { revocationEffect } from './revocation-effect.ts';

const HELP = `portcullis revoke NAME KID --reason TEXT [--yes] [--unknown] [-o json]

Revokes a key of a SigningKeySet for ever: says what follows, asks, and appends it to spec.revocations.

  --reason TEXT          why, for people; it stands in the resource and in Events
  --yes                  do not ask
  --unknown              also a KID that the key set does not have, so that it can never come back
  -o, --output FORMAT    json; default: text
${KUBE_HELP}
  --help                 this text

Exit code: 0 when the key is revoked, 1 when you said no, 2 when it could not be revoked.
`;

/** Writers that are first, one after the other, more than there can be by chance. */
const MAX_ATTEMPTS = 20;

/** What the command also reads: the answer to its question. */
export interface RevokeIo extends CommandIo {
  readonly stdin: AsyncIterable<Uint8Array> & { readonly isTTY?: boolean };
}

/** What `revoke` was asked to do. */
export interface RevokeOptions {
  readonly namespace: string;
  /** NAME or sks/NAME. */
  readonly keySet: string;
  readonly kid: string;
  readonly reason: string;
  /** Also a kid that the key set does not have. */
  readonly isUnknownAllowed: boolean;
  readonly json: boolean;
  /** Asks a person; null: nobody needs to be asked. */
  readonly confirm: ((question: string) => Promise<boolean>) | null;
}

interface Revocation {
  readonly kid: string;
  readonly reason?: string;
}

/** The command `portcullis revoke`. Resolves to the exit code; see HELP. */
export function runRevoke(argv: readonly string[], io: RevokeIo): Promise<number> {
  return runKubeCommand(
    {
      name: 'revoke',
      help: HELP,
      flags: {
        reason: { type: 'string' },
        yes: { type: 'boolean' },
        unknown: { type: 'boolean' },
        output: { type: 'string', short: 'o' },
      },
      arguments: ['NAME', 'KID'],
      run: ({ client, namespace }, [keySet = '', kid = ''], { reason, yes, unknown, output }, plain) => {
        if (reason === undefined || reason === '')
          throw usage('--reason TEXT is required: why, for those who come after');
        if (!yes && io.stdin.isTTY !== true) throw usage('it would ask, but standard input is no terminal; add --yes');
        const confirm = async (question: string) => {
          plain.stderr.write(question);
          return /^y(es)?$/i.test(await firstLine(io.stdin));
        };
        const options = { namespace, keySet, kid, reason: String(reason), isUnknownAllowed: unknown === true };
        return revoke(client, { ...options, json: isJson(output), confirm: yes ? null : confirm }, plain);
      },
    },
    argv,
    io,
  );
}

/** Revokes a key. Resolves to the exit code. Throws `config_invalid`, and KubeError when the API server refuses. */
export async function revoke(
  client: Pick<KubeClient, 'get' | 'list' | 'patch'>,
  options: RevokeOptions,
  { stdout, stderr, now }: CommandIo,
): Promise<number> {
  const { kid, reason, json } = options;
  const object = await findKeySet(client, options.namespace, options.keySet);
  const where = `${object.metadata.namespace}/${object.metadata.name}`;
  const people = json ? stderr : stdout;
  const effect = revocationEffect(decodeKeySet(object), object.status ?? {}, kid, now());
  let isNew = false;
  if (revocationsOf(object).some((revocation) => revocation.kid === kid)) {
    people.write(`${where}: key ${kid} is revoked already\n`);
  } else {
    if (effect.state === null && !options.isUnknownAllowed) throw unknownKid(object, where, kid);
    stderr.write([`${where}: key ${kid} is to be revoked for ever`, ...effect.lines].join('\n  ').concat('\n'));
    if (options.confirm !== null && !(await options.confirm('Revoke it? [y/N] '))) {
      stderr.write('portcullis revoke: nothing was changed\n');
      return 1;
    }
    isNew = await append(client, object, { kid, reason });
    people.write(`${where}: key ${kid} revoked\n`);
    stderr.write(toCommit(kid, reason));
  }
  const { state, successor } = effect;
  const { namespace, name } = object.metadata;
  if (json) stdout.write(`${JSON.stringify({ namespace, name, kid, state, successor, isNew }, null, 2)}\n`);
  return 0;
}

/** Appends a revocation and loses nobody else's; false when it was there by then. */
async function append(
  client: Pick<KubeClient, 'get' | 'patch'>,
  object: KeySetObject,
  revocation: Revocation,
): Promise<boolean> {
  const { name, namespace = '', uid } = object.metadata;
  let latest = object;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const before = revocationsOf(latest);
    if (before.some(({ kid }) => kid === revocation.kid)) return false;
    try {
      // The list is replaced whole, so only if nothing has changed since it was read.
      const { resourceVersion } = latest.metadata;
      const patch = { metadata: { resourceVersion }, spec: { revocations: [...before, revocation] } };
      await client.patch(SIGNING_KEY_SETS, { namespace, name }, patch);
      return true;
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === 'Conflict')) throw error;
    }
    const again = await client.get(SIGNING_KEY_SETS, { namespace, name });
    if (again === null || again.metadata.uid !== uid) {
      throw new PortcullisError('config_invalid', `${namespace}/${name} was deleted meanwhile; nothing was revoked`);
    }
    latest = again;
  }
  const message = `others keep changing ${namespace}/${name}; nothing was revoked, try again`;
  throw new PortcullisError('config_invalid', message, { retry: 'later' });
}

function revocationsOf({ spec }: KeySetObject): readonly Revocation[] {
  return (spec as { readonly revocations?: readonly Revocation[] } | undefined)?.revocations ?? [];
}

function unknownKid({ status }: KeySetObject, where: string, kid: string): PortcullisError {
  const keys = status?.keys ?? [];
  const hint = didYouMean(
    kid,
    keys.map((key) => key.kid),
  );
  const has = keys.length === 0 ? 'none yet' : keys.map((key) => `${key.kid} (${key.state})`).join(', ');
  const problem = `${where} has no key ${kid}${hint}; it has ${has}. To revoke it all the same, add --unknown`;
  return new PortcullisError('config_invalid', problem);
}

/** JSON strings are YAML. */
function toCommit(kid: string, reason: string): string {
  return `If this resource comes from Git, commit these lines too, or the next sync is refused or undoes the revocation:
spec:
  revocations:
    - kid: ${JSON.stringify(kid)}
      reason: ${JSON.stringify(reason)}
`;
}

async function firstLine(input: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const chunk of input) {
    text += Buffer.from(chunk).toString('utf8');
    if (text.includes('\n')) break;
  }
  return text.split('\n', 1)[0]!.trim();
}
