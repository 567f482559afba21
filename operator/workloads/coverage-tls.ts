import { ANNOTATIONS } from '../../policy/api/names.ts';
import type { Service } from '../kube/objects.ts';
import type { Asked } from './coverage-annotations.ts';
import type { Resolved } from './coverage-settings.ts';

/** Which certificate the pods behind one Service show. */
export interface TlsChoice {
  /** The Secret (tls.crt, tls.key) of their namespace; null: they speak plain HTTP. */
  readonly secret: string | null;
  /** Who of cert-manager issues it: `NAME`, `Issuer/NAME` or `ClusterIssuer/NAME`; null: somebody else writes the Secret. */
  readonly issuer: string | null;
}

/** An issuer's kind and name, as a Certificate of cert-manager refers to it. */
export interface IssuerRef {
  readonly kind: 'Issuer' | 'ClusterIssuer';
  readonly name: string;
}

const ISSUER = /^(?:(Issuer|ClusterIssuer)\/)?([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)$/;

/** Reads the value of `portcullis.dev/tls-issuer`; undefined: no issuer can be named so. */
export function readIssuer(text: string): IssuerRef | undefined {
  const [, kind, name] = ISSUER.exec(text) ?? [];
  return name === undefined ? undefined : { kind: kind === 'ClusterIssuer' ? kind : 'Issuer', name };
}

/** Name of the Secret, and of the Certificate, that is made for a Service which names none. */
export function issuedSecretName(service: string): string {
  return `portcullis-tls-${service}`;
}

/** The nearer of a Service and its namespace that says anything of TLS decides; in a Required namespace the namespace does. */
export function tlsChoice(service: string, asked: Asked, namespace: Asked, required: boolean): TlsChoice {
  const by = (required ? [namespace, asked] : [asked, namespace]).find(
    ({ settings, tlsIssuer }) => settings.tlsSecret !== undefined || tlsIssuer !== null,
  );
  if (by === undefined) return { secret: null, issuer: null };
  return { secret: by.settings.tlsSecret ?? issuedSecretName(service), issuer: by.tlsIssuer };
}

/** What a Service asks for, with the Secret that is made for it when it names an issuer alone. */
export function withIssuedSecret(service: string, asked: Asked): Asked {
  if (asked.tlsIssuer === null || asked.settings.tlsSecret !== undefined) return asked;
  return { ...asked, settings: { ...asked.settings, tlsSecret: issuedSecretName(service) } };
}

/** What is resolved where the namespace names an issuer alone: each Service has a certificate of its own, and a pod can show one. */
export function withNamespaceIssuer(
  resolved: Resolved,
  pod: Asked,
  services: readonly { readonly service: Service; readonly asked: Asked }[],
  namespace: Asked,
  required: boolean,
): Resolved {
  const isAlone = namespace.tlsIssuer !== null && namespace.settings.tlsSecret === undefined;
  if (!isAlone || (!required && resolved.settings.tlsSecret !== undefined)) return resolved;
  const names = services.map(({ service }) => service.metadata.name);
  const [first, ...others] = names;
  const refused = [pod, ...services.map(({ asked }) => asked)].filter(
    ({ settings }) => settings.tlsSecret !== undefined,
  );
  const { tlsSecret: _, ...settings } = resolved.settings;
  return {
    settings: { ...settings, ...(first !== undefined && { tlsSecret: issuedSecretName(first) }) },
    conflict: resolved.conflict ?? (first === undefined ? NOTHING_TO_NAME : others.length > 0 ? several(names) : null),
    warnings: [
      ...resolved.warnings,
      ...refused.map(
        ({ holder }) =>
          `OptOutRefused: ${holder}: ${ANNOTATIONS.tlsSecret} and ${ANNOTATIONS.tlsIssuer} do nothing: ${namespace.holder} is labelled Required`,
      ),
    ],
  };
}

/** What to say where TLS is asked for without an access policy, which does nothing. */
export const TLS_ALONE = `${ANNOTATIONS.tlsSecret} and ${ANNOTATIONS.tlsIssuer} alone do nothing: add ${ANNOTATIONS.accessPolicy}: NAME`;

/** Why no pod can be admitted with `tls-issuer` on its own template: a certificate has the names of a Service. */
export const ISSUER_ON_POD = `the pod: ${ANNOTATIONS.tlsIssuer}: write it on the Service, whose names the certificate gets, or write ${ANNOTATIONS.tlsSecret}: NAME here; no pod is admitted until then`;

const NOTHING_TO_NAME = `Conflicted: ${ANNOTATIONS.tlsIssuer}: no Service selects the pod, so a certificate would have no name; write ${ANNOTATIONS.tlsSecret}: NAME on the pod template`;

function several(services: readonly string[]): string {
  return `Conflicted: ${ANNOTATIONS.tlsIssuer}: Services ${services.join(', ')} have a certificate each, and a pod shows one; write ${ANNOTATIONS.tlsIssuer} and the same ${ANNOTATIONS.tlsSecret}: NAME on all of them`;
}
