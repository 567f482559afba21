import { hasSidecar } from '../../operator/injection/injected.ts';
import { execInPod } from '../../operator/kube/exec.ts';
import { PODS, type Pod, SERVICES } from '../../operator/kube/objects.ts';
import { selects } from '../../operator/workloads/coverage-ports.ts';
import { isEnding } from '../../operator/workloads/pod-view.ts';
import { SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { isExpected } from '../expected-error.ts';
import type { KubeTarget } from '../kube/connect.ts';
import type { BlocksArguments, Where } from './blocks-arguments.ts';

/** What the sidecar of one pod said, or why it did not. */
export interface PodAnswer {
  readonly pod: string;
  readonly report: unknown;
  readonly error: string | null;
}

const PROGRAM = ['/usr/local/bin/node', '/app/sidecar.mjs', 'blocks'];
const AT_ONCE = 8;

/** Asks the sidecar of each pod that is meant. Throws `config_invalid` where there is none. */
export async function askPods(target: KubeTarget, { where, clear }: BlocksArguments): Promise<readonly PodAnswer[]> {
  const { kubeConfig, namespace } = target;
  const pods = await podsOf(target, where);
  // A subject may begin with anything; after -- it is no flag.
  const command = [
    ...PROGRAM,
    ...(clear === null ? [] : ['clear', ...(clear.subjects === null ? ['--all'] : ['--', ...clear.subjects])]),
  ];
  const answers: PodAnswer[] = [];
  for (let at = 0; at < pods.length; at += AT_ONCE) {
    const some = pods.slice(at, at + AT_ONCE).map(async (pod): Promise<PodAnswer> => {
      try {
        const { stdout, stderr } = await execInPod(kubeConfig, {
          namespace,
          pod,
          container: SIDECAR_CONTAINER,
          command,
        });
        return stdout === ''
          ? { pod, report: null, error: stderr.trim() }
          : { pod, report: JSON.parse(stdout), error: null };
      } catch (error) {
        if (!isExpected(error) && !(error instanceof SyntaxError)) throw error;
        return { pod, report: null, error: error.message };
      }
    });
    answers.push(...(await Promise.all(some)));
  }
  return answers;
}

async function podsOf({ client, namespace }: KubeTarget, where: Where): Promise<readonly string[]> {
  const [{ items: pods }, { items: services }] = await Promise.all([
    client.list(PODS, { namespace }),
    client.list(SERVICES, { namespace }),
  ]);
  const service = where?.kind === 'service' ? services.find(({ metadata }) => metadata.name === where.name) : undefined;
  const known = (names: readonly { readonly metadata: { readonly name: string } }[]): string =>
    names.map(({ metadata }) => metadata.name).join(', ') || 'none';
  if (where?.kind === 'service' && service === undefined) {
    throw new PortcullisError(
      'config_invalid',
      `no Service ${where.name} in ${namespace}; there are: ${known(services)}`,
    );
  }
  const guarded = pods.filter((pod: Pod) => hasSidecar(pod) && !isEnding(pod) && pod.status?.phase === 'Running');
  const meant = guarded.filter((pod: Pod) =>
    service !== undefined ? selects(service, pod) : where === null || pod.metadata.name === where.name,
  );
  if (meant.length === 0) {
    const whose = where === null ? '' : ` of ${where.kind} ${where.name}`;
    throw new PortcullisError(
      'config_invalid',
      `no running pod${whose} in ${namespace} has a sidecar; those that have one: ${known(guarded)}`,
    );
  }
  return meant.map(({ metadata }: Pod) => metadata.name);
}
