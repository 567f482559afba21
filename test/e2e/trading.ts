import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { documents, type Manifest, ROOT } from './world.ts';

/** The namespace of the example, as strict as Kubernetes can make it. */
export const TRADING = 'trading';

/** A namespace that enforces the restricted Pod Security Standard. */
export function restrictedNamespace(name: string, labels: Readonly<Record<string, string>> = {}): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted', ...labels } },
  };
}

function example(path: string): readonly Manifest[] {
  return documents(readFileSync(join(ROOT, 'examples', path), 'utf8'));
}

/** The example's Service and Deployment, running the image that the tests built. */
export function tradingApi(): { readonly service: Manifest; readonly deployment: Manifest } {
  const [service, deployment] = example('cluster/trading-api.yaml');
  const [container] = deployment.spec.template.spec.containers;
  container.image = 'localhost/trading-api:test';
  container.imagePullPolicy = 'Never';
  return { service, deployment };
}

/** The example's key set, made to rotate in seconds: T 20s, R 15s, P 3s, C 0s, S 1s. */
export function hastyKeys(): Manifest {
  const [keys] = example('policies/keys.yaml');
  keys.spec = {
    ...keys.spec,
    maxTokenLifetime: '20s',
    rotation: { period: '15s', prePublish: '5s', maxKeys: 16, ackTimeout: '2m' },
    propagation: '3s',
    jwksMaxAge: '0s',
    clockSkew: '1s',
  };
  return keys;
}

/** Keys that rotate when they are told to: T 20s, R 10m, P 1s, C 0s, S 1s. */
export function calmKeys(): Manifest {
  const keys = hastyKeys();
  keys.spec.rotation = { period: '10m', prePublish: '2s' };
  keys.spec.propagation = '1s';
  return keys;
}

/** The example's AccessPolicy. */
export function accessPolicy(): Manifest {
  return example('policies/access.yaml')[0];
}

/** The example's RateLimitPolicy on Redis; premium clients, which make our load, are not limited. */
export function limitPolicy(): Manifest {
  const [policy] = example('policies/limits.yaml');
  policy.spec.store = { redis: { secretRef: { name: 'redis-url' } } };
  for (const limit of policy.spec.limits) {
    if (limit.rates !== undefined) limit.rates.premium = 'Unlimited';
    else if (limit.match.paths[0] === '/orders' || limit.match.paths[0] === '/users/me') {
      limit.rates = { default: limit.rate, premium: 'Unlimited' };
      delete limit.rate;
    }
  }
  return policy;
}

/** A Redis of one pod behind a Service, and the Secret by which policies name it. */
export function redis(): readonly Manifest[] {
  const labels = { app: 'redis' };
  return [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'redis-url', labels: { 'portcullis.dev/allow-reference': 'true' } },
      stringData: { url: 'redis://redis:6379' },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'redis' },
      spec: { selector: labels, ports: [{ port: 6379 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'redis' },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            securityContext: { runAsNonRoot: true, runAsUser: 999, seccompProfile: { type: 'RuntimeDefault' } },
            terminationGracePeriodSeconds: 1,
            containers: [
              {
                name: 'redis',
                image: 'localhost/redis:7',
                imagePullPolicy: 'Never',
                args: ['--save', '', '--appendonly', 'no', '--protected-mode', 'no'],
                ports: [{ containerPort: 6379 }],
                readinessProbe: { tcpSocket: { port: 6379 }, periodSeconds: 1 },
                securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
              },
            ],
          },
        },
      },
    },
  ];
}

/** The example's Deployment under another name, with other environment or ports. */
export function app(
  name: string,
  change: (container: Manifest, spec: Manifest) => void = () => {},
  replicas = 1,
): Manifest {
  const { deployment } = tradingApi();
  deployment.metadata.name = name;
  deployment.spec.replicas = replicas;
  deployment.spec.selector.matchLabels = { app: name };
  deployment.spec.template.metadata.labels = { app: name };
  change(deployment.spec.template.spec.containers[0], deployment.spec.template.spec);
  return deployment;
}

/** A Service of `app(name)`, annotated; keys without their prefix. */
export function service(name: string, annotations: Record<string, string>, spec: object = {}): Manifest {
  const prefixed = Object.fromEntries(
    Object.entries(annotations).map(([key, value]) => [`portcullis.dev/${key}`, value]),
  );
  const ports = [{ name: 'http', port: 80, targetPort: 'http' }];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, annotations: prefixed },
    spec: { selector: { app: name }, ports, ...spec },
  };
}

/** The example's AccessPolicy under another name. */
export function policy(name: string, change: (spec: Manifest) => void = () => {}): Manifest {
  const made = accessPolicy();
  made.metadata.name = name;
  change(made.spec);
  return made;
}
