import {
  ADMIN_PORT_NAME,
  accessSecretName,
  issuerSecretName,
  limitsSecretName,
  SIDECAR_CONTAINER,
} from '../../policy/api/names.ts';
import { type ForwardedProbe, SIDECAR_PATHS, sidecarArgv } from '../../runtime/sidecar-arguments.ts';
import type { Container, ContainerPort, Pod } from '../kube/objects.ts';
import type { CoverageSettings } from '../workloads/coverage.ts';
import type { CapturedPort, InjectionOptions } from './inject-pod.ts';

/** The entry point of the image; hooks run it again. */
const PROGRAM = ['/usr/local/bin/node', '/app/sidecar.mjs'];

/** Longest that the application waits for the sidecar to listen: a pod that is deleted waits for its postStart too. */
const WAIT = '5s';

const VOLUMES = {
  access: 'portcullis-access',
  limits: 'portcullis-limits',
  candidateAccess: 'portcullis-candidate-access',
  candidateLimits: 'portcullis-candidate-limits',
  tls: 'portcullis-tls',
  issuer: 'portcullis-issuer',
  run: 'portcullis-run',
  noToken: 'portcullis-no-token',
} as const;

/** All interfaces, IPv4 and IPv6. */
const ANY = '::';

/** The sidecar as a native sidecar (KEP-753): it starts before the application, stops after it, and a Job finishes without it. */
export function sidecarContainer(
  settings: CoverageSettings,
  captured: readonly CapturedPort[],
  probes: readonly ForwardedProbe[],
  refuse: readonly string[],
  { namespace, sidecar, bundleKey, serials }: InjectionOptions,
): Container {
  const isBind = settings.capture === 'Bind';
  const args = sidecarArgv({
    namespace,
    accessPolicy: settings.accessPolicy,
    rateLimitPolicy: settings.rateLimitPolicy,
    ...(settings.candidates && { candidates: settings.candidates }),
    issueTokens: settings.issueTokens,
    tlsSecret: settings.tlsSecret,
    bundleKey,
    minimumSerials: serials,
    listeners: captured.map(({ port, listen }) => ({
      listen: { host: isBind ? '$(POD_IP)' : ANY, port: listen },
      upstream: { host: '127.0.0.1', port },
    })),
    admin: { host: ANY, port: sidecar.adminPort },
    ...(settings.rateLimitPolicy !== null && { egress: { host: '127.0.0.1', port: sidecar.egressPort } }),
    probes,
    refuse,
  });
  const probe = (path: string) => ({ httpGet: { path, port: sidecar.adminPort, scheme: 'HTTP' } });
  return {
    name: SIDECAR_CONTAINER,
    image: sidecar.image,
    imagePullPolicy: sidecar.imagePullPolicy,
    restartPolicy: 'Always',
    args,
    ...(isBind && {
      env: [{ name: 'POD_IP', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'status.podIP' } } }],
    }),
    ports: [
      ...(isBind ? [] : captured.map(trafficPort)),
      { name: ADMIN_PORT_NAME, containerPort: sidecar.adminPort, protocol: 'TCP' },
    ],
    resources: sidecar.resources,
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      runAsUser: sidecar.userId,
      runAsGroup: sidecar.userId,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    lifecycle: {
      postStart: { exec: { command: [...PROGRAM, 'wait', '--timeout', WAIT] } },
      preStop: { exec: { command: [...PROGRAM, 'drain', '--over', `${sidecar.appSleepSeconds}s`] } },
    },
    readinessProbe: { ...probe('/readyz'), periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 2 },
    livenessProbe: { ...probe('/healthz'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: VOLUMES.access, mountPath: SIDECAR_PATHS.access, readOnly: true },
      ...(settings.rateLimitPolicy === null
        ? []
        : [{ name: VOLUMES.limits, mountPath: SIDECAR_PATHS.limits, readOnly: true }]),
      ...candidateVolumes(settings).map(({ name, mountPath }) => ({ name, mountPath, readOnly: true })),
      ...(settings.issueTokens ? [{ name: VOLUMES.issuer, mountPath: SIDECAR_PATHS.issuer, readOnly: true }] : []),
      ...(settings.tlsSecret === null ? [] : [{ name: VOLUMES.tls, mountPath: SIDECAR_PATHS.tls, readOnly: true }]),
      { name: VOLUMES.run, mountPath: SIDECAR_PATHS.run },
      // Covers the token that admission mounts into every container that has nothing there.
      { name: VOLUMES.noToken, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
    ],
  };
}

/** The volumes that only the sidecar mounts. Bundles are optional: a policy may come after its pods. */
export function sidecarVolumes(settings: CoverageSettings): NonNullable<Pod['spec']>['volumes'] & {} {
  const { accessPolicy, rateLimitPolicy, issueTokens, tlsSecret } = settings;
  const secret = (name: string, secretName: string, keys: readonly string[] = []) => ({
    name,
    // Readable by the sidecar's user, whatever the pod's fsGroup is.
    secret: {
      secretName,
      optional: true,
      defaultMode: 0o444,
      ...(keys.length > 0 && { items: keys.map((key) => ({ key, path: key })) }),
    },
  });
  const memory = { emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } };
  return [
    secret(VOLUMES.access, accessSecretName(accessPolicy)),
    ...(rateLimitPolicy === null ? [] : [secret(VOLUMES.limits, limitsSecretName(rateLimitPolicy))]),
    ...candidateVolumes(settings).map(({ name, secretName }) => secret(name, secretName)),
    ...(issueTokens ? [secret(VOLUMES.issuer, issuerSecretName(accessPolicy))] : []),
    ...(tlsSecret === null ? [] : [secret(VOLUMES.tls, tlsSecret, ['tls.crt', 'tls.key'])]),
    { name: VOLUMES.run, ...memory },
    { name: VOLUMES.noToken, ...memory },
  ];
}

/** The bundles of policies that are only tried, and where the sidecar reads them. */
function candidateVolumes({ candidates }: CoverageSettings) {
  const { accessPolicy = null, rateLimitPolicy = null } = candidates ?? {};
  const volume = (name: 'candidateAccess' | 'candidateLimits', secretName: string) => [
    { name: VOLUMES[name], mountPath: SIDECAR_PATHS[name], secretName },
  ];
  return [
    ...(accessPolicy === null ? [] : volume('candidateAccess', accessSecretName(accessPolicy))),
    ...(rateLimitPolicy === null ? [] : volume('candidateLimits', limitsSecretName(rateLimitPolicy))),
  ];
}

function trafficPort({ name, listen, hostPort, hostIP }: CapturedPort): ContainerPort {
  return {
    ...(name !== null && { name }),
    containerPort: listen,
    ...(hostPort !== null && { hostPort }),
    ...(hostPort !== null && hostIP !== null && { hostIP }),
    protocol: 'TCP',
  };
}
