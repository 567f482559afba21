import type { ClientIpConfig } from '../policy/bundle/types.ts';

/** How traffic gets to the sidecar; see docs/injection.md. */
export const CAPTURES = ['Takeover', 'Bind'] as const;

/** One of `CAPTURES`. */
export type Capture = (typeof CAPTURES)[number];

/** All that the operator is told at start: the file that the chart writes, and its own pod's name and namespace. */
export interface OperatorConfig {
  /** The operator's own namespace and pod. */
  readonly namespace: string;
  readonly podName: string;
  readonly sidecar: SidecarTemplate;
  readonly defaults: {
    readonly capture: Capture;
    /** Secret in the operator's namespace whose key `url` is the store of policies that name none; null: none. */
    readonly storeSecret: string | null;
    readonly clientIp: ClientIpConfig;
  };
  readonly webhook: {
    readonly port: number;
    /** The Service that the API server calls. */
    readonly serviceName: string;
    readonly mutatingConfiguration: string;
    readonly validatingConfiguration: string;
    /** Own: made, replaced and announced by the operator. CertManager: read from the Secret only. */
    readonly certificates: 'Own' | 'CertManager';
    readonly certificateSecret: string;
  };
  /** /metrics, /healthz and /readyz. */
  readonly healthPort: number;
  /** Public keys for verifiers outside the cluster; null: they are not served. */
  readonly jwks: {
    readonly port: number;
    /** Where the world reaches that port, an http or https URL without a slash at the end; null: at the origin of each issuer. */
    readonly externalUrl: string | null;
  } | null;
  readonly leaseName: string;
  /** Most patches of pods a second (touches and conditions). */
  readonly podPatchesPerSecond: number;
  /** Whether unprotected pods younger than a minute are evicted. */
  readonly evictUnprotected: boolean;
}

/** What every injected container is made from. */
export interface SidecarTemplate {
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  readonly resources: {
    readonly requests: Readonly<Record<string, string>>;
    readonly limits: Readonly<Record<string, string>>;
  };
  /** First traffic port; further ones follow it, past the admin port. */
  readonly trafficPort: number;
  readonly adminPort: number;
  /** Where applications reach egress, on the loopback of their pods. */
  readonly egressPort: number;
  readonly userId: number;
  /** How long app containers without a preStop hook sleep, so that endpoints are removed first. */
  readonly appSleepSeconds: number;
}
