import type { KeyObject } from 'node:crypto';
import { sign } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { PortcullisError } from '../errors.ts';
import { BUNDLE_FORMAT, MAX_BUNDLE_BYTES, signedBytes } from './format.ts';
import type { Bundle } from './types.ts';

const GZIP_OS_BYTE = 9;
const GZIP_OS_UNKNOWN = 255;

/**
 * Writes a bundle as one signed file: a JSON header line, then the gzip bytes (RFC 1952) of the document. The same
 * bundle and key give the same bytes. Throws bundle_too_large above 900 KiB. `privateKey`: Ed25519.
 */
export function encodeBundle(bundle: Bundle, privateKey: KeyObject): Buffer {
  const packed = gzipSync(JSON.stringify(bundle));
  // zlib writes mtime 0 by itself, but its own operating system here.
  packed[GZIP_OS_BYTE] = GZIP_OS_UNKNOWN;
  const { kind, namespace, name, serial } = bundle;
  const signature = sign(null, signedBytes(bundle, packed), privateKey).toString('base64');
  const header = JSON.stringify({ format: BUNDLE_FORMAT, kind, namespace, name, serial, signature });
  const file = Buffer.concat([Buffer.from(`${header}\n`, 'utf8'), packed]);
  if (file.length > MAX_BUNDLE_BYTES) {
    throw new PortcullisError(
      'bundle_too_large',
      `bundle ${kind} ${namespace}/${name} is ${file.length} bytes, more than ${MAX_BUNDLE_BYTES}; use fewer or shorter rules or, for Issuer, users, or split the policy`,
    );
  }
  return file;
}
