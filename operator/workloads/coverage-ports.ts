import { SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import type { Capture } from '../config.ts';
import type { Container, ContainerPort, Pod, Service, ServicePort } from '../kube/objects.ts';
import type { CoveredPort, PortReason } from './coverage.ts';

/** A Service that asks for protection, and the ports of the pod that it leaves out (names or numbers). */
export interface AskingService {
  readonly service: Service;
  readonly skipPorts: readonly string[];
}

/** Which ports of a pod the sidecar takes over, and which not. */
export interface PortCoverage {
  readonly ports: readonly CoveredPort[];
  readonly skippedPorts: readonly { readonly port: number | string; readonly reason: PortReason }[];
  readonly warnings: readonly string[];
}

/** Protocols, as Kubernetes' and Istio's appProtocol names them, that are not HTTP/1.1. */
const OTHER_PROTOCOLS: ReadonlySet<string> = new Set(['grpc', 'h2c', 'kubernetes.io/h2c', 'tcp']);

/** Containers whose ports Services find: the main ones and native sidecars other than ours, in the order of the search. */
export function portContainers(pod: Pod): readonly Container[] {
  const native = (pod.spec?.initContainers ?? []).filter(
    ({ name, restartPolicy }) => restartPolicy === 'Always' && name !== SIDECAR_CONTAINER,
  );
  return [...(pod.spec?.containers ?? []), ...native];
}

/** Whether a Service ever routes to pods by their labels, and to this one. */
export function selects({ spec }: Service, pod: Pod): boolean {
  const selector = Object.entries(spec?.selector ?? {});
  if (selector.length === 0 || spec?.type === 'ExternalName') return false;
  return selector.every(([label, value]) => pod.metadata.labels?.[label] === value);
}

/** Whether traffic to a port of a Service is something that the sidecar can guard. */
export function isHttp({ protocol = 'TCP', appProtocol = '' }: ServicePort): boolean {
  return protocol === 'TCP' && !OTHER_PROTOCOLS.has(appProtocol.toLowerCase());
}

/** What a port of a Service follows in its pods: a name or a number. */
export function targetOf({ port, targetPort }: ServicePort): number | string {
  return targetPort ?? port;
}

/** What to change so that a Service with a numeric targetPort is guarded. `declared`: the name the container's port has, if any. */
export function numericTargetPort(service: Service, port: ServicePort, declared: string | undefined): string {
  const target = targetOf(port);
  const name = declared ?? 'http';
  return (
    `NumericTargetPort: Service ${service.metadata.name}: targetPort ${target} is a number and leads past the sidecar. ` +
    `In the container write ports: [{name: ${name}, containerPort: ${target}}], in the Service targetPort: ${name}; ` +
    'or annotate portcullis.dev/capture: Bind'
  );
}

/** Whether clients get the pods' own addresses from a Service's name. */
export function isHeadless({ spec }: Service): boolean {
  return spec?.clusterIP === 'None';
}

/** What to change so that the clients of a headless Service meet the sidecar. */
export function headlessInTakeover({ metadata }: Service): string {
  return `Service ${metadata.name} is headless: who dials a pod's own port goes past the sidecar; annotate portcullis.dev/capture: Bind`;
}

/** The ports that the asking Services target, in their order. */
export function targetedPorts(pod: Pod, services: readonly AskingService[], capture: Capture): PortCoverage {
  const found = new PortCollector(capture);
  const declared = declaredPorts(pod);
  // The first of a name or number counts.
  const first = new Map<number | string, ContainerPort>();
  for (const port of declared.toReversed()) {
    first.set(port.containerPort, port);
    if (port.name !== undefined) first.set(port.name, port);
  }
  for (const { service, skipPorts } of services) {
    for (const servicePort of service.spec?.ports ?? []) {
      const target = targetOf(servicePort);
      const isNamed = typeof target === 'string';
      const container = first.get(target);
      const number = isNamed ? container?.containerPort : target;
      if (!isHttp(servicePort)) found.skip(target, 'Protocol');
      else if (leftOut(skipPorts, number, isNamed ? target : container?.name)) found.skip(target, 'SkipPorts');
      else if (number === undefined) {
        const advice = `PortNotFound: Service ${service.metadata.name}: no container has a port named ${target}; write ports: [{name: ${target}, containerPort: NUMBER}]`;
        found.skip(target, 'PortNotFound', advice);
      } else if (!isNamed && capture === 'Takeover') {
        found.skip(target, 'NumericTargetPort', numericTargetPort(service, servicePort, container?.name));
      } else found.cover(number, isNamed ? target : null, service.metadata.name);
    }
  }
  return found.finish(declared);
}

/** Every TCP port that the pod declares, each number once: for pods that no Service selects. */
export function everyPort(pod: Pod, skipPorts: readonly string[], capture: Capture): PortCoverage {
  const found = new PortCollector(capture);
  const declared = declaredPorts(pod);
  const first = new Map<string, number>();
  for (const { name, containerPort } of declared.toReversed()) if (name !== undefined) first.set(name, containerPort);
  // A name leads to the first port that has it; another port of that name has none, as far as Services go.
  const named = declared.filter(({ name, containerPort }) => name !== undefined && first.get(name) === containerPort);
  const numbers = new Set(named.map(({ containerPort }) => containerPort));
  const unnamed = declared.filter(({ containerPort }) => !numbers.has(containerPort));
  for (const port of [...named, ...unnamed]) {
    const { name, containerPort } = port;
    if (leftOut(skipPorts, containerPort, name)) found.skip(name ?? containerPort, 'SkipPorts');
    else found.cover(containerPort, numbers.has(containerPort) ? (name ?? null) : null, null);
  }
  return found.finish([]);
}

function declaredPorts(pod: Pod): readonly ContainerPort[] {
  return portContainers(pod)
    .flatMap(({ ports = [] }) => ports)
    .filter(({ protocol = 'TCP' }) => protocol === 'TCP');
}

function leftOut(skipPorts: readonly string[], number: number | undefined, name: string | undefined): boolean {
  return skipPorts.some((entry) => entry === name || entry === String(number));
}

class PortCollector {
  readonly #capture: Capture;
  readonly #covered = new Map<number | string, CoveredPort>();
  readonly #skipped = new Map<number | string, PortReason>();
  readonly #warnings = new Set<string>();

  constructor(capture: Capture) {
    this.#capture = capture;
  }

  /** In Takeover each name moves by itself; in Bind a port is listened on once, whatever its names. */
  cover(port: number, name: string | null, service: string | null): void {
    const key = this.#capture === 'Takeover' ? (name ?? port) : port;
    const known = this.#covered.get(key);
    const services = new Set(known?.services);
    if (service !== null) services.add(service);
    this.#covered.set(key, { port, name: known?.name ?? name, services: [...services] });
  }

  skip(port: number | string, reason: PortReason, warning?: string): void {
    this.#skipped.set(port, reason);
    if (warning !== undefined) this.#warnings.add(warning);
  }

  finish(declared: readonly ContainerPort[]): PortCoverage {
    const ports = [...this.#covered.values()];
    const covered = new Set(ports.flatMap(({ port, name }) => (name === null ? [port] : [port, name])));
    const isCovered = (port: number | string | undefined): boolean => port !== undefined && covered.has(port);
    const isSkipped = (port: number | string | undefined): boolean => port !== undefined && this.#skipped.has(port);
    for (const { name, containerPort } of declared)
      if (![name, containerPort].some((port) => isCovered(port) || isSkipped(port)))
        this.skip(name ?? containerPort, 'NotTargeted');
    const skippedPorts = [...this.#skipped]
      .filter(([port, reason]) => reason === 'NumericTargetPort' || !isCovered(port)) // one Service may guard what another leaves
      .map(([port, reason]) => ({ port, reason }));
    return { ports, skippedPorts, warnings: [...this.#warnings] };
  }
}
