import { SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import { refusalsOf } from '../injection/inject-pod.ts';
import type { Injected } from '../injection/injected.ts';
import type { Container, Pod } from '../kube/objects.ts';
import { type CoverageInput, coverageOf } from './coverage.ts';

/** Something in which a running pod differs from what would be injected now. */
export type InjectionChange =
  | 'Removed'
  | 'AccessPolicy'
  | 'RateLimitPolicy'
  | 'Candidates'
  | 'Capture'
  | 'IssueTokens'
  | 'TlsSecret'
  | 'Ports'
  | 'BundleKey'
  | 'Refusal';

/**
 * What a restart would change in a pod that was injected; empty: nothing. `bundleKey` is the fingerprint of the key now in use. An
 * image that is newer is no reason: the upgrade says so itself.
 */
export function injectionChanges(input: CoverageInput, injected: Injected, bundleKey: string): InjectionChange[] {
  const now = coverageOf({ ...input, pod: beforeInjection(input.pod, injected) });
  if (now.settings === null) return ['Removed'];
  const ports = (list: readonly { readonly port: number; readonly name: string | null }[]): string =>
    list
      .map(({ port, name }) => `${port} ${name ?? ''}`)
      .sort()
      .join();
  const changes: readonly [InjectionChange, boolean][] = [
    ['AccessPolicy', now.settings.accessPolicy !== injected.accessPolicy],
    ['RateLimitPolicy', now.settings.rateLimitPolicy !== injected.rateLimitPolicy],
    ['Candidates', JSON.stringify(now.settings.candidates) !== JSON.stringify(injected.candidates)],
    ['Capture', now.settings.capture !== injected.capture],
    ['IssueTokens', now.settings.issueTokens !== injected.issueTokens],
    ['TlsSecret', now.settings.tlsSecret !== injected.tlsSecret],
    ['Ports', ports(now.ports) !== ports(injected.ports)],
    ['BundleKey', bundleKey !== injected.bundleKey],
    ['Refusal', refusalsOf(now).join() !== injected.refuse.join()],
  ];
  return changes.filter(([, isChanged]) => isChanged).map(([change]) => change);
}

/** The pod without the sidecar and with its ports' names where they were: what coverage is computed from. */
function beforeInjection(pod: Pod, { ports }: Injected): Pod {
  if (pod.spec === undefined) return pod;
  const named = (container: Container): Container => ({
    ...container,
    ports: (container.ports ?? []).flatMap((port) => {
      const moved = ports.filter(({ port: number, name }) => number === port.containerPort && name !== null);
      if (port.name !== undefined || moved.length === 0) return [port];
      return moved.map(({ name }) => ({ ...port, name: name! }));
    }),
  });
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: pod.spec.containers.map(named),
      initContainers: (pod.spec.initContainers ?? []).filter(({ name }) => name !== SIDECAR_CONTAINER).map(named),
    },
  };
}
