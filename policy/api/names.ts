/** Annotations, labels and names of objects, each said once. */

const PREFIX = 'portcullis.dev';

/** Annotations that users write on Services, pod templates and namespaces. */
export const ANNOTATIONS = {
  accessPolicy: `${PREFIX}/access-policy`,
  rateLimitPolicy: `${PREFIX}/rate-limit-policy`,
  candidateAccessPolicy: `${PREFIX}/candidate-access-policy`,
  candidateRateLimitPolicy: `${PREFIX}/candidate-rate-limit-policy`,
  capture: `${PREFIX}/capture`,
  bindEnv: `${PREFIX}/bind-env`,
  skipPorts: `${PREFIX}/skip-ports`,
  harden: `${PREFIX}/harden`,
  requiredSecrets: `${PREFIX}/required-secrets`,
  networkPolicy: `${PREFIX}/network-policy`,
  rollout: `${PREFIX}/rollout`,
  inject: `${PREFIX}/inject`,
  issueTokens: `${PREFIX}/issue-tokens`,
  tlsSecret: `${PREFIX}/tls-secret`,
  tlsIssuer: `${PREFIX}/tls-issuer`,
  rotateRequestedAt: `${PREFIX}/rotate-requested-at`,
  /** On SigningKeySets: `regenerate@SERIAL` accepts that the keyring of that serial is lost. */
  recover: `${PREFIX}/recover`,
  /** On SigningKeySets that are being deleted: their uid, to delete keys that could not be escrowed. */
  forceDelete: `${PREFIX}/force-delete`,
} as const;

/** Annotations that Portcullis writes. */
export const OWN_ANNOTATIONS = {
  /** On injected pods: what was injected, as JSON (operator/injection/injected.ts). */
  injected: `${PREFIX}/injected`,
  /** On injected pods, changed so that the kubelet looks at their Secrets at once. */
  touched: `${PREFIX}/touched`,
  /** On pod templates restarted by `rollout: Auto` or `kubectl portcullis protect`. RFC 3339. */
  restartedAt: `${PREFIX}/restarted-at`,
  /** On SigningKeySets that had a keyring: "true". Where it stands, new keys are not made in silence. */
  initialised: `${PREFIX}/initialised`,
  /** On Secrets with what apps read of a key set: its serial. */
  serial: `${PREFIX}/serial`,
} as const;

/** Labels. */
export const LABELS = {
  /** Users write it on namespaces: Required, Default or Disabled. */
  policy: `${PREFIX}/policy`,
  /** Users write it on Secrets that policies may refer to: "true". */
  allowReference: `${PREFIX}/allow-reference`,
  /** Ours, on namespaces whose pods go through the injector: "true". */
  guarded: `${PREFIX}/guarded`,
  /** Ours, on injected pods: "true". */
  injected: `${PREFIX}/injected`,
  /** Ours, on every Secret we write: what it holds, one of `SECRET_KINDS`. */
  holds: `${PREFIX}/holds`,
  /** Ours, on Secrets: the namespace and name of the resource they belong to. */
  ownerNamespace: `${PREFIX}/owner-namespace`,
  ownerName: `${PREFIX}/owner-name`,
} as const;

/** Values of `LABELS.holds`. */
export const SECRET_KINDS = [
  'keyring',
  'key-set-outputs',
  'key-set-escrow',
  'key-set-exports',
  'bundle',
  'bundle-signing-key',
  'webhook-certificates',
] as const;

/** Conditions that Portcullis sets on injected pods. */
export const POD_CONDITIONS = { enforced: `${PREFIX}/Enforced`, protected: `${PREFIX}/Protected` } as const;

/** Name of the Secret with an AccessPolicy's bundle, in the policy's namespace. */
export function accessSecretName(policy: string): string {
  return `portcullis-access-${policy}`;
}

/** Name of the Secret with a RateLimitPolicy's bundle, in the policy's namespace. */
export function limitsSecretName(policy: string): string {
  return `portcullis-limits-${policy}`;
}

/** Name of the Secret with what pods that issue tokens for an AccessPolicy sign by, in the policy's namespace. */
export function issuerSecretName(policy: string): string {
  return `portcullis-issuer-${policy}`;
}

/** Name of a key set's keyring, a Secret in the operator's namespace. */
export function keyringSecretName(namespace: string, keySet: string): string {
  return `${namespace}.${keySet}-keyring`;
}

/** Name of a key set's outputs (verification keys and the key that signs), a Secret in the operator's namespace. */
export function outputsSecretName(namespace: string, keySet: string): string {
  return `${namespace}.${keySet}-outputs`;
}

/** Name of a key set's escrow, a Secret in the operator's namespace. */
export function escrowSecretName(namespace: string, keySet: string): string {
  return `${namespace}.${keySet}-escrow`;
}

/** On SigningKeySets of deletionPolicy Delete. */
export const KEY_SET_FINALIZER = `${PREFIX}/keys`;

/** Name of the Secret, in the operator's namespace, with the Ed25519 key that signs bundles. */
export const BUNDLE_SIGNING_KEY_SECRET = 'portcullis-bundle-signing-key';

/** Name of the injected container. */
export const SIDECAR_CONTAINER = 'portcullis';

/** Variable in which applications find the URL of egress. */
export const EGRESS_VARIABLE = 'PORTCULLIS_EGRESS';

/** Name of the injected container's port with /metrics, /readyz and /status; what a PodMonitor selects. */
export const ADMIN_PORT_NAME = 'portcullis';
