import { parseArgs } from 'node:util';

/** How large the cluster is and how long it is looked at. */
export interface OperatorBenchOptions {
  readonly policies: number;
  readonly services: number;
  readonly pods: number;
  /** How long requests and processor time at rest are counted, whole seconds. */
  readonly restSeconds: number;
  /** Edits of each kind. */
  readonly edits: number;
}

/** What `--help` prints. */
export const USAGE = `usage: node bench/operator/main.ts [options]

Runs the operator on a real kube-apiserver that holds a cluster's objects, with simulated sidecars that acknowledge
bundles as pods do. Prints Markdown tables. Takes about 5 minutes.

  --policies N   AccessPolicies (default 1000)
  --services N   Services, each annotated (default 500)
  --pods N       pods, injected as the webhook does it (default 2000, at most 60000)
  --secs N       how long it is watched at rest (default 120)
  --edits N      edits of each kind (default 5)
  --help         this text
`;

/** Reads the command line; 'help' when that is asked for. Throws an Error that says what to write instead. */
export function parseOptions(args: readonly string[]): OperatorBenchOptions | 'help' {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: { policies: text, services: text, pods: text, secs: text, edits: text, help: { type: 'boolean' } },
  });
  if (values.help) return 'help';
  return {
    policies: positive('--policies', values.policies ?? '1000'),
    services: positive('--services', values.services ?? '500'),
    pods: positive('--pods', values.pods ?? '2000'),
    restSeconds: positive('--secs', values.secs ?? '120'),
    edits: positive('--edits', values.edits ?? '5'),
  };
}

function positive(option: string, value: string): number {
  const number = Number(value);
  if (!/^[1-9]\d*$/.test(value) || number > 60_000) {
    throw new Error(`${option}: write a whole number from 1 to 60000, not "${value}"`);
  }
  return number;
}
