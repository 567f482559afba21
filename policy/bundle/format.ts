import type { Bundle } from './types.ts';

/** The file that holds a bundle; the v1 in the name lets two formats live side by side in an upgrade. */
export const BUNDLE_FILE = 'bundle.v1.json';

/** The `format` member of the header line. */
export const BUNDLE_FORMAT = 'portcullis.bundle.v1';

/** Largest bundle file in bytes: it has to fit into a Secret (1 MiB) beside its metadata. */
export const MAX_BUNDLE_BYTES = 900 * 1024;

/** Largest document in bytes once unpacked. */
export const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024;

/** What the header line says about the document behind it. */
export interface BundleHeader {
  readonly kind: Bundle['kind'];
  readonly namespace: string;
  readonly name: string;
  readonly serial: number;
}

/** The bytes that Ed25519 signs (RFC 8032): format, kind, name and serial in front of the packed document. */
export function signedBytes(header: BundleHeader, packed: Uint8Array): Buffer {
  const { kind, namespace, name, serial } = header;
  return Buffer.concat([Buffer.from(`${BUNDLE_FORMAT}\n${kind}\n${namespace}/${name}\n${serial}\n`, 'utf8'), packed]);
}
