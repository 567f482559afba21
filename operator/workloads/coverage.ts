import { ANNOTATIONS } from '../../policy/api/names.ts';
import type { CandidateNames } from '../../runtime/sidecar-arguments.ts';
import type { Capture } from '../config.ts';
import { hasSidecar } from '../injection/injected.ts';
import type { Namespace, Pod, Service } from '../kube/objects.ts';
import { type Asked, readAnnotations } from './coverage-annotations.ts';
import { candidatesOf } from './coverage-candidates.ts';
import {
  everyPort,
  headlessInTakeover,
  isHeadless,
  type PortCoverage,
  portContainers,
  selects,
  targetedPorts,
} from './coverage-ports.ts';
import { guardsNothingAlone, namespacePolicy, refusedOptOuts, resolveSettings } from './coverage-settings.ts';
import { ISSUER_ON_POD, withIssuedSecret, withNamespaceIssuer } from './coverage-tls.ts';

/**
 * Why a pod is not guarded, or is guarded by refusing everything; a closed list, each explained in docs/injection.md.
 * `NotAsked` to `PolicyNameInvalid`: the pod is left alone. `Conflicted` to `NoPorts`: it is injected and refuses all traffic.
 */
export const COVERAGE_REASONS = [
  'NotAsked',
  'Disabled',
  'OptedOut',
  'HostNetwork',
  'AlreadyInjected',
  'NothingToGuard',
  'PolicyNameInvalid',
  'Conflicted',
  'RequiredSecretMissing',
  'NoPorts',
] as const;

/** One of `COVERAGE_REASONS`. */
export type CoverageReason = (typeof COVERAGE_REASONS)[number];

/** Why one port of a pod is left alone; a closed list, each explained in docs/injection.md. */
export const PORT_REASONS = ['SkipPorts', 'Protocol', 'NumericTargetPort', 'NotTargeted', 'PortNotFound'] as const;

/** One of `PORT_REASONS`. */
export type PortReason = (typeof PORT_REASONS)[number];

/** What coverage is computed from: the pod as it was sent, its namespace, and the Services of that namespace. */
export interface CoverageInput {
  readonly pod: Pod;
  readonly namespace: Namespace;
  readonly services: readonly Service[];
  readonly defaultCapture: Capture;
  /** Whether a Secret of the pod's namespace has the key; null: not known. */
  readonly hasSecretKey: (secret: string, key: string) => boolean | null;
}

/** One port of the application that the sidecar takes over. */
export interface CoveredPort {
  /** Number that the application listens on. */
  readonly port: number;
  /** Name that Services follow, moved to the sidecar in Takeover; null: numeric. */
  readonly name: string | null;
  /** Names of the Services that target it. */
  readonly services: readonly string[];
}

/** What is asked of a pod, resolved from its own annotations, its Services' and its namespace's. */
export interface CoverageSettings {
  readonly accessPolicy: string;
  readonly rateLimitPolicy: string | null;
  /** Policies that are only tried; absent: none is. */
  readonly candidates?: CandidateNames;
  readonly capture: Capture;
  /** With Bind: the variable that makes the app listen on 127.0.0.1; null: none asked. */
  readonly bindEnv: string | null;
  readonly harden: 'Restricted' | 'ReadOnly' | null;
  readonly rollout: 'Auto' | 'Report';
  readonly networkPolicy: 'Generate' | null;
  /** Whether the sidecar issues tokens, as the policy's `tokens` says. */
  readonly issueTokens: boolean;
  /** Secret with the certificate that the sidecar shows; null: it speaks plain HTTP. */
  readonly tlsSecret: string | null;
  readonly requiredSecrets: readonly { readonly secret: string; readonly key: string }[];
}

/** Whether and how one pod is guarded. */
export interface Coverage {
  /** Null: the pod is not injected. */
  readonly settings: CoverageSettings | null;
  /** Why the pod is left alone or refuses everything; null: neither. */
  readonly reason: CoverageReason | null;
  /**
   * Whether the pod must not be admitted at all: what its namespace requires cannot be done (hostNetwork under Required), or a policy
   * has a name that none can have. The first of `warnings` says why.
   */
  readonly deny: boolean;
  readonly ports: readonly CoveredPort[];
  readonly skippedPorts: readonly { readonly port: number | string; readonly reason: PortReason }[];
  /** Sentences for people, each saying what to write instead. */
  readonly warnings: readonly string[];
}

/**
 * Whether and how a pod is to be guarded: by what its own annotations, those of the Services that select it and its namespace's say.
 * Pure. A pod that has the sidecar already is left alone: `injectionChanges` is for those.
 */
