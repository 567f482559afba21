import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpsKubeClient } from '../../operator/kube/https-kube-client.ts';
import type { KubeObject, Pod } from '../../operator/kube/objects.ts';
import { selects } from '../../operator/workloads/coverage-ports.ts';
import { injectedOf, isEnding } from '../../operator/workloads/pod-view.ts';
import { isRestartable, ownerFinder, restart } from '../../operator/workloads/rollout.ts';
import { parseDuration } from '../../policy/api/duration.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { CommandIo } from '../token/run-token.ts';
import { runKubeCommand, usage } from './command.ts';
import { KUBE_HELP } from './kube-flag-names.ts';
import { readNamespace, serviceNamed } from './read-namespace.ts';
import { reportOf, type ServiceReport } from './report.ts';

const HELP = `portcullis protect svc/NAME [--timeout DURATION]

Restarts what runs the Service's pods, as kubectl rollout restart does, and waits until every pod enforces its policies.

  --timeout DURATION     how long to wait (default: 5m)
${KUBE_HELP}
  --help                 this text

Exit code: 0 when every pod enforces its policies, 1 when that did not come in time, 2 when nothing could be restarted.
`;

const POLL_MS = 500;

/** The command `portcullis protect`. Resolves to the exit code; see HELP. */
export function runProtect(argv: readonly string[], io: CommandIo): Promise<number> {
  return runKubeCommand(
    {
      name: 'protect',
      help: HELP,
      flags: { timeout: { type: 'string', default: '5m' } },
      arguments: ['svc/NAME'],
      async run({ client, namespace }, [argument = ''], { timeout }) {
        const timeoutMs = parseDuration(String(timeout));
        if (timeoutMs === undefined) throw usage(`--timeout must be a duration such as 90s or 5m, not ${timeout}`);
        const service = serviceNamed(argument);
        const before = await readNamespace(client, namespace, service);
        const selected = before.services.find(({ metadata }) => metadata.name === service)!;
        const pods = before.pods.filter((pod) => !isEnding(pod) && selects(selected, pod));
        if (!reportOf(before).some((report) => report.service === service)) {
          const how = `kubectl annotate -n ${namespace} svc/${service} portcullis.dev/access-policy=POLICY`;
          throw new PortcullisError('config_invalid', `svc/${service} asks for no policy; first: ${how}`);
        }
        await restartOwners(client, pods, io);
        const old = new Set(pods.map(({ metadata }) => metadata.uid));
        return waitUntilEnforced(client, namespace, service, old, io.now() + timeoutMs, io);
      },
    },
    argv,
    io,
  );
}

async function restartOwners(client: HttpsKubeClient, pods: readonly Pod[], io: CommandIo): Promise<void> {
  const ownerOf = ownerFinder(client);
  const owners = new Map<string | undefined, KubeObject>();
  const lone: string[] = [];
  for (const pod of pods) {
    const owner = await ownerOf(pod);
    if (isRestartable(owner.kind)) owners.set(owner.metadata.uid, owner);
    else lone.push(pod.metadata.name);
  }
  if (lone.length > 0) {
    const problem = `these pods belong to nothing that can be restarted: ${lone.join(', ')}; delete and create them again`;
    throw new PortcullisError('config_invalid', problem);
  }
  if (owners.size === 0) throw new PortcullisError('config_invalid', 'the Service has no pods to protect');
  for (const owner of owners.values()) {
    await restart(client, owner, io.now());
    io.stderr.write(`restarted ${owner.kind!.toLowerCase()}/${owner.metadata.name}\n`);
  }
}

async function waitUntilEnforced(
  client: HttpsKubeClient,
  namespace: string,
  service: string,
  old: ReadonlySet<string | undefined>,
  deadline: number,
  io: CommandIo,
): Promise<number> {
  let said = '';
  for (;;) {
    const input = await readNamespace(client, namespace, service);
    const report = reportOf(input).find((one) => one.service === service);
    const isOver = !input.pods.some(({ metadata }) => old.has(metadata.uid));
    if (isOver && report !== undefined && report.pods.length > 0 && report.pods.every(isEnforced)) {
      const closed = report.pods.filter((pod) => pod.protected === 'yes').length;
      io.stdout.write(
        `svc/${service}: ${report.pods.length} pods enforce ${policyNames(report)}; ${closed} protected\n`,
      );
      return 0;
    }
    const line = progress(
      report,
      input.pods.filter((pod) => injectedOf(pod) === null && old.has(pod.metadata.uid)).length,
    );
    if (line !== said) io.stderr.write(`${line}\n`);
    said = line;
    if (io.now() > deadline) {
      io.stderr.write(`portcullis protect: not in time; see portcullis status svc/${service} -n ${namespace}\n`);
      return 1;
    }
    await sleep(POLL_MS);
  }
}

function isEnforced({ enforced }: ServiceReport['pods'][number]): boolean {
  return enforced === 'yes';
}

function policyNames({ policies }: ServiceReport): string {
  return policies.map(({ kind, name }) => `${kind} ${name}`).join(', ');
}

function progress(report: ServiceReport | undefined, plain: number): string {
  const pods = report?.pods ?? [];
  const first = pods.find((pod) => !isEnforced(pod));
  const why = first === undefined ? '' : `; ${first.name}: ${first.why[0] ?? `sidecar ${first.sidecar}`}`;
  return `${pods.filter(isEnforced).length} of ${pods.length} pods enforce, ${plain} still without a sidecar${why}`;
}
