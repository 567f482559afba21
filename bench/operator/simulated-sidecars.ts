import type { KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isSigned, readBundle } from '../../operator/bundles/bundle-secret.ts';
import { memoised } from '../../operator/bundles/memoised.ts';
import { type KubeObject, PODS, type Pod, SECRETS, type Secret } from '../../operator/kube/objects.ts';
import { Reflector, type ReflectorOptions } from '../../operator/kube/reflector.ts';
import { injectedOf, podView } from '../../operator/workloads/pod-view.ts';
import { accessSecretName, LABELS, OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import type { SidecarStatus } from '../../runtime/sidecar-status.ts';

/** How caches of the bench are made. */
export type ReflectorParts = Pick<ReflectorOptions<KubeObject>, 'client' | 'log' | 'metrics'>;

/** The part of a status that a bundle decides. */
type Loaded = Pick<SidecarStatus, 'bundles' | 'keySets'>;

interface SimulatedPod {
  readonly namespace: string;
  readonly policy: string;
  touched: string | undefined;
  loaded: Loaded;
  /** When the kubelet looks at the Secret by itself. */
  later: NodeJS.Timeout | undefined;
}

/** As measured with a real kubelet (docs/benchmarks.md): from a touched annotation until the sidecar has the bundle. */
const TOUCHED_MS = { least: 380, most: 670 };
const UNTOUCHED_MS = 60_000;

/** Every injected pod of the cluster: its kubelet mounts bundles, its sidecar says at /status which it has. */
export class SimulatedSidecars {
  readonly #byAddress = new Map<string, SimulatedPod>();
  readonly #byPolicy = new Map<string, Set<SimulatedPod>>();
  readonly #server = createServer({ keepAliveTimeout: 30_000 }, (request, response) => {
    const status = request.url === '/status' ? this.#statusAt(request.socket.localAddress ?? '') : null;
    response.writeHead(status === null ? 404 : 200, { 'content-type': 'application/json; charset=utf-8' });
    response.end(status === null ? '' : JSON.stringify(status));
  });
  readonly #caches: Pick<Reflector<KubeObject>, 'start' | 'stop' | 'whenSynced'>[] = [];

  /** Listens on every address of this machine, a pod's is one of them; resolves to the port, the admin port of all. */
  async listen(): Promise<number> {
    this.#server.listen(0, '0.0.0.0');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** Begins to watch pods and bundles; resolves when all that are there are known. */
  async follow(parts: ReflectorParts, publicKey: KeyObject): Promise<void> {
    const selection = { labelSelector: `${LABELS.holds}=bundle` };
    const bundles = new Reflector<Secret>({ ...parts, type: SECRETS, selection });
    const pods = new Reflector<Pod>({ ...parts, type: PODS, keep: podView });
    this.#caches.push(bundles, pods);
    const loadedFrom = memoised((secret: Secret) => loaded(secret, publicKey));
    const mount = (pod: SimulatedPod): void => {
      const secret = bundles.get({ namespace: pod.namespace, name: accessSecretName(pod.policy) });
      clearTimeout(pod.later);
      pod.loaded = (secret && loadedFrom(secret)) ?? pod.loaded;
    };
    pods.onChange((now) => now && this.#podChanged(now, mount));
    bundles.onChange((now) => now && this.#bundleChanged(now, mount));
    for (const cache of this.#caches) {
      cache.start();
      await cache.whenSynced();
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#caches.map((cache) => cache.stop()));
    for (const pod of this.#byAddress.values()) clearTimeout(pod.later);
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #statusAt(address: string): SidecarStatus | null {
    const pod = this.#byAddress.get(address);
    return pod === undefined ? null : { uid: address, version: '0.1.0', ...pod.loaded, draining: false, notReady: [] };
  }

  #podChanged(now: Pod, mount: (pod: SimulatedPod) => void): void {
    const address = now.status?.podIP;
    const injected = injectedOf(now);
    if (address === undefined || injected === null) return;
    const { namespace = '' } = now.metadata;
    const known = this.#byAddress.get(address) ?? this.#add(address, namespace, injected.accessPolicy);
    const touched = now.metadata.annotations?.[OWN_ANNOTATIONS.touched];
    if (touched === known.touched) return;
    known.touched = touched;
    const { least, most } = TOUCHED_MS;
    setTimeout(() => mount(known), least + Math.random() * (most - least));
  }

  #add(address: string, namespace: string, policy: string): SimulatedPod {
    const access = { namespace, name: policy, serial: 0, hash: '', loadedAt: 0, error: null };
    const loaded = { bundles: { access, limits: null, issuer: null }, keySets: {} };
    const pod: SimulatedPod = { namespace, policy, touched: undefined, loaded, later: undefined };
    this.#byAddress.set(address, pod);
    const secret = `${namespace}/${accessSecretName(policy)}`;
    this.#byPolicy.set(secret, (this.#byPolicy.get(secret) ?? new Set()).add(pod));
    return pod;
  }

  #bundleChanged({ metadata: { namespace, name } }: Secret, mount: (pod: SimulatedPod) => void): void {
    for (const pod of this.#byPolicy.get(`${namespace}/${name}`) ?? []) {
      clearTimeout(pod.later);
      pod.later = setTimeout(() => mount(pod), UNTOUCHED_MS);
    }
  }
}

/** Null: nothing that a sidecar believes. */
function loaded(secret: Secret, publicKey: KeyObject): Loaded | null {
  const { [LABELS.ownerNamespace]: namespace = '', [LABELS.ownerName]: name = '' } = secret.metadata.labels ?? {};
  const reading = readBundle(secret, { kind: 'Access', namespace, name }, publicKey);
  if (!isSigned(reading) || reading.bundle.kind !== 'Access') return null;
  const { serial, jwt } = reading.bundle;
  const access = { namespace, name, serial, hash: reading.hash, loadedAt: Date.now(), error: null };
  const keySets = Object.fromEntries(jwt.map(({ keySet, keySetSerial }) => [keySet ?? '', keySetSerial]));
  return { bundles: { access, limits: null, issuer: null }, keySets };
}
