import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { PortcullisError } from '../../policy/errors.ts';
import type { CertificatePair } from '../engine/tls-listener.ts';

/** A certificate that can be served. */
export interface Certificate extends CertificatePair {
  /** Epoch milliseconds. */
  readonly notAfter: number;
}

/** How messages name the two files. */
export interface FileNames {
  readonly cert: string;
  readonly key: string;
}

/**
 * Checks a chain and its key (PEM). Throws `certificate_invalid` that says which file is wrong and what to write; nothing of the key is
 * in it. Whether it has expired is the caller's to judge.
 */
export function readCertificate(cert: Buffer, key: Buffer, names: FileNames): Certificate {
  const own = certificateOf(cert, names);
  if (!own.checkPrivateKey(privateKeyOf(key, names))) {
    throw invalid(
      `${names.key} does not belong to the first certificate of ${names.cert}: write both from one issue, the server's own certificate first`,
    );
  }
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    const { reason = 'unknown' } = cause as { readonly reason?: string };
    throw invalid(
      `TLS cannot use ${names.cert} and ${names.key} (${reason}): take an ECDSA P-256 key, or RSA of 2048 bits or more, with SHA-256`,
      cause,
    );
  }
  return { cert, key, notAfter: own.validToDate.getTime() };
}

function certificateOf(pem: Buffer, { cert }: FileNames): X509Certificate {
  try {
    if (pem.includes('-----BEGIN CERTIFICATE-----')) return new X509Certificate(pem);
  } catch {
    // Said below; OpenSSL's own words help nobody.
  }
  throw invalid(`${cert} holds no certificate: write the chain as PEM, "-----BEGIN CERTIFICATE-----" first`);
}

function privateKeyOf(pem: Buffer, { key }: FileNames): KeyObject {
  if (/ENCRYPTED/.test(pem.toString('latin1'))) {
    throw invalid(`${key} is encrypted: write it without a passphrase, openssl pkey -in KEY -out tls.key`);
  }
  try {
    return createPrivateKey(pem);
  } catch {
    throw invalid(`${key} holds no private key: write it as PEM, "-----BEGIN PRIVATE KEY-----" first`);
  }
}

function invalid(message: string, cause?: unknown): PortcullisError {
  return new PortcullisError('certificate_invalid', message, { cause });
}
