import { isDeepStrictEqual } from 'node:util';
import { ANNOTATIONS } from '../../policy/api/names.ts';
import {
  type EventRecorder,
  type KubeClient,
  KubeError,
  type ListSelection,
  type ObjectCache,
  type Reconcile,
} from '../kube/kube-client.ts';
import type { Namespace, Service } from '../kube/objects.ts';
import { CERTIFICATES, type Certificate, type CertificatePlan, planCertificates } from './certificates.ts';
import { isOurs, MANAGED_BY } from './network-policies.ts';

/** What the keeper of Certificates works with. */
export interface CertificateKeeperParts {
  readonly client: Pick<KubeClient, 'list' | 'apply' | 'delete'>;
  readonly namespaces: ObjectCache<Namespace>;
  readonly services: ObjectCache<Service>;
  readonly events: EventRecorder;
  /** Namespaces whose pods are never injected. */
  readonly excluded: ReadonlySet<string>;
}

/** There may be no such kind to watch: so often what is there is compared with what was asked for. */
const LOOK_MS = 10 * 60_000;
const WAIT_FOR_CERT_MANAGER_MS = 60_000;

const LABEL_SELECTOR = Object.entries(MANAGED_BY)
  .map(([label, value]) => `${label}=${value}`)
  .join();

/** What to do where `tls-issuer` is written and there is no cert-manager. */
export const NO_CERT_MANAGER = `${ANNOTATIONS.tlsIssuer}: this cluster has no cert-manager (CustomResourceDefinition certificates.cert-manager.io): install it, or write ${ANNOTATIONS.tlsSecret}: NAME; until then pods stay unready`;

/** Keeps the Certificates of `tls-issuer`, by key `namespace`: writes, corrects and removes ours. Costs nothing where nobody asks. */
export function createCertificateKeeper(parts: CertificateKeeperParts): Reconcile {
  const { client, events } = parts;
  /** Namespaces that may have some of ours; those of an earlier leader are looked for once. */
  let known: Promise<Set<string>> | null = null;
  const findKnown = async (): Promise<Set<string>> => {
    const items = await listed(client, { labelSelector: LABEL_SELECTOR });
    return new Set(items?.map(({ metadata }) => metadata.namespace ?? ''));
  };
  const say = ({ services }: CertificatePlan, reason: string, message: string): void => {
    for (const service of services)
      events.record({ about: { ...service, apiVersion: 'v1', kind: 'Service' }, type: 'Warning', reason, message });
  };

  return async (name) => {
    const namespace = parts.namespaces.get({ name });
    if (namespace === undefined || namespace.metadata.deletionTimestamp || parts.excluded.has(name))
      return { afterMs: null };
    known ??= findKnown();
    const held = await known.catch((error: unknown) => {
      known = null;
      throw error;
    });
    const plans = planCertificates(namespace, parts.services.inNamespace(name));
    if (plans.length === 0 && !held.has(name)) return { afterMs: null };

    const found = await listed(client, { namespace: name });
    if (found === null) {
      held.delete(name);
      for (const plan of plans) say(plan, 'CertManagerMissing', NO_CERT_MANAGER);
      return { afterMs: plans.length > 0 ? WAIT_FOR_CERT_MANAGER_MS : null };
    }
    held.add(name);
    const wanted = new Set<string>();
    for (const plan of plans) {
      if ('refused' in plan) {
        say(plan, 'CertificateNotIssued', plan.refused);
        continue;
      }
      const { certificate } = plan;
      const secret = certificate.metadata.name;
      wanted.add(secret);
      const before = found.find(({ metadata }) => metadata.name === secret);
      if (before !== undefined && !isOurs(before)) {
        const message = `there is a Certificate ${secret} that is not ours: remove ${ANNOTATIONS.tlsIssuer} and go on with it, or write another ${ANNOTATIONS.tlsSecret}`;
        say(plan, 'CertificateNotIssued', message);
      } else if (!isAsWanted(before, certificate)) await client.apply(CERTIFICATES, certificate);
    }
    for (const { metadata } of found.filter(isOurs))
      if (!wanted.has(metadata.name))
        await client.delete(CERTIFICATES, { namespace: name, name: metadata.name }, { uid: metadata.uid });
    if (plans.length === 0) held.delete(name);
    return { afterMs: plans.length > 0 ? LOOK_MS : null };
  };
}

/** Null: there is no such kind. */
async function listed(
  client: Pick<KubeClient, 'list'>,
  selection: ListSelection,
): Promise<readonly Certificate[] | null> {
  try {
    return (await client.list(CERTIFICATES, selection)).items;
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return null;
    throw error;
  }
}

/** Whether cert-manager is there, as far as can be told. */
export async function hasCertManager(client: Pick<KubeClient, 'list'>, namespace: string): Promise<boolean> {
  const unsure = () => [];
  return (await listed(client, { namespace, limit: 1 }).catch(unsure)) !== null;
}

/** cert-manager adds members of its own. */
function isAsWanted(before: Certificate | undefined, { metadata, spec }: Certificate): boolean {
  const owners = ({ ownerReferences = [] }: Certificate['metadata']) => ownerReferences.map(({ uid }) => uid).sort();
  return (
    before?.spec !== undefined &&
    isDeepStrictEqual(owners(before.metadata), owners(metadata)) &&
    includes(before.spec, spec)
  );
}

function includes(found: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted)) return isDeepStrictEqual(found, wanted);
  if (typeof found !== 'object' || found === null) return false;
  return Object.entries(wanted).every(([name, value]) => includes(found[name as keyof typeof found], value));
}
