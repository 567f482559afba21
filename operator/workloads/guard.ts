import { ANNOTATIONS, LABELS } from '../../policy/api/names.ts';
import type { Clock } from '../kube/clock.ts';
import type { KubeClient, ObjectCache, Reconcile } from '../kube/kube-client.ts';
import { type KubeObject, NAMESPACES, type Namespace, SERVICES, type Service } from '../kube/objects.ts';
import { namespacePolicy } from './coverage-settings.ts';

/** What the guard works with. */
export interface GuardParts {
  readonly client: Pick<KubeClient, 'list' | 'patch'>;
  readonly namespaces: ObjectCache<Namespace>;
  readonly services: ObjectCache<Service>;
  readonly clock: Clock;
  /** Namespaces whose pods are never injected. */
  readonly excluded: ReadonlySet<string>;
}

/** A Service may be on its way from the webhook, which labels, to the cache: so long is waited before a label is removed. */
const LINGER_MS = 60_000;

/** Whether the pods of a namespace have to go through the injector: it or one of its Services asks for protection. */
export function needsGuard(namespace: Namespace, services: Iterable<Service>): boolean {
  const { labels } = namespace.metadata;
  const labelled = labels?.[LABELS.policy] !== undefined && namespacePolicy(namespace).word !== 'Disabled';
  return labelled || asks(namespace) || [...services].some(asks);
}

function asks({ metadata }: KubeObject): boolean {
  return metadata.annotations?.[ANNOTATIONS.accessPolicy] !== undefined;
}

/**
 * Keeps the label `portcullis.dev/guarded` on the namespaces that need it, by key `namespace`. The webhook of Services sets it
 * at once; this is what holds when a webhook was missed, and what removes it.
 */
export function createGuard({ client, namespaces, services, clock, excluded }: GuardParts): Reconcile {
  /** Since when nothing asks any more. */
  const idleSince = new Map<string, number>();

  return async (name) => {
    const namespace = namespaces.get({ name });
    const guarded = namespace?.metadata.labels?.[LABELS.guarded] === 'true';
    const needed = namespace !== undefined && needsGuard(namespace, services.inNamespace(name));
    if (namespace === undefined || excluded.has(name) || needed === guarded) {
      idleSince.delete(name);
      return { afterMs: null };
    }
    if (needed) {
      await client.patch(NAMESPACES, { name }, { metadata: { labels: { [LABELS.guarded]: 'true' } } });
      return { afterMs: null };
    }
    const since = idleSince.get(name) ?? clock.now();
    idleSince.set(name, since);
    const waitMs = since + LINGER_MS - clock.now();
    if (waitMs > 0) return { afterMs: waitMs };
    const { items } = await client.list(SERVICES, { namespace: name });
    if (needsGuard(namespace, items)) return { afterMs: LINGER_MS };
    await client.patch(NAMESPACES, { name }, { metadata: { labels: { [LABELS.guarded]: null } } });
    return { afterMs: null };
  };
}