export function coverageOf(input: CoverageInput): Coverage {
  const asked = whoAsks(input);
  const { resolved } = asked;
  const warnings = [...asked.warnings];
  const left = whyLeftAlone(input, asked);
  if (left !== null) return leftAlone(left, [], warnings);

  const capture = resolved.settings.capture ?? input.defaultCapture;
  const { ports, skippedPorts, isLost, ...found } = portsOf(input.pod, asked, capture);
  warnings.push(...found.warnings);
  if (ports.length === 0 && !isLost) return leftAlone({ reason: 'NothingToGuard' }, skippedPorts, warnings);

  const candidates = candidatesOf(resolved.settings);
  warnings.push(...candidates.warnings);
  const settings: CoverageSettings = {
    accessPolicy: resolved.settings.accessPolicy!,
    rateLimitPolicy: resolved.settings.rateLimitPolicy ?? null,
    ...candidates.asked,
    capture,
    bindEnv: capture === 'Bind' ? (resolved.settings.bindEnv ?? null) : null,
    harden: resolved.settings.harden ?? null,
    rollout: resolved.settings.rollout ?? 'Report',
    networkPolicy: resolved.settings.networkPolicy ?? null,
    issueTokens: resolved.settings.issueTokens ?? false,
    tlsSecret: resolved.settings.tlsSecret ?? null,
    requiredSecrets: asked.sources.flatMap(({ requiredSecrets }) => requiredSecrets),
  };
  const refusal = whyRefused(input, settings, resolved.conflict, ports);
  if (refusal !== null) warnings.push(refusal.because);
  warnings.push(...captureWarnings(input.pod, settings, asked));
  return { settings, reason: refusal?.reason ?? null, deny: false, ports, skippedPorts, warnings };
}

interface LeftAlone {
  readonly reason: CoverageReason;
  /** Why the pod cannot be admitted. */
  readonly deny?: string;
  /** What to say of it. */
  readonly because?: string;
}

function leftAlone(
  { reason, deny, because }: LeftAlone,
  skippedPorts: Coverage['skippedPorts'],
  warnings: readonly string[],
): Coverage {
  const first = deny ?? because;
  return {
    settings: null,
    reason,
    deny: deny !== undefined,
    ports: [],
    skippedPorts,
    warnings: first === undefined ? warnings : [...new Set([first, ...warnings])],
  };
}

function whyLeftAlone({ pod, namespace }: CoverageInput, asked: WhoAsks): LeftAlone | null {
  const { ofPod, required } = asked;
  if (asked.asking === null) {
    if (asked.optedOut) return { reason: 'OptedOut' };
    const hasPorts = asked.selecting.length > 0 || everyPort(pod, [], 'Takeover').ports.length > 0;
    const alone = guardsNothingAlone(asked.resolved.settings);
    const because = alone === null ? {} : { because: alone };
    if (!required || !hasPorts) return { reason: 'NotAsked', ...because };
    const deny = `namespace ${namespace.metadata.name} is labelled Required and names no policy: annotate it with ${ANNOTATIONS.accessPolicy}: NAME`;
    return { reason: 'NotAsked', deny };
  }
  if (asked.disabled) return { reason: 'Disabled' };
  if (ofPod.optOut && !required) return { reason: 'OptedOut' };
  if (asked.misnamed !== null) return { reason: 'PolicyNameInvalid', deny: asked.misnamed };
  if (pod.spec?.hostNetwork === true) {
    const because =
      "HostNetwork: a pod with hostNetwork: true has the node's ports and cannot be guarded; remove hostNetwork";
    return { reason: 'HostNetwork', ...(required ? { deny: because } : { because }) };
  }
  if (!hasSidecar(pod)) return null;
  const deny =
    'AlreadyInjected: the pod brings a container named portcullis; in a Required namespace remove it, the operator injects its own';
  return { reason: 'AlreadyInjected', ...(required && { deny }) };
}

/** `isLost`: there are none, though somebody meant to guard some. */
function portsOf(pod: Pod, asked: WhoAsks, capture: Capture): PortCoverage & { readonly isLost: boolean } {
  const { ofPod, ofNamespace, selecting, required } = asked;
  const skipPorts = (by: Asked): readonly string[] =>
    required ? ofNamespace.skipPorts : [...ofPod.skipPorts, ...by.skipPorts, ...ofNamespace.skipPorts];
  if (selecting.length === 0) {
    const found = everyPort(pod, skipPorts(ofPod), capture);
    return { ...found, isLost: found.skippedPorts.length === 0 && asksForPolicy(ofPod) };
  }
  const services = (asked.asking ?? []).map(({ service, asked: by }) => ({ service, skipPorts: skipPorts(by) }));
  const found = targetedPorts(pod, services, capture);
  const isLost = found.skippedPorts.some(({ reason }) => reason === 'NumericTargetPort' || reason === 'PortNotFound');
  return { ...found, isLost };
}

