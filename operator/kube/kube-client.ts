import type { KubeObject, ObjectKey, ResourceType } from './objects.ts';

/** The field manager of everything that is applied. */
export const FIELD_MANAGER = 'portcullis';

/** What the API server refused. Never holds what was sent: it may be a Secret. */
export class KubeError extends Error {
  /** HTTP status; 0: there was no answer (connection refused, reset, timed out). */
  readonly status: number;
  /** metav1.Status reason such as `NotFound`, `AlreadyExists`, `Conflict`, `Gone`, `Invalid`, `Forbidden`, `TooManyRequests`. */
  readonly reason: string;
  /** What the server asked to wait before trying again, in milliseconds; null: it did not say. */
  readonly retryAfterMs: number | null;

  constructor(
    status: number,
    reason: string,
    message: string,
    options: { cause?: unknown; retryAfterMs?: number | null } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KubeError';
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

/** Which objects a list or a watch is about. */
export interface Selection {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/** Which objects a list is about. */
export interface ListSelection extends Selection {
  /** The first ones only, so many at most. Absent: all. */
  readonly limit?: number;
}

/** Which object is meant, or which version of it (meta/v1 Preconditions). */
export interface Preconditions {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

/** One list: all pages that were asked for. */
export interface ObjectList<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

/** Requests to a Kubernetes API server. Every method throws KubeError. */
export interface KubeClient {
  /** Null when there is none. */
  get<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey): Promise<T | null>;
  /** Reads page by page. */
  list<T extends KubeObject>(type: ResourceType<T>, selection?: ListSelection): Promise<ObjectList<T>>;
  /** Reason AlreadyExists when there is one. */
  create<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<T>;
  /** PUT with the object's resourceVersion: reason Conflict when another writer was first. */
  replace<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<T>;
  /** Server-side apply (KEP-555), forced, as FIELD_MANAGER: sets exactly the fields given. */
  apply<T extends KubeObject>(type: ResourceType<T>, object: T, subresource?: 'status'): Promise<T>;
  /** JSON merge patch (RFC 7386); `strategic` for lists with merge keys in built-in kinds, such as a pod's conditions. */
  patch<T extends KubeObject>(
    type: ResourceType<T>,
    key: ObjectKey,
    patch: object,
    options?: { readonly subresource?: 'status'; readonly strategic?: boolean },
  ): Promise<T>;
  /** Whether there was one; `only`: this very object, or this version of it. */
  delete<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey, only?: Preconditions): Promise<boolean>;
  /** Asks for a pod's eviction (policy/v1): PodDisruptionBudgets are honoured, reason TooManyRequests when one forbids it. */
  evict(pod: ObjectKey): Promise<void>;
}

/** What a reflector holds: the objects of one selection as last seen. Objects are shared: never change them. */
export interface ObjectCache<T extends KubeObject> {
  get(key: ObjectKey): T | undefined;
  all(): Iterable<T>;
  inNamespace(namespace: string): Iterable<T>;
  /** Whether a first complete list has been seen. */
  readonly synced: boolean;
  /** Calls on each change after the object is in the cache; `now` undefined: deleted; `before` undefined: new. Returns what unsubscribes. */
  onChange(listener: (now: T | undefined, before: T | undefined) => void): () => void;
}

/** What a reconciliation asks for: to come again after a while (milliseconds), or null: when something changes. */
export interface Requeue {
  readonly afterMs: number | null;
}

/** The work of one controller: brings the object of that name where it should be. The key is `namespace/name`, or `name`. */
export type Reconcile = (key: string) => Promise<Requeue>;

/** A Kubernetes Event about an object. */
export interface EventRecord {
  readonly about: KubeObject & { readonly apiVersion?: string; readonly kind?: string };
  readonly type: 'Normal' | 'Warning';
  /** UpperCamelCase. */
  readonly reason: string;
  readonly message: string;
}

/** Records Events: the same about the same object is folded into one with a count; never throws, never waits. */
export interface EventRecorder {
  record(event: EventRecord): void;
}
