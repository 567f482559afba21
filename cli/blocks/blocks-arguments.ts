import { usage } from '../kube/command.ts';
import { KUBE_HELP } from '../kube/kube-flag-names.ts';

/** What `portcullis blocks --help` prints. */
export const BLOCKS_HELP = `portcullis blocks [svc/NAME | pod/NAME] [-o json]
portcullis blocks clear SUBJECT [svc/NAME | pod/NAME]
portcullis blocks clear --all [svc/NAME | pod/NAME]

Whom the RateLimitPolicies of a namespace block or slow down, why, and until when; or ends that, in all pods that share a store.
SUBJECT is what the list shows: ip=192.0.2.7, user=ann, login=ann, anonymous=192.0.2.7, ….

  --all                  with clear: all of them
  --control PATH         ask the process of portcullis local --control PATH instead of pods
  -o, --output FORMAT    json; default: text
${KUBE_HELP}
  --help                 this text

Runs a command in the sidecars (create on pods/exec). Exit code: 0, 1 when some pod could not be asked or its store did not answer, 2 when
it was called wrongly.
`;

/** Whose sidecars are asked; null: all of the namespace. */
export type Where = { readonly kind: 'service' | 'pod'; readonly name: string } | null;

/** What was asked for. */
export interface BlocksArguments {
  readonly where: Where;
  /** Null: list; else the arguments of the sidecar's own command. */
  readonly clear: { readonly subjects: readonly string[] | null } | null;
  readonly json: boolean;
}

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** Flags besides those of every command. */
export const BLOCKS_FLAGS = {
  all: { type: 'boolean' },
  control: { type: 'string' },
  output: { type: 'string', short: 'o' },
} as const;

/** Reads the arguments. Throws `config_invalid`. */
export function blocksArguments(args: readonly string[], { all, output }: Values): BlocksArguments {
  if (output !== undefined && output !== 'json') throw usage(`-o must be json, not ${JSON.stringify(output)}`);
  const json = output === 'json';
  if (args[0] !== 'clear') {
    if (all === true) throw usage('--all goes with clear');
    if (args.length > 1) throw usage(`one of svc/NAME and pod/NAME, or clear, not ${args.length} arguments`);
    return { where: whereOf(args[0]), clear: null, json };
  }
  const [, first, second] = args;
  if (all === true) {
    if (second !== undefined) throw usage('write either what to clear or --all');
    return { where: whereOf(first), clear: { subjects: null }, json };
  }
  if (first === undefined) throw usage('write what to clear, as the list shows it (such as ip=192.0.2.7), or --all');
  if (!first.includes('='))
    throw usage(`${JSON.stringify(first)} is no subject; write one as the list shows it, such as ip=192.0.2.7`);
  return { where: whereOf(second), clear: { subjects: [first] }, json };
}

function whereOf(text: string | undefined): Where {
  if (text === undefined) return null;
  const [, kind = '', name = ''] = /^([a-z]+)\/([a-z0-9.-]+)$/.exec(text) ?? [];
  if (['svc', 'service', 'services'].includes(kind)) return { kind: 'service', name };
  if (['pod', 'pods', 'po'].includes(kind)) return { kind: 'pod', name };
  throw usage(`write svc/NAME or pod/NAME, not ${JSON.stringify(text)}`);
}
