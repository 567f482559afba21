import type { Container, Pod } from '../kube/objects.ts';
import type { CoverageSettings } from '../workloads/coverage.ts';

type PodSpec = NonNullable<Pod['spec']>;
type SecurityContext = Readonly<Record<string, unknown>>;

/**
 * Fills what the application's containers leave unset so that they meet the restricted Pod Security Standard; ReadOnly adds a
 * read-only root file system and a /tmp of each container's own. Never changes what is set.
 */
export function harden(spec: PodSpec, mode: CoverageSettings['harden']): PodSpec {
  if (mode === null) return spec;
  const volumes: { name: string; emptyDir: object }[] = [];
  const pod = spec.securityContext ?? {};
  const each = (container: Container): Container => {
    const restricted = { ...container, securityContext: fill(container.securityContext ?? {}, pod) };
    if (mode === 'Restricted' || container.securityContext?.['readOnlyRootFilesystem'] !== undefined) return restricted;
    const securityContext = { ...restricted.securityContext, readOnlyRootFilesystem: true };
    if (container.volumeMounts?.some(({ mountPath }) => mountPath.replace(/\/$/, '') === '/tmp'))
      return { ...restricted, securityContext };
    const name = `portcullis-tmp-${volumes.length}`;
    volumes.push({ name, emptyDir: {} });
    const volumeMounts = [...(container.volumeMounts ?? []), { name, mountPath: '/tmp' }];
    return { ...restricted, securityContext, volumeMounts };
  };
  const hardened = {
    ...spec,
    containers: spec.containers.map(each),
    initContainers: (spec.initContainers ?? []).map(each),
  };
  return volumes.length === 0 ? hardened : { ...hardened, volumes: [...(spec.volumes ?? []), ...volumes] };
}

function fill(own: SecurityContext, pod: SecurityContext): SecurityContext {
  const capabilities = (own['capabilities'] ?? {}) as {
    readonly add?: readonly string[];
    readonly drop?: readonly string[];
  };
  const isSet = (member: string): boolean => own[member] !== undefined || pod[member] !== undefined;
  const needsPrivileges =
    own['privileged'] === true || capabilities.add?.some((name) => /^(?:CAP_)?SYS_ADMIN$/.test(name));
  return {
    ...own,
    // The API server refuses the two together.
    ...(own['allowPrivilegeEscalation'] === undefined && !needsPrivileges && { allowPrivilegeEscalation: false }),
    ...(capabilities.drop === undefined && { capabilities: { ...capabilities, drop: ['ALL'] } }),
    ...(!isSet('runAsNonRoot') && (own['runAsUser'] ?? pod['runAsUser']) !== 0 && { runAsNonRoot: true }),
    ...(!isSet('seccompProfile') && { seccompProfile: { type: 'RuntimeDefault' } }),
  };
}
