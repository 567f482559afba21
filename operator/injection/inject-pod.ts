import { EGRESS_VARIABLE, LABELS, OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import type { SidecarTemplate } from '../config.ts';
import type { Container, ContainerPort, Pod } from '../kube/objects.ts';
import type { Coverage, CoverageReason, CoveredPort } from '../workloads/coverage.ts';
import { portContainers } from '../workloads/coverage-ports.ts';
import { harden } from './inject-harden.ts';
import { probeRewriter } from './inject-probes.ts';
import { sidecarContainer, sidecarVolumes } from './inject-sidecar.ts';
import { bundleKeyFingerprint, hasSidecar, type Injected } from './injected.ts';

/** What injection needs to know besides the pod and its coverage. */
export interface InjectionOptions {
  /** Of the pod, which may not name it itself when it is admitted. */
  readonly namespace: string;
  readonly sidecar: SidecarTemplate;
  /** Ed25519 key of the writer of bundles: SPKI DER in base64. */
  readonly bundleKey: string;
  /** Serials of the policies' bundles now; 0: there is none yet. */
  readonly serials: { readonly access: number; readonly limits: number; readonly issuer: number };
}

/** A covered port and where the sidecar listens for it. */
export interface CapturedPort extends CoveredPort {
  readonly listen: number;
  /** Port of the node that leads to it; moves with it in Takeover. */
  readonly hostPort: number | null;
  /** The node's address that it is bound to; null: every one. */
  readonly hostIP: string | null;
}

type PodSpec = NonNullable<Pod['spec']>;

/** Kubernetes' default for terminationGracePeriodSeconds. */
const DEFAULT_GRACE_SECONDS = 30;

const REFUSALS: readonly (CoverageReason | null)[] = ['Conflicted', 'RequiredSecretMissing', 'NoPorts'];

/** Why a sidecar that is injected refuses all traffic; empty: it does not. */
export function refusalsOf({ reason }: Coverage): string[] {
  return reason !== null && REFUSALS.includes(reason) ? [reason] : [];
}

/**
 * The pod with the sidecar in front of its covered ports, see docs/injection.md. Pure; a pod that is not covered, or has the
 * sidecar already, comes back as it is.
 */
export function injectPod(pod: Pod, coverage: Coverage, options: InjectionOptions): Pod {
  const { settings } = coverage;
  const { spec } = pod;
  if (settings === null || spec === undefined || hasSidecar(pod)) return pod;

  const captured = capturedPorts(pod, coverage, options.sidecar);
  const rewriter = probeRewriter(settings.capture, captured, options.sidecar.adminPort);
  const initContainers = spec.initContainers ?? [];
  const sleep = options.sidecar.appSleepSeconds;
  const sleeps = sleep > 0 && spec.containers.some(({ lifecycle }) => lifecycle?.preStop === undefined);
  const egress = `http://127.0.0.1:${options.sidecar.egressPort}`;
  const tellEgress = (container: Container): Container =>
    settings.rateLimitPolicy === null ? container : variable(container, EGRESS_VARIABLE, egress);
  const rewritten = (container: Container): Container =>
    rewritePorts(
      tellEgress(bind(rewriter.rewrite(container), settings.bindEnv)),
      settings.capture === 'Takeover' ? captured : [],
    );
  const application = harden(
    {
      ...spec,
      containers: spec.containers.map((container) => sleepBeforeStop(rewritten(container), sleep)),
      initContainers: initContainers.map((container) =>
        container.restartPolicy === 'Always' ? rewritten(container) : container,
      ),
    },
    settings.harden,
  );
  const refuse = refusalsOf(coverage);
  const injected: Injected = {
    accessPolicy: settings.accessPolicy,
    rateLimitPolicy: settings.rateLimitPolicy,
    ...(settings.candidates && { candidates: settings.candidates }),
    capture: settings.capture,
    issueTokens: settings.issueTokens,
    tlsSecret: settings.tlsSecret,
    ports: captured.map(({ port, name, listen }) => ({ port, name, listen })),
    adminPort: options.sidecar.adminPort,
    bundleKey: bundleKeyFingerprint(options.bundleKey),
    image: options.sidecar.image,
    refuse,
  };
  const sidecar = sidecarContainer(settings, captured, rewriter.forwarded, refuse, options);
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      labels: { ...pod.metadata.labels, [LABELS.injected]: 'true' },
      annotations: { ...pod.metadata.annotations, [OWN_ANNOTATIONS.injected]: JSON.stringify(injected) },
    },
    spec: {
      ...application,
      initContainers: [sidecar, ...(application.initContainers ?? [])],
      volumes: [...(application.volumes ?? []), ...sidecarVolumes(settings)],
      ...lowPorts(application, captured),
      ...(sleeps && {
        terminationGracePeriodSeconds: (spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) + sleep,
      }),
    },
  };
}

