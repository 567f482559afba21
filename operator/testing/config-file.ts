/** A complete configuration, as the chart writes it. */
export const CONFIG_FILE = `
sidecar:
  image: portcullis-sidecar:1
  imagePullPolicy: IfNotPresent
  resources: { requests: { cpu: 50m, memory: 96Mi }, limits: { memory: 256Mi } }
  trafficPort: 14180
  adminPort: 14181
  egressPort: 14182
  userId: 64180
  appSleepSeconds: 5
defaults: { capture: Takeover, clientIP: { trustedHops: 1, trustedProxies: [10.0.0.0/8] } }
webhook:
  port: 8443
  serviceName: portcullis
  mutatingConfiguration: portcullis
  validatingConfiguration: portcullis
  certificates: Own
  certificateSecret: portcullis-webhook
healthPort: 8080
jwks: { port: 8090, externalUrl: 'https://keys.example.com' }
leaseName: portcullis
podPatchesPerSecond: 200
evictUnprotected: true
`;
