import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { defaultExportName, exportSuffixOf } from '../../policy/keys/exports.ts';
import { decoded } from '../bundles/gather-references.ts';
import type { CustomResource } from '../resources.ts';

/** The key set that an object is; null: its spec cannot be read. */
export function keySetIn(object: CustomResource): SigningKeySet | null {
  const found = decoded(object);
  return 'resource' in found && found.resource.kind === 'SigningKeySet' ? found.resource : null;
}

/** Name of the Secret, in its own namespace, that a key set writes for apps; null: none, or its spec cannot be read. */
export function targetOf(object: CustomResource): string | null {
  const resource = keySetIn(object);
  if (resource === null) return null;
  const suffix = exportSuffixOf(resource.spec.algorithm);
  return suffix === null ? null : (resource.spec.secretName ?? defaultExportName(resource.metadata.name, suffix));
}

/** The key set among those of its namespace to which the target of `object` belongs rather: the oldest; null: it has it. */
export function rivalOf(object: CustomResource, inNamespace: Iterable<CustomResource>): CustomResource | null {
  const target = targetOf(object);
  if (target === null) return null;
  for (const other of inNamespace) {
    if (other.metadata.name !== object.metadata.name && isOlder(other, object) && targetOf(other) === target) {
      return other;
    }
  }
  return null;
}

/** By creation, of which Kubernetes keeps whole seconds, then by name. */
function isOlder({ metadata: one }: CustomResource, { metadata: other }: CustomResource): boolean {
  const [at, otherAt] = [one, other].map(({ creationTimestamp }) => Date.parse(creationTimestamp ?? '') || 0);
  return at === otherAt ? one.name < other.name : (at ?? 0) < (otherAt ?? 0);
}