/** In Bind the sidecar listens at the application's own ports; in Takeover at its own, past those that are taken. */
function capturedPorts(pod: Pod, { settings, ports }: Coverage, sidecar: SidecarTemplate): CapturedPort[] {
  if (settings?.capture === 'Bind')
    return ports.map((covered) => ({ ...covered, listen: covered.port, hostPort: null, hostIP: null }));
  const declared = portContainers(pod).flatMap((container) => container.ports ?? []);
  const taken = new Set([
    sidecar.adminPort,
    sidecar.egressPort,
    ...declared.map(({ containerPort }) => containerPort),
    ...ports.map(({ port }) => port),
  ]);
  const hostPorts = declared.filter((port) => isTcp(port) && port.hostPort !== undefined);
  let next = sidecar.trafficPort;
  return ports.map((covered) => {
    while (taken.has(next)) next++;
    const at = hostPorts.findIndex(({ containerPort }) => containerPort === covered.port);
    const [moved] = at < 0 ? [] : hostPorts.splice(at, 1);
    return { ...covered, listen: next++, hostPort: moved?.hostPort ?? null, hostIP: moved?.hostIP ?? null };
  });
}

function isTcp({ protocol = 'TCP' }: ContainerPort): boolean {
  return protocol === 'TCP';
}

/** A name that stays behind would win over the sidecar's, and a port of the node would go past it: they leave every container. */
function rewritePorts(container: Container, captured: readonly CapturedPort[]): Container {
  if (container.ports === undefined || captured.length === 0) return container;
  const moved = { name: new Set(), hostPort: new Set() };
  for (const { name, hostPort } of captured) {
    moved.name.add(name);
    moved.hostPort.add(hostPort);
  }
  const ports = container.ports.map((port) => {
    const { name, hostPort, ...rest } = port;
    const isMoved = (member: 'name' | 'hostPort'): boolean => isTcp(port) && moved[member].has(port[member]);
    return {
      ...(name !== undefined && !isMoved('name') && { name }),
      ...rest,
      ...(hostPort !== undefined && !isMoved('hostPort') && { hostPort }),
    };
  });
  return { ...container, ports };
}

function bind(container: Container, variable: string | null): Container {
  if (variable === null) return container;
  const value = { name: variable, value: '127.0.0.1' };
  const env = container.env ?? [];
  const isSet = env.some(({ name }) => name === variable);
  return { ...container, env: isSet ? env.map((each) => (each.name === variable ? value : each)) : [...env, value] };
}

/** What the container sets itself stays. */
function variable({ env = [], ...container }: Container, name: string, value: string): Container {
  return { ...container, env: env.some((each) => each.name === name) ? env : [...env, { name, value }] };
}

/** The sidecar is not root and holds no capability: in Bind it needs the pod's leave to listen below 1024. */
function lowPorts({ securityContext }: PodSpec, captured: readonly CapturedPort[]): Pick<PodSpec, 'securityContext'> {
  const name = 'net.ipv4.ip_unprivileged_port_start';
  const sysctls = (securityContext?.['sysctls'] ?? []) as readonly { readonly name: string }[];
  if (captured.every(({ listen }) => listen >= 1024) || sysctls.some((sysctl) => sysctl.name === name)) return {};
  return { securityContext: { ...securityContext, sysctls: [...sysctls, { name, value: '0' }] } };
}

/** The kubelet waits for the sleep before it stops the container: by then no Service routes to the pod any more. */
function sleepBeforeStop(container: Container, seconds: number): Container {
  if (seconds === 0 || container.lifecycle?.preStop !== undefined) return container;
  return { ...container, lifecycle: { ...container.lifecycle, preStop: { sleep: { seconds } } } };
}
