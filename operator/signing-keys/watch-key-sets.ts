import { LABELS } from '../../policy/api/names.ts';
import type { ObjectCache } from '../kube/kube-client.ts';
import type { Secret } from '../kube/objects.ts';
import type { CustomResource } from '../resources.ts';
import { nameOf } from '../workloads/pod-view.ts';
import { keySetIn, targetOf } from './key-set-targets.ts';

/** What is to be watched for key sets. */
export interface KeySetCaches {
  readonly keySets: ObjectCache<CustomResource>;
  /** Secrets of the operator's namespace. */
  readonly ownSecrets: ObjectCache<Secret>;
  /** Secrets with the label `allow-reference: "true"`. */
  readonly referableSecrets: ObjectCache<Secret>;
  /** Secrets that say they hold what apps read of a key set. */
  readonly exports: ObjectCache<Secret>;
}

/**
 * Calls `enqueue` with `namespace/name` of every key set, now and whenever it, another one with its target, a Secret written
 * for it or its recipients change. Returns what ends that. Acknowledgements are their own source's to announce.
 */
export function watchKeySets(
  { keySets, ownSecrets, referableSecrets, exports }: KeySetCaches,
  enqueue: (key: string) => void,
): () => void {
  const secretChanged = (secret: Secret): void => {
    const owner = ownerOf(secret);
    if (owner !== null) enqueue(nameOf({ metadata: owner }));
  };
  const unsubscribe = [
    keySets.onChange((now, before) => {
      const object = now ?? before;
      if (object === undefined) return;
      enqueue(nameOf(object));
      if (now?.metadata.generation !== before?.metadata.generation) enqueueRivals([now, before]);
    }),
    ownSecrets.onChange((now, before) => secretChanged((now ?? before)!)),
    exports.onChange((now, before) => {
      const secret = (now ?? before)!;
      // Whoever writes Secrets in one namespace says nothing about key sets of another.
      if (ownerOf(secret)?.namespace === secret.metadata.namespace) secretChanged(secret);
    }),
    referableSecrets.onChange((now, before) => {
      const { namespace = '', name } = (now ?? before)!.metadata;
      for (const object of keySets.inNamespace(namespace)) if (recipientsOf(object) === name) enqueue(nameOf(object));
    }),
  ];
  for (const object of keySets.all()) enqueue(nameOf(object));

  function enqueueRivals(versions: readonly (CustomResource | undefined)[]): void {
    const targets = new Set(versions.map((object) => (object === undefined ? null : targetOf(object))));
    targets.delete(null);
    const { namespace = '' } = versions.find((object) => object !== undefined)?.metadata ?? {};
    if (targets.size === 0) return;
    for (const object of keySets.inNamespace(namespace)) if (targets.has(targetOf(object))) enqueue(nameOf(object));
  }

  return () => {
    for (const end of unsubscribe) end();
  };
}

/** The key set that a Secret says it was written for. */
function ownerOf({ metadata: { labels = {} } }: Secret): { readonly namespace: string; readonly name: string } | null {
  const [namespace, name] = [labels[LABELS.ownerNamespace], labels[LABELS.ownerName]];
  return namespace === undefined || name === undefined ? null : { namespace, name };
}

function recipientsOf(object: CustomResource): string | null {
  return keySetIn(object)?.spec.escrow?.recipientsSecretRef.name ?? null;
}
