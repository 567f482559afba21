import {
  type KubeClient,
  KubeError,
  type ListSelection,
  type ObjectCache,
  type ObjectList,
  type Preconditions,
} from '../kube-client.ts';
import { ObjectStore } from '../object-store.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../objects.ts';

/** A request as it came in. */
export interface MemoryRequest {
  readonly verb: 'get' | 'list' | 'create' | 'replace' | 'apply' | 'patch' | 'delete' | 'evict';
  readonly kind: string;
  readonly name: string;
}

type Stored = KubeObject & { readonly spec?: unknown; readonly status?: unknown };

/**
 * KubeClient in memory, with optimistic concurrency as the API server has it. Apply knows one field manager, and of the
 * selectors only equality of labels is understood. For tests.
 */
export class MemoryKubeClient implements KubeClient {
  readonly requests: MemoryRequest[] = [];
  /** Called before each request is carried out: may wait, or throw. */
  before: (request: MemoryRequest) => Promise<void> | void = () => undefined;
  readonly #objects = new Map<string, Stored>();
  readonly #listeners = new Set<(kind: string, object: Stored, gone: boolean) => void>();
  #version = 0;

  /** Objects of one kind as a reflector would have them, at once; `keep`: which. */
  cache<T extends KubeObject>(type: ResourceType<T>, keep: (object: T) => boolean = () => true): ObjectCache<T> {
    const store = new ObjectStore<T>((error) => {
      throw error;
    });
    store.replaceAll([...this.#ofKind(type)].filter(keep));
    this.#listeners.add((kind, object, gone) => {
      if (kind !== type.kind) return;
      if (!gone && keep(object as T)) store.set(object as T);
      else if (store.get(object.metadata)) store.delete(object.metadata);
    });
    return store;
  }

  async get<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey): Promise<T | null> {
    await this.#receive('get', type, key.name);
    return this.#find(type, key) ?? null;
  }

  async list<T extends KubeObject>(type: ResourceType<T>, selection: ListSelection = {}): Promise<ObjectList<T>> {
    await this.#receive('list', type, '');
    const labels = (selection.labelSelector ?? '').split(',').filter((pair) => pair !== '');
    const items = [...this.#ofKind(type)].filter(({ metadata }) => {
      if (selection.namespace !== undefined && selection.namespace !== metadata.namespace) return false;
      return labels.every((pair) => {
        const [name = '', value] = pair.split('=');
        return metadata.labels?.[name] === value;
      });
    });
    return { items: items.slice(0, selection.limit), resourceVersion: String(this.#version) };
  }

  async create<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<T> {
    await this.#receive('create', type, object.metadata.name);
    if (this.#find(type, object.metadata)) throw refusal(409, 'AlreadyExists', object.metadata.name);
    const uid = `uid-${this.#version + 1}`;
    return this.#put(type, { ...object, metadata: { generation: 1, ...object.metadata, uid } });
  }

  async replace<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<T> {
    await this.#receive('replace', type, object.metadata.name);
    const found = this.#existing(type, object.metadata);
    const { uid, resourceVersion } = object.metadata;
    if (uid !== undefined && uid !== found.metadata.uid) throw refusal(409, 'Conflict', object.metadata.name);
    if (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion) {
      throw refusal(409, 'Conflict', object.metadata.name);
    }
    return this.#put(type, { ...object, metadata: { ...object.metadata, ...kept(found) } });
  }

  async apply<T extends KubeObject>(type: ResourceType<T>, object: T, subresource?: 'status'): Promise<T> {
    await this.#receive('apply', type, object.metadata.name);
    const found = this.#find(type, object.metadata);
    if (subresource === 'status') {
      const existing = this.#existing(type, object.metadata);
      const { uid } = object.metadata;
      if (uid !== undefined && uid !== existing.metadata.uid) throw refusal(409, 'Conflict', object.metadata.name);
      return this.#put(type, { ...existing, status: (object as Stored).status });
    }
    if (!found)
      return this.#put(type, { ...object, metadata: { ...object.metadata, uid: `uid-${this.#version + 1}` } });
    return this.#put(type, merged(found, object) as T);
  }

  async patch<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey, patch: object): Promise<T> {
    await this.#receive('patch', type, key.name);
    const found = this.#existing(type, key);
    const version = (patch as { metadata?: { resourceVersion?: string } }).metadata?.resourceVersion;
    if (version !== undefined && version !== found.metadata.resourceVersion) throw refusal(409, 'Conflict', key.name);
    return this.#put(type, merged(found, patch) as T);
  }

  async delete<T extends KubeObject>(
    type: ResourceType<T>,
    key: ObjectKey,
    only: Preconditions = {},
  ): Promise<boolean> {
    await this.#receive('delete', type, key.name);
    const found = this.#find(type, key);
    const { uid = found?.metadata.uid, resourceVersion = found?.metadata.resourceVersion } = only;
    if (!found || uid !== found.metadata.uid || resourceVersion !== found.metadata.resourceVersion) return false;
    this.#objects.delete(idOf(type, key));
    this.#version++;
    for (const listener of this.#listeners) listener(type.kind, found, true);
    return true;
  }

  async evict(pod: ObjectKey): Promise<void> {
    this.requests.push({ verb: 'evict', kind: 'Pod', name: pod.name });
  }

  async #receive(verb: MemoryRequest['verb'], { kind }: ResourceType<KubeObject>, name: string): Promise<void> {
    const request = { verb, kind, name };
    this.requests.push(request);
    await this.before(request);
  }

  #find<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey): T | undefined {
    return this.#objects.get(idOf(type, key)) as T | undefined;
  }

  #existing<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey): T {
    const found = this.#find(type, key);
    if (!found) throw refusal(404, 'NotFound', key.name);
    return found;
  }

  *#ofKind<T extends KubeObject>(type: ResourceType<T>): Iterable<T> {
    for (const [id, object] of this.#objects) if (id.startsWith(`${type.kind} `)) yield object as unknown as T;
  }

  #put<T extends KubeObject>(type: ResourceType<T>, object: T): T {
    const before = this.#objects.get(idOf(type, object.metadata));
    const changed = before && JSON.stringify((object as Stored).spec) !== JSON.stringify(before.spec);
    const generation = (before?.metadata.generation ?? 1) + (changed ? 1 : 0);
    const resourceVersion = String(++this.#version);
    const stored = { ...object, metadata: { ...object.metadata, generation, resourceVersion } };
    this.#objects.set(idOf(type, object.metadata), stored);
    for (const listener of this.#listeners) listener(type.kind, stored, false);
    return stored;
  }
}

function idOf({ kind }: ResourceType<KubeObject>, { namespace, name }: ObjectKey): string {
  return `${kind} ${namespace ?? ''}/${name}`;
}

function kept({ metadata: { uid } }: KubeObject): { uid?: string } {
  return uid === undefined ? {} : { uid };
}

function refusal(status: number, reason: string, name: string): KubeError {
  return new KubeError(status, reason, `${reason}: ${name}`);
}

/** RFC 7386. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof target === 'object' && target !== null ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
}
