import type { Preconditions } from '../../kube/kube-client.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../../kube/objects.ts';
import { MemoryKubeClient } from '../../kube/testing/memory-kube-client.ts';

/** A MemoryKubeClient with finalizers as the API server has them. */
export class FinalizingKubeClient extends MemoryKubeClient {
  override async delete<T extends KubeObject>(
    type: ResourceType<T>,
    key: ObjectKey,
    only?: Preconditions,
  ): Promise<boolean> {
    const found = await this.get(type, key);
    if ((found?.metadata.finalizers ?? []).length === 0) return super.delete(type, key, only);
    await this.patch(type, key, { metadata: { deletionTimestamp: '2030-01-01T00:00:00Z' } });
    return true;
  }

  override async patch<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey, patch: object): Promise<T> {
    const patched = await super.patch(type, key, patch);
    const { deletionTimestamp, finalizers = [] } = patched.metadata;
    if (deletionTimestamp !== undefined && finalizers.length === 0) await super.delete(type, key);
    return patched;
  }
}
