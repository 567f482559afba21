import { MUTATING, VALIDATING } from '../../operator/injection/certificates-reconcile.ts';
import type { HttpsKubeClient } from '../../operator/kube/https-kube-client.ts';
import { type KubeObject, NAMESPACES, NODES, PODS, type ResourceType, SERVICES } from '../../operator/kube/objects.ts';
import { ACCESS_POLICIES, SIGNING_KEY_SETS } from '../../operator/resources.ts';
import type { ClusterObjects } from './cluster-objects.ts';

const AT_ONCE = 32;

/** Creates everything but the namespaces, which the bundle key needs before. No webhook calls the operator here. */
export async function fillCluster(
  client: HttpsKubeClient,
  objects: ClusterObjects,
  webhooks: { readonly mutatingConfiguration: string; readonly validatingConfiguration: string },
): Promise<void> {
  const create = <T extends KubeObject>(type: ResourceType<T>, given: readonly T[]): Promise<void> =>
    inParallel(given, async (object) => void (await client.create(type, object)));
  await create(MUTATING, [{ metadata: { name: webhooks.mutatingConfiguration } }]);
  await create(VALIDATING, [{ metadata: { name: webhooks.validatingConfiguration } }]);
  await create(NODES, [objects.node]);
  await create(SIGNING_KEY_SETS, objects.keySets);
  await create(ACCESS_POLICIES, objects.policies);
  await create(SERVICES, objects.services);
  await inParallel(objects.pods, async (pod) => {
    const { namespace = '', name } = (await client.create(PODS, pod)).metadata;
    await client.patch(PODS, { namespace, name }, { status: pod.status }, { subresource: 'status', strategic: true });
  });
}

/** Creates the namespaces. */
export function createNamespaces(client: HttpsKubeClient, names: readonly string[]): Promise<void> {
  return inParallel(names, async (name) => void (await client.create(NAMESPACES, { metadata: { name } })));
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
