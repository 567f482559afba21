import { createPrivateKey, X509Certificate } from 'node:crypto';
import { LABELS } from '../../policy/api/names.ts';
import type { ObjectKey, Secret } from '../kube/objects.ts';
import type { Authority, CertificateState, Leaf } from './certificates.ts';

const AUTHORITIES = 'authorities.json';
const HOLDS = 'webhook-certificates';

/** A certificate that a TLS server can serve; PEM, notAfter in epoch milliseconds. */
export interface ServerCertificate {
  readonly certificate: string;
  readonly privateKey: string;
  readonly notAfter: number;
}

/** The Secret that holds `state`, of the type and with the keys that cert-manager's Secrets have too. */
export function certificateSecret(key: ObjectKey, state: CertificateState, previous: Secret | null): Secret {
  const kept = state.authorities.map(({ certificate, privateKey, signedUntil }) => ({
    certificate,
    privateKey,
    signedUntil,
  }));
  const { resourceVersion } = previous?.metadata ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      ...key,
      labels: { [LABELS.holds]: HOLDS },
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    type: 'kubernetes.io/tls',
    data: {
      'tls.crt': base64(state.leaf?.certificate ?? ''),
      'tls.key': base64(state.leaf?.privateKey ?? ''),
      [AUTHORITIES]: base64(JSON.stringify(kept)),
    },
  };
}

/** Whether the Secret is one that `certificateSecret` made. */
export function isCertificateSecret({ metadata }: Secret): boolean {
  return metadata.labels?.[LABELS.holds] === HOLDS;
}

/** What the Secret holds; what is damaged counts as not there, for all of it can be made anew. */
export function readCertificates({ data = {} }: Secret): CertificateState {
  const authorities = readAuthorities(text(data[AUTHORITIES]));
  return { authorities, leaf: readLeaf(text(data['tls.crt']), text(data['tls.key']), authorities) };
}

/** Whether something stands where the certificate to be served belongs, of use or not: a Secret is made before it is. */
export function holdsServerCertificate({ data = {} }: Secret): boolean {
  return text(data['tls.crt']) !== '' || text(data['tls.key']) !== '';
}

/** The certificate to be served, whoever wrote the Secret; null when there is none, or the key is not its own. */
export function readServerCertificate({ data = {} }: Secret): ServerCertificate | null {
  const certificate = text(data['tls.crt']);
  const privateKey = text(data['tls.key']);
  const parsed = parsePair(certificate, privateKey);
  return parsed && { certificate, privateKey, notAfter: parsed.validToDate.getTime() };
}

function readAuthorities(json: string): Authority[] {
  try {
    const kept = JSON.parse(json) as Pick<Authority, 'certificate' | 'privateKey' | 'signedUntil'>[];
    return kept.map(({ certificate, privateKey, signedUntil }) => {
      const parsed = parsePair(certificate, privateKey);
      if (parsed === null) throw new Error('damaged');
      return { certificate, privateKey, ...period(parsed), signedUntil: Number(signedUntil) };
    });
  } catch {
    return [];
  }
}

function readLeaf(certificate: string, privateKey: string, authorities: readonly Authority[]): Leaf | null {
  const parsed = parsePair(certificate, privateKey);
  const signer = authorities.find((authority) => parsed?.verify(new X509Certificate(authority.certificate).publicKey));
  if (parsed === null || signer === undefined) return null;
  const dnsNames = (parsed.subjectAltName ?? '').split(', ').map((name) => name.replace('DNS:', ''));
  return { certificate, privateKey, ...period(parsed), dnsNames, signer: signer.certificate };
}

function parsePair(certificate: string, privateKey: string): X509Certificate | null {
  try {
    const parsed = new X509Certificate(certificate);
    return parsed.checkPrivateKey(createPrivateKey(privateKey)) ? parsed : null;
  } catch {
    return null;
  }
}

function period(certificate: X509Certificate): { notBefore: number; notAfter: number } {
  return { notBefore: certificate.validFromDate.getTime(), notAfter: certificate.validToDate.getTime() };
}

function base64(value: string): string {
  return Buffer.from(value).toString('base64');
}

function text(value: string | undefined): string {
  return Buffer.from(value ?? '', 'base64').toString();
}
