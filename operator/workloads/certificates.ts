import type { KubeObject, Namespace, ResourceType, Service } from '../kube/objects.ts';
import { readAnnotations } from './coverage-annotations.ts';
import { isHeadless } from './coverage-ports.ts';
import { namespacePolicy } from './coverage-settings.ts';
import { readIssuer, tlsChoice } from './coverage-tls.ts';
import { MANAGED_BY } from './network-policies.ts';

/** Certificate of cert-manager.io/v1, as much as is written and looked at. */
export interface Certificate extends KubeObject {
  readonly spec?: {
    readonly secretName: string;
    readonly dnsNames: readonly string[];
    readonly issuerRef: { readonly name: string; readonly kind: string; readonly group: string };
    readonly usages: readonly string[];
    readonly privateKey: { readonly algorithm: string; readonly size: number; readonly rotationPolicy: string };
  };
}

/** Where Certificates are, in clusters that have cert-manager. */
export const CERTIFICATES: ResourceType<Certificate> = {
  apiVersion: 'cert-manager.io/v1',
  kind: 'Certificate',
  plural: 'certificates',
  namespaced: true,
};

/** What is to be done about one Secret: the Certificate that fills it, or why there can be none. */
export type CertificatePlan = {
  /** The Services that ask for it. */
  readonly services: readonly Service[];
} & ({ readonly certificate: Certificate } | { readonly refused: string });

/** More names make a certificate that clients refuse; each Service has two or three. */
const MOST_SERVICES = 32;

/**
 * The Certificates that Services of one namespace ask for by `tls-issuer`, one for each Secret, with the names of all Services that
 * name it. Pure.
 */
export function planCertificates(namespace: Namespace, services: Iterable<Service>): readonly CertificatePlan[] {
  const { word } = namespacePolicy(namespace);
  if (word === 'Disabled') return [];
  const bySecret = new Map<string, { readonly issuer: string; readonly service: Service }[]>();
  for (const service of services) {
    const asked = wanted(namespace, service, word === 'Required');
    if (asked === null) continue;
    const group = bySecret.get(asked.secret) ?? [];
    group.push({ issuer: asked.issuer, service });
    bySecret.set(asked.secret, group);
  }
  return [...bySecret].map(([secret, group]) => {
    const found = group.map(({ service }) => service).sort(byName);
    const issuers = [...new Set(group.map(({ issuer }) => issuer))];
    const [issuer = ''] = issuers;
    const names = found.map(({ metadata }) => metadata.name).join(', ');
    if (issuers.length > 1)
      return {
        services: found,
        refused: `Services ${names} name the issuers ${issuers.join(', ')} for one Secret, ${secret}: write the same issuer on all, or another Secret`,
      };
    if (found.length > MOST_SERVICES)
      return {
        services: found,
        refused: `${found.length} Services name one Secret, ${secret}: a certificate has the names of ${MOST_SERVICES} at most`,
      };
    return { services: found, certificate: certificateOf(namespace, secret, issuer, found) };
  });
}

function wanted(
  namespace: Namespace,
  { metadata, spec }: Service,
  required: boolean,
): { readonly secret: string; readonly issuer: string } | null {
  if (metadata.deletionTimestamp !== undefined) return null;
  if (spec?.type === 'ExternalName' || Object.keys(spec?.selector ?? {}).length === 0) return null;
  const asked = readAnnotations('', metadata.annotations);
  const ofNamespace = readAnnotations('', namespace.metadata.annotations);
  const isGuarded = [asked, ofNamespace].some(({ settings }) => settings.accessPolicy !== undefined);
  if (!isGuarded || (asked.optOut && !required)) return null;
  const { secret, issuer } = tlsChoice(metadata.name, asked, ofNamespace, required);
  return secret === null || issuer === null ? null : { secret, issuer };
}

function certificateOf(
  { metadata: { name: namespace } }: Namespace,
  secret: string,
  issuer: string,
  services: readonly Service[],
): Certificate {
  const { kind, name } = readIssuer(issuer)!;
  return {
    apiVersion: CERTIFICATES.apiVersion,
    kind: CERTIFICATES.kind,
    metadata: {
      name: secret,
      namespace,
      labels: MANAGED_BY,
      ownerReferences: services.flatMap(({ metadata }) =>
        metadata.uid === undefined
          ? []
          : [{ apiVersion: 'v1', kind: 'Service', name: metadata.name, uid: metadata.uid }],
      ),
    },
    spec: {
      secretName: secret,
      dnsNames: services.flatMap((service) => namesOf(service, namespace)),
      issuerRef: { name, kind, group: 'cert-manager.io' },
      usages: ['digital signature', 'server auth'],
      privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
    },
  };
}

/**
 * Names that nobody else has. Not NAME alone, which means another Service in each namespace, and not NAME.NAMESPACE, which may be
 * somebody's domain: who may annotate Services is not to have a certificate for those.
 */
function namesOf(service: Service, namespace: string): string[] {
  const names = ['svc', 'svc.cluster.local'].map((zone) => `${service.metadata.name}.${namespace}.${zone}`);
  return isHeadless(service) ? [...names, ...names.map((name) => `*.${name}`)] : names;
}

function byName(a: Service, b: Service): number {
  return a.metadata.name < b.metadata.name ? -1 : 1;
}
