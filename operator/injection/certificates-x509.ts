import 'reflect-metadata'; // before @peculiar/x509, which needs it
import { webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { Authority, CertificateTimes, Leaf } from './certificates.ts';

const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** A new self-signed authority (RFC 5280; ECDSA P-256) that can sign nothing but certificates of servers. */
export async function makeAuthority(now: number, times: CertificateTimes): Promise<Authority> {
  const keys = await keyPair();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=Portcullis webhooks',
    notBefore: new Date(now - times.backdateMs),
    notAfter: new Date(now + times.authorityLifeMs),
    keys,
    signingAlgorithm: SIGNATURE,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { ...(await written(certificate, keys.privateKey)), signedUntil: 0 };
}

/** A new server certificate for `dnsNames`, signed by `signer`, which it does not outlive. */
export async function makeLeaf(
  signer: Authority,
  dnsNames: readonly string[],
  now: number,
  times: CertificateTimes,
): Promise<Leaf> {
  const keys = await keyPair();
  const issuer = new X509Certificate(signer.certificate);
  const certificate = await X509CertificateGenerator.create({
    issuer: issuer.subject,
    notBefore: new Date(Math.max(now - times.backdateMs, signer.notBefore)),
    notAfter: new Date(Math.min(now + times.leafLifeMs, signer.notAfter)),
    publicKey: keys.publicKey,
    signingKey: await privateKeyOf(signer),
    signingAlgorithm: SIGNATURE,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      // Critical, for there is no subject (RFC 5280 4.2.1.6): a common name has room for 64 characters only.
      new SubjectAlternativeNameExtension(
        dnsNames.map((value) => ({ type: 'dns' as const, value })),
        true,
      ),
      await AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { ...(await written(certificate, keys.privateKey)), dnsNames, signer: signer.certificate };
}

async function keyPair(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
}

async function privateKeyOf({ privateKey }: Authority): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', PemConverter.decodeFirst(privateKey), KEY, false, ['sign']);
}

async function written(certificate: X509Certificate, privateKey: webcrypto.CryptoKey) {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', privateKey);
  return {
    certificate: `${certificate.toString('pem')}\n`,
    privateKey: `${PemConverter.encode(pkcs8, PemConverter.PrivateKeyTag)}\n`,
    notBefore: certificate.notBefore.getTime(),
    notAfter: certificate.notAfter.getTime(),
  };
}
