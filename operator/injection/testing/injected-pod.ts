import { parseSidecarArguments, type SidecarArguments } from '../../../runtime/sidecar-arguments.ts';
import type { Container, Pod, Service } from '../../kube/objects.ts';
import { coverageOf } from '../../workloads/coverage.ts';
import { APP, coverageInput, examplePod, exampleService, TEMPLATE } from '../../workloads/testing/coverage-objects.ts';
import { type InjectionOptions, injectPod } from '../inject-pod.ts';

/** How the examples are injected. */
export const OPTIONS: InjectionOptions = {
  namespace: 'shop',
  sidecar: TEMPLATE,
  bundleKey: 'AAAA',
  serials: { access: 3, limits: 4, issuer: 5 },
};

/** Annotations that ask, in Takeover and in Bind. */
export const ASK = { 'access-policy': 'orders' };
export const BIND = { ...ASK, capture: 'Bind' };

/** The pod after injection, with Services in its namespace; without: one that asks. */
export function inject(
  original: Pod,
  services: readonly Service[] = [exampleService('web', ASK)],
  options = OPTIONS,
): Pod {
  return injectPod(original, coverageOf(coverageInput({ pod: original, services })), options);
}

/** A container of any kind, by its name. */
export function container(of: Pod, name = 'app'): Container {
  return [...(of.spec?.containers ?? []), ...(of.spec?.initContainers ?? [])].find((each) => each.name === name)!;
}

/** A pod of the trading API with more members in its container. */
export function app(parts: Partial<Container>): Pod {
  return examplePod({}, { containers: [{ ...APP, ...parts }] });
}

/** The sidecar's arguments as it reads them, with the pod's address put in as Kubernetes does. */
export function argumentsOf(of: Pod, address = '10.0.0.7'): SidecarArguments {
  const args = container(of, 'portcullis').args ?? [];
  return parseSidecarArguments(args.map((arg) => arg.replaceAll('$(POD_IP)', address)));
}
