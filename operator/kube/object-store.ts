import type { ObjectCache } from './kube-client.ts';
import type { KubeObject, ObjectKey } from './objects.ts';

type Listener<T> = Parameters<ObjectCache<T & KubeObject>['onChange']>[0];

/** Objects by namespace and name; tells listeners what changes. */
export class ObjectStore<T extends KubeObject> implements ObjectCache<T> {
  readonly #onListenerError: (error: unknown) => void;
  readonly #listeners = new Set<Listener<T>>();
  /** Namespaces without objects are left out. */
  #namespaces = new Map<string, Map<string, T>>();
  #synced = false;

  /** `onListenerError` is told what a listener threw; the others are called all the same. */
  constructor(onListenerError: (error: unknown) => void) {
    this.#onListenerError = onListenerError;
  }

  get(key: ObjectKey): T | undefined {
    return this.#namespaces.get(key.namespace ?? '')?.get(key.name);
  }

  *all(): Iterable<T> {
    for (const objects of this.#namespaces.values()) yield* objects.values();
  }

  inNamespace(namespace: string): Iterable<T> {
    return this.#namespaces.get(namespace)?.values() ?? [];
  }

  get synced(): boolean {
    return this.#synced;
  }

  onChange(listener: Listener<T>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Puts an object in, new or changed; one that is there in this very version is no change. */
  set(object: T): void {
    const before = this.get(object.metadata);
    this.#put(object);
    this.#tell(object, before);
  }

  /** Takes an object out. */
  delete(key: ObjectKey): void {
    const before = this.get(key);
    const namespace = key.namespace ?? '';
    const objects = this.#namespaces.get(namespace);
    objects?.delete(key.name);
    if (objects?.size === 0) this.#namespaces.delete(namespace);
    this.#tell(undefined, before);
  }

  /** Makes these all there are. Listeners are called when everything is in place. */
  replaceAll(objects: readonly T[]): void {
    const gone = new Map([...this.all()].map((object) => [object, object.metadata]));
    const changes = objects.map((object) => {
      const before = this.get(object.metadata);
      if (before) gone.delete(before);
      return { object, before };
    });
    this.#namespaces = new Map();
    for (const object of objects) this.#put(object);
    this.#synced = true;
    for (const before of gone.keys()) this.#tell(undefined, before);
    for (const { object, before } of changes) this.#tell(object, before);
  }

  #put(object: T): void {
    const namespace = object.metadata.namespace ?? '';
    const objects = this.#namespaces.get(namespace) ?? new Map<string, T>();
    this.#namespaces.set(namespace, objects.set(object.metadata.name, object));
  }

  #tell(now: T | undefined, before: T | undefined): void {
    // A name that was deleted and made again unseen is another object.
    if (now && before && now.metadata.uid !== before.metadata.uid) {
      this.#tell(undefined, before);
      this.#tell(now, undefined);
      return;
    }
    const version = now?.metadata.resourceVersion;
    if (now === before || (version !== undefined && version === before?.metadata.resourceVersion)) return;
    for (const listener of this.#listeners) {
      try {
        listener(now, before);
      } catch (error) {
        this.#onListenerError(error);
      }
    }
  }
}
