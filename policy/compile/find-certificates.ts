import { X509Certificate } from 'node:crypto';
import type { Path } from '../api/problem.ts';
import type { Findings } from './finding.ts';
import { findSecret, type References } from './references.ts';

/** With a Secret's base64 and the CRD's own bounds, 16 of them still fit a bundle. */
const MOST_CHARACTERS = 32_768;

/** The certificates, PEM, in the key `ca.crt` of the Secret that `caSecretRef` at `path` names; null: reported there. */
export function findCertificates(
  caSecretRef: { readonly name: string },
  path: Path,
  namespace: string,
  references: References,
  findings: Findings,
): string | null {
  const at = [...path, 'name'];
  const holds = 'the certificates, PEM, as its key ca.crt';
  const secret = findSecret(caSecretRef.name, at, holds, namespace, references, findings);
  if (secret === null) return null;
  const certificates = certificatesIn(secret.data['ca.crt'] ?? '');
  if (certificates === null) {
    findings.error(
      at,
      `Secret ${namespace}/${secret.name} has no key ca.crt with certificates, PEM, of at most 32 KiB; write ca.crt: "-----BEGIN CERTIFICATE-----…"`,
      'RefNotFound',
    );
  }
  return certificates;
}

/** The certificates of a PEM text, each readable, without what stands around them; null: there are none. */
function certificatesIn(pem: string): string | null {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g);
  if (certificates === null || pem.length > MOST_CHARACTERS) return null;
  try {
    for (const certificate of certificates) new X509Certificate(certificate);
  } catch {
    return null;
  }
  return `${certificates.join('\n')}\n`;
}
