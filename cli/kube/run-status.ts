import type { CommandIo } from '../token/run-token.ts';
import { runKubeCommand, usage } from './command.ts';
import { KUBE_HELP } from './kube-flag-names.ts';
import { readNamespace, serviceNamed } from './read-namespace.ts';
import { type PodReport, reportOf, type ServiceReport } from './report.ts';
import { table } from './table.ts';

const HELP = `portcullis status [svc/NAME] [-o json]

Which Services of a namespace are guarded, by which policies, and how each of their pods stands.

  -o, --output FORMAT    json; default: text
${KUBE_HELP}
  --help                 this text

Exit code: 0 when every pod enforces its policies and is protected, 1 when not, 2 when it could not be found out.
`;

/** The command `portcullis status`. Resolves to the exit code; see HELP. */
export function runStatus(argv: readonly string[], io: CommandIo): Promise<number> {
  return runKubeCommand(
    {
      name: 'status',
      help: HELP,
      flags: { output: { type: 'string', short: 'o' } },
      arguments: ['[svc/NAME]'],
      async run({ client, namespace }, [argument], { output }) {
        if (output !== undefined && output !== 'json') throw usage(`-o must be json, not ${JSON.stringify(output)}`);
        const service = argument === undefined ? null : serviceNamed(argument);
        const all = reportOf(await readNamespace(client, namespace, service));
        const report = all.filter((one) => service === null || one.service === service);
        io.stdout.write(output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : textOf(report, namespace));
        return report.length > 0 && report.every(({ pods }) => pods.every(isWell)) ? 0 : 1;
      },
    },
    argv,
    io,
  );
}

/** Whether a pod enforces its policies, and nothing goes round the sidecar. */
function isWell({ enforced, protected: isProtected }: PodReport): boolean {
  return enforced === 'yes' && isProtected === 'yes';
}

function textOf(report: readonly ServiceReport[], namespace: string): string {
  if (report.length === 0) {
    return `Nothing in namespace ${namespace} is guarded. Annotate a Service: kubectl annotate -n ${namespace} svc/NAME portcullis.dev/access-policy=POLICY\n`;
  }
  return report.map(serviceText).join('\n');
}

function serviceText({ service, policies, pods }: ServiceReport): string {
  const policyRows = policies.map(({ kind, name, mode, state, message }) => [`  ${kind}`, name, mode, state, message]);
  const podRows = pods.map((pod) => [`  ${pod.name}`, pod.sidecar, pod.enforced, pod.protected, pod.why[0] ?? '']);
  const more = pods.flatMap(({ name, why }) => why.slice(1).map((line) => `  ${name}: ${line}\n`));
  return [
    `svc/${service}\n`,
    table(policyRows),
    pods.length === 0 ? '  no pods\n' : table([['  POD', 'SIDECAR', 'ENFORCED', 'PROTECTED', 'WHY'], ...podRows]),
    ...more,
  ].join('');
}
