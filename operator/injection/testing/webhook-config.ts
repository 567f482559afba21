import { SIDECAR_DEFAULTS } from '../../../runtime/sidecar-arguments.ts';
import type { OperatorConfig } from '../../config.ts';

/** A configuration as the chart writes it. */
export const WEBHOOK_CONFIG: OperatorConfig = {
  namespace: 'portcullis-system',
  podName: 'portcullis-1',
  sidecar: {
    image: 'portcullis-sidecar:1',
    imagePullPolicy: 'IfNotPresent',
    resources: { requests: { cpu: '20m', memory: '64Mi' }, limits: { memory: '192Mi' } },
    trafficPort: SIDECAR_DEFAULTS.trafficPort,
    adminPort: SIDECAR_DEFAULTS.adminPort,
    egressPort: SIDECAR_DEFAULTS.egressPort,
    userId: SIDECAR_DEFAULTS.userId,
    appSleepSeconds: 5,
  },
  defaults: { capture: 'Takeover', storeSecret: null, clientIp: { trustedHops: 0, trustedProxies: [] } },
  webhook: {
    port: 8443,
    serviceName: 'portcullis-webhooks',
    mutatingConfiguration: 'portcullis-mutating',
    validatingConfiguration: 'portcullis-validating',
    certificates: 'Own',
    certificateSecret: 'portcullis-webhook-certificates',
  },
  healthPort: 8080,
  jwks: null,
  leaseName: 'portcullis',
  podPatchesPerSecond: 200,
  evictUnprotected: true,
};