function whyRefused(
  { hasSecretKey }: CoverageInput,
  { requiredSecrets }: CoverageSettings,
  conflict: string | null,
  ports: readonly CoveredPort[],
): { readonly reason: CoverageReason; readonly because: string } | null {
  if (conflict !== null) return { reason: 'Conflicted', because: conflict };
  if (ports.length === 0) {
    const because = 'NoPorts: the pod has no port that can be guarded, so it stays unready and refuses all traffic';
    return { reason: 'NoPorts', because };
  }
  const missing = requiredSecrets
    .filter(({ secret, key }) => key === '' || hasSecretKey(secret, key) === false)
    .map(({ secret, key }) => (key === '' ? secret : `${secret}/${key}`));
  if (missing.length === 0) return null;
  const because = `RequiredSecretMissing: ${missing.join(', ')}: create it, then restart the pod; until then it refuses all traffic`;
  return { reason: 'RequiredSecretMissing', because };
}

type WhoAsks = ReturnType<typeof whoAsks>;

interface AskingParty {
  readonly service: Service;
  readonly asked: Asked;
}

/** Reads all annotations, and says which Services ask; `asking` null: nobody does. */
function whoAsks({ pod, namespace, services }: CoverageInput) {
  const label = namespacePolicy(namespace);
  const required = label.word === 'Required';
  const ofPod = readAnnotations('the pod', pod.metadata.annotations);
  const ofNamespace = readAnnotations(`namespace ${namespace.metadata.name}`, namespace.metadata.annotations);
  const selecting: AskingParty[] = services
    .filter((service) => selects(service, pod))
    .map((service) => ({
      service,
      asked: withIssuedSecret(
        service.metadata.name,
        readAnnotations(`Service ${service.metadata.name}`, service.metadata.annotations),
      ),
    }));
  const sources = [ofPod, ...selecting.map(({ asked }) => asked), ofNamespace];
  const taking = required ? selecting : selecting.filter(({ asked }) => !asked.optOut);
  const given = resolveSettings(
    ofPod,
    taking.map(({ asked }) => asked),
    ofNamespace,
    required,
  );
  const resolved = withNamespaceIssuer(given, ofPod, taking, ofNamespace, required);

  const byNamespace = asksForPolicy(ofNamespace) && (required || (!ofNamespace.optOut && taking.length > 0));
  const byService = taking.filter(({ asked }) => asksForPolicy(asked));
  let asking: AskingParty[] | null = null;
  if (asksForPolicy(ofPod)) asking = selecting;
  else if (byNamespace) asking = taking;
  else if (byService.length > 0) asking = byService;

  return {
    ofPod,
    ofNamespace,
    sources,
    selecting,
    asking,
    required,
    disabled: label.word === 'Disabled',
    resolved,
    optedOut: sources.some(asksForPolicy) && sources.some(({ optOut }) => optOut) && !required,
    misnamed: whyMisnamed(ofPod, [...taking.map(({ asked }) => asked), ofNamespace]),
    warnings: [
      ...label.warnings,
      ...sources.flatMap((asked) => asked.warnings),
      ...resolved.warnings,
      ...(required ? refusedOptOuts(sources.slice(0, -1), ofNamespace) : []),
    ],
  };
}

/** Why no pod can be admitted: names that none can have. */
function whyMisnamed(pod: Asked, others: readonly Asked[]): string | null {
  const all = [pod, ...others];
  const policy = all.find(({ misnamed }) => misnamed !== null);
  if (policy !== undefined) return policy.misnamed;
  return pod.tlsIssuer === null ? (all.find(({ badTls }) => badTls !== null)?.badTls ?? null) : ISSUER_ON_POD;
}

/** A name that no policy can have is asked for too. */
function asksForPolicy({ settings, misnamed }: Asked): boolean {
  return settings.accessPolicy !== undefined || misnamed !== null;
}

function captureWarnings(pod: Pod, { capture, bindEnv }: CoverageSettings, { resolved, asking }: WhoAsks): string[] {
  const warnings: string[] = [];
  if (capture === 'Takeover') {
    if (resolved.settings.bindEnv !== undefined)
      warnings.push(`${ANNOTATIONS.bindEnv} does nothing in Takeover: add ${ANNOTATIONS.capture}: Bind`);
    for (const { service } of asking ?? []) if (isHeadless(service)) warnings.push(headlessInTakeover(service));
  }
  for (const { name, env = [] } of bindEnv === null ? [] : portContainers(pod)) {
    const own = env.find((variable) => variable.name === bindEnv);
    if (own !== undefined && own.value !== '127.0.0.1')
      warnings.push(
        `container ${name}: ${bindEnv} is set to 127.0.0.1 instead of ${own.value ?? 'what it had'}, as ${ANNOTATIONS.bindEnv} asks`,
      );
  }
  return warnings;
}
