import { LABELS, OWN_ANNOTATIONS, SIDECAR_CONTAINER } from '../../../policy/api/names.ts';
import type { SidecarStatus } from '../../../runtime/sidecar-status.ts';
import type { Injected } from '../../injection/injected.ts';
import { ObjectStore } from '../../kube/object-store.ts';
import type { KubeObject, ObjectMeta, Pod } from '../../kube/objects.ts';
import type { ExpectedBundle } from '../enforcement.ts';

/** What the example pods were injected for. */
export const INJECTED: Injected = {
  accessPolicy: 'orders',
  rateLimitPolicy: null,
  capture: 'Takeover',
  issueTokens: false,
  tlsSecret: null,
  ports: [{ port: 8000, name: 'http', listen: 14180 }],
  adminPort: 14181,
  bundleKey: '0123456789abcdef',
  image: 'portcullis-sidecar:1',
  refuse: [],
};

/** What an example pod differs in. */
export interface ExamplePod {
  readonly namespace?: string;
  readonly metadata?: Partial<ObjectMeta>;
  readonly spec?: Partial<NonNullable<Pod['spec']>>;
  readonly status?: Partial<NonNullable<Pod['status']>>;
  /** Null: a pod without sidecar. */
  readonly injected?: Partial<Injected> | null;
  readonly restartCount?: number;
}

/** A pod that runs, Ready, on node `node-1`, selected by `app: orders`; with the sidecar unless told otherwise. */
export function examplePod(name: string, example: ExamplePod = {}): Pod {
  const { namespace = 'shop', metadata = {}, spec = {}, status = {}, restartCount = 0 } = example;
  const injected = example.injected === null ? null : { ...INJECTED, ...example.injected };
  const { labels, annotations, ...rest } = metadata;
  const app = { name: 'app', ports: [{ ...(injected ? {} : { name: 'http' }), containerPort: 8000 }] };
  const ports = injected?.ports.map(({ name, listen }) => ({ ...(name && { name }), containerPort: listen })) ?? [];
  const sidecar = { name: SIDECAR_CONTAINER, restartPolicy: 'Always', ports };
  return {
    metadata: {
      name,
      namespace,
      uid: `uid-of-${name}`,
      resourceVersion: '1',
      creationTimestamp: '2030-01-01T00:00:00Z',
      labels: { app: 'orders', ...(injected && { [LABELS.injected]: 'true' }), ...labels },
      annotations: { ...(injected && { [OWN_ANNOTATIONS.injected]: JSON.stringify(injected) }), ...annotations },
      ...rest,
    },
    spec: { containers: [app], ...(injected && { initContainers: [sidecar] }), nodeName: 'node-1', ...spec },
    status: {
      phase: 'Running',
      podIP: '127.0.0.1',
      conditions: [{ type: 'Ready', status: 'True' }],
      ...(injected && {
        initContainerStatuses: [{ name: SIDECAR_CONTAINER, restartCount, state: { running: {} } }],
      }),
      ...status,
    },
  };
}

/** What the sidecar of an example pod answers when it runs that bundle of `shop/orders`. */
export function exampleStatus({ serial, hash }: ExpectedBundle, changes: Partial<SidecarStatus> = {}): SidecarStatus {
  const access = { namespace: 'shop', name: 'orders', serial, hash, loadedAt: 1, error: null };
  const bundles = { access, limits: null, issuer: null };
  const keySets = { 'auth/trading': serial };
  return { uid: 'process-1', version: '0', bundles, keySets, draining: false, notReady: [], ...changes };
}

/** A cache that holds these objects, to be changed with `set` and `delete`. */
export function cacheOf<T extends KubeObject>(...objects: T[]): ObjectStore<T> {
  const cache = new ObjectStore<T>((error) => {
    throw error;
  });
  cache.replaceAll(objects);
  return cache;
}

let version = 1;

/** The object as it is after another write. */
export function written<T extends KubeObject>(object: T): T {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(++version) } };
}
