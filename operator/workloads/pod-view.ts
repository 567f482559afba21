import { OWN_ANNOTATIONS, SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import type { CandidateNames } from '../../runtime/sidecar-arguments.ts';
import { CAPTURES, type Capture } from '../config.ts';
import { hasSidecar, type Injected } from '../injection/injected.ts';
import type { Container, ContainerStatus, KubeObject, Node, ObjectMeta, Pod } from '../kube/objects.ts';

const OURS = 'portcullis.dev/';
/** An annotation may hold 256 KiB; ours never comes near this. */
const MAX_INJECTED_CHARACTERS = 16_384;
const MAX_PORTS = 128;
const MAX_REASONS = 16;

/** What is kept of a pod in memory: what coverage, acknowledgements and the auditor look at, and nothing else. */
export function podView(pod: Pod): Pod {
  const { spec, status } = pod;
  return {
    metadata: metadataOf(pod),
    ...(spec && {
      spec: {
        containers: spec.containers.map(containerView),
        ...(spec.initContainers && { initContainers: spec.initContainers.map(containerView) }),
        ...(spec.hostNetwork && { hostNetwork: true }),
        ...(spec.nodeName && { nodeName: spec.nodeName }),
      },
    }),
    ...(status && {
      status: {
        ...(status.phase && { phase: status.phase }),
        ...(status.podIP && { podIP: status.podIP }),
        conditions: (status.conditions ?? []).filter(({ type }) => type === 'Ready' || type.startsWith(OURS)),
        initContainerStatuses: (status.initContainerStatuses ?? []).filter(({ name }) => name === SIDECAR_CONTAINER),
      },
    }),
  };
}

function metadataOf({ metadata }: KubeObject): ObjectMeta {
  const { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, labels, annotations } = metadata;
  const owners = metadata.ownerReferences;
  const ours = Object.entries(annotations ?? {}).flatMap(([key, value]) =>
    key.startsWith(OURS) ? [[key, value.slice(0, MAX_INJECTED_CHARACTERS + 1)] as const] : [],
  );
  return {
    name,
    ...(namespace && { namespace }),
    ...(uid && { uid }),
    ...(resourceVersion && { resourceVersion }),
    ...(creationTimestamp && { creationTimestamp }),
    ...(deletionTimestamp && { deletionTimestamp }),
    ...(labels && { labels }),
    ...(ours.length > 0 && { annotations: Object.fromEntries(ours) }),
    ...(owners && { ownerReferences: owners }),
  };
}

function containerView({ name, restartPolicy, ports }: Container): Container {
  return { name, ...(restartPolicy && { restartPolicy }), ...(ports && { ports }) };
}

/** `namespace/name`. */
export function nameOf({ metadata }: KubeObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/**
 * What was injected into a pod; null: nothing, or the annotation is not as we write it. Anybody who can create pods may
 * write it, so it says nothing about other namespaces and is bounded.
 */
export function injectedOf(pod: Pod): Injected | null {
  const text = pod.metadata.annotations?.[OWN_ANNOTATIONS.injected];
  if (text === undefined || text.length > MAX_INJECTED_CHARACTERS || !hasSidecar(pod)) return null;
  try {
    return readInjected(JSON.parse(text));
  } catch {
    return null;
  }
}

function readInjected(value: unknown): Injected | null {
  if (typeof value !== 'object' || value === null) return null;
  const { accessPolicy, rateLimitPolicy, capture, ports, adminPort, bundleKey, image, refuse } = value as Injected;
  // Pods of older versions do not say.
  const { issueTokens = false, tlsSecret = null, candidates } = value as Partial<Injected>;
  const good =
    isName(accessPolicy) &&
    (rateLimitPolicy === null || isName(rateLimitPolicy)) &&
    CAPTURES.includes(capture as Capture) &&
    typeof issueTokens === 'boolean' &&
    (tlsSecret === null || isName(tlsSecret)) &&
    (candidates === undefined || isCandidates(candidates)) &&
    isPort(adminPort) &&
    typeof bundleKey === 'string' &&
    typeof image === 'string' &&
    Array.isArray(refuse) &&
    refuse.length <= MAX_REASONS &&
    refuse.every((reason) => typeof reason === 'string') &&
    Array.isArray(ports) &&
    ports.length <= MAX_PORTS &&
    ports.every((port) => isPort(port?.port) && isPort(port.listen) && (port.name === null || isName(port.name)));
  return good
    ? {
        accessPolicy,
        rateLimitPolicy,
        capture,
        issueTokens,
        tlsSecret,
        ports,
        adminPort,
        bundleKey,
        image,
        refuse,
        ...(candidates && { candidates }),
      }
    : null;
}

function isCandidates(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { accessPolicy, rateLimitPolicy } = value as CandidateNames;
  return [accessPolicy, rateLimitPolicy].every((policy) => policy === null || isName(policy));
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 253;
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) < 65_536;
}

/** Whether a pod is on its way out or has finished: nothing is asked of it any more. */
export function isEnding(pod: Pod): boolean {
  const phase = pod.status?.phase;
  return pod.metadata.deletionTimestamp !== undefined || phase === 'Succeeded' || phase === 'Failed';
}

/** Whether a pod's acknowledgement counts: not terminating, its sidecar running, its node Ready (KEYS.md). */
export function isCounted(pod: Pod, nodeReady: boolean): boolean {
  const running = sidecarStatusOf(pod)?.state?.running !== undefined;
  return nodeReady && running && !isEnding(pod) && pod.status?.podIP !== undefined && pod.spec?.hostNetwork !== true;
}

/** The kubelet's word on the sidecar container. */
export function sidecarStatusOf(pod: Pod): ContainerStatus | undefined {
  return pod.status?.initContainerStatuses?.find(({ name }) => name === SIDECAR_CONTAINER);
}

/** Whether a node's Ready condition is True. A node that is not known (yet) is taken for Ready. */
export function isNodeReady(node: Node | undefined): boolean {
  if (node === undefined) return true;
  return node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}
