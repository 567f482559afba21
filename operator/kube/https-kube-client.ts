import type { KubeConfig } from '@kubernetes/client-node';
import { ApiConnection, type ApiRequest, type ConnectionOptions } from './api-connection.ts';
import {
  FIELD_MANAGER,
  type KubeClient,
  KubeError,
  type ListSelection,
  type ObjectList,
  type Preconditions,
  type Selection,
} from './kube-client.ts';
import { loadKubeConfig } from './kube-config.ts';
import type { KubeObject, ObjectKey, ResourceType } from './objects.ts';
import { readWatch, type WatchEvent, type WatchRequest } from './watch-stream.ts';

const PAGE = 500;
const PATCH_TYPES = { merge: 'application/merge-patch+json', strategic: 'application/strategic-merge-patch+json' };
/** Unknown fields are refused rather than dropped, and changes are ours in managedFields. */
const WRITE = { fieldManager: FIELD_MANAGER, fieldValidation: 'Strict' };

/** Opens a client of the API server; default: the one that `loadKubeConfig` finds. Nothing is sent yet. */
export function connectKubeClient(
  kubeConfig: KubeConfig = loadKubeConfig(),
  options: ConnectionOptions = {},
): HttpsKubeClient {
  return new HttpsKubeClient(new ApiConnection(kubeConfig, options));
}

/** KubeClient over HTTPS, with lists and watches for reflectors. Objects read have apiVersion and kind, but no managedFields. */
export class HttpsKubeClient implements KubeClient {
  readonly #api: ApiConnection;

  constructor(api: ApiConnection) {
    this.#api = api;
  }

  async get<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey): Promise<T | null> {
    try {
      return await this.#one(type, { method: 'GET', path: objectPath(type, key) });
    } catch (error) {
      if (isReason(error, 'NotFound')) return null;
      throw error;
    }
  }

  /** `keep`: what is kept of each object, page by page. */
  async list<T extends KubeObject>(
    type: ResourceType<T>,
    selection: ListSelection = {},
    keep?: (object: T) => T,
  ): Promise<ObjectList<T>> {
    try {
      return await this.#pages(type, selection, keep);
    } catch (error) {
      // A list that took longer than etcd keeps its snapshot (5 min) is begun again, once.
      if (isReason(error, 'Expired') || isReason(error, 'Gone')) return this.#pages(type, selection, keep);
      throw error;
    }
  }

  /** Changes since `resourceVersion`, until the server ends the watch as asked; throws KubeError when it ends otherwise. */
  async *watch<T extends KubeObject>(
    type: ResourceType<T>,
    { namespace, ...selectors }: Selection,
    request: WatchRequest,
  ): AsyncGenerator<WatchEvent<T>> {
    const query = { ...selectors, ...watchQuery(request) };
    const path = collectionPath(type, namespace);
    const open = (signal: AbortSignal) => this.#api.stream({ method: 'GET', path, query }, signal);
    for await (const event of readWatch<T>(request, open)) {
      withoutManagedFields(event.object);
      yield event;
    }
  }

  create<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<T> {
    const path = collectionPath(type, object.metadata.namespace);
    return this.#one(type, { method: 'POST', path, query: WRITE, body: typed(type, object) });
  }

  replace<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<T> {
    const path = objectPath(type, object.metadata);
    return this.#one(type, { method: 'PUT', path, query: WRITE, body: typed(type, object) });
  }

  apply<T extends KubeObject>(type: ResourceType<T>, object: T, subresource?: 'status'): Promise<T> {
    return this.#one(type, {
      method: 'PATCH',
      path: objectPath(type, object.metadata, subresource),
      query: { ...WRITE, force: 'true' },
      body: typed(type, object),
      contentType: 'application/apply-patch+yaml',
    });
  }

  patch<T extends KubeObject>(
    type: ResourceType<T>,
    key: ObjectKey,
    patch: object,
    options: { readonly subresource?: 'status'; readonly strategic?: boolean } = {},
  ): Promise<T> {
    return this.#one(type, {
      method: 'PATCH',
      path: objectPath(type, key, options.subresource),
      query: WRITE,
      body: patch,
      contentType: options.strategic ? PATCH_TYPES.strategic : PATCH_TYPES.merge,
    });
  }

  async delete<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey, only?: Preconditions): Promise<boolean> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: only };
    try {
      await this.#api.json({ method: 'DELETE', path: objectPath(type, key), body });
      return true;
    } catch (error) {
      // With preconditions, Conflict says that another object or version has the name by now.
      if (isReason(error, 'NotFound') || (only !== undefined && isReason(error, 'Conflict'))) return false;
      throw error;
    }
  }

  async evict(pod: ObjectKey): Promise<void> {
    const path = `/api/v1/namespaces/${encodeURIComponent(pod.namespace ?? '')}/pods/${encodeURIComponent(pod.name)}/eviction`;
    const metadata = { namespace: pod.namespace, name: pod.name };
    await this.#api.json({ method: 'POST', path, body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata } });
  }

  /** Closes the connections that nothing uses. */
  close(): void {
    this.#api.close();
  }

  async #one<T extends KubeObject>(type: ResourceType<T>, request: ApiRequest): Promise<T> {
    return withoutManagedFields(typed(type, (await this.#api.json(request)) as T));
  }

  async #pages<T extends KubeObject>(
    type: ResourceType<T>,
    { namespace, limit: most = Number.POSITIVE_INFINITY, ...selectors }: ListSelection,
    keep: (object: T) => T = (object) => object,
  ): Promise<ObjectList<T>> {
    const path = collectionPath(type, namespace);
    const items: T[] = [];
    let next: string | undefined;
    let limit = Math.min(PAGE, most);
    for (;;) {
      const query = { ...selectors, limit: String(limit), continue: next };
      let page: Page<T>;
      try {
        page = (await this.#api.json({ method: 'GET', path, query })) as Page<T>;
      } catch (error) {
        // Users can make any object as large as etcd takes.
        if (!isReason(error, 'TooLarge') || limit === 1) throw error;
        limit = Math.ceil(limit / 8);
        continue;
      }
      for (const item of page.items ?? []) items.push(keep(withoutManagedFields(typed(type, item))));
      next = page.metadata.continue || undefined;
      if (next === undefined || items.length >= most) return { items, resourceVersion: page.metadata.resourceVersion };
    }
  }
}

interface Page<T> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly T[] | null;
}

/** Path of a resource's objects: all of them, or those of a namespace. */
function collectionPath(type: ResourceType<KubeObject>, namespace: string | undefined): string {
  const group = type.apiVersion.includes('/') ? 'apis' : 'api';
  const within = type.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `/${group}/${type.apiVersion}${within}/${type.plural}`;
}

function objectPath(type: ResourceType<KubeObject>, key: ObjectKey, subresource?: string): string {
  const path = `${collectionPath(type, key.namespace)}/${encodeURIComponent(key.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/** Items of lists come without apiVersion and kind. */
function typed<T extends KubeObject>(type: ResourceType<T>, object: T): T {
  return object.kind === undefined ? { apiVersion: type.apiVersion, kind: type.kind, ...object } : object;
}

/** Often half of an object, and of no use to a reader. */
function withoutManagedFields<T extends KubeObject>(object: T): T {
  delete (object.metadata as { managedFields?: unknown }).managedFields;
  return object;
}

function isReason(error: unknown, reason: string): boolean {
  return error instanceof KubeError && error.reason === reason;
}

function watchQuery(request: WatchRequest): Record<string, string> {
  return {
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: request.resourceVersion,
    timeoutSeconds: String(Math.round(request.timeoutSeconds)),
  };
}
