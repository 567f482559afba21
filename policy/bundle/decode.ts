import type { KeyObject } from 'node:crypto';
import { createHash, verify } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { PortcullisError } from '../errors.ts';
import type { Check } from './check.ts';
import { checked, count, name, object, oneOf, text } from './check.ts';
import type { BundleHeader } from './format.ts';
import { BUNDLE_FORMAT, MAX_BUNDLE_BYTES, MAX_DOCUMENT_BYTES, signedBytes } from './format.ts';
import { accessBundle, limitsBundle } from './shape.ts';
import { type IssuerBundle, issuerBundle } from './tokens.ts';
import type { AccessBundle, Bundle, LimitsBundle } from './types.ts';

const NEWLINE = 0x0a;
const MAX_HEADER_BYTES = 2048;

/** Which bundle a reader wants, and the one it already has. */
export interface BundleExpectation<K extends Bundle['kind'] = Bundle['kind']> {
  /** Ed25519 key of the only writer that is believed. */
  readonly publicKey: KeyObject;
  readonly kind: K;
  readonly namespace: string;
  readonly name: string;
  /** Serial of the bundle in use; anything older is refused. 0 when there is none. */
  readonly afterSerial: number;
  /** `bundleHash` of the bundle in use: the same serial with other bytes is refused. Absent: no such check. */
  readonly afterHash?: string;
}

/** SHA-256 of a bundle file, hex: with the serial, the acknowledgement that a sidecar gives. */
export function bundleHash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * Reads a bundle file that anybody may have written. Nothing is unpacked before the signature holds. Throws
 * PortcullisError: bundle_too_large, bundle_corrupt (cannot be read), bundle_unsigned (no signature, or it does not fit
 * these bytes and our key), bundle_foreign (another policy's), bundle_older, bundle_invalid (signed, but not a document
 * that this version understands).
 */
export function decodeBundle(bytes: Uint8Array, expected: BundleExpectation<'Access'>): AccessBundle;
export function decodeBundle(bytes: Uint8Array, expected: BundleExpectation<'Limits'>): LimitsBundle;
export function decodeBundle(bytes: Uint8Array, expected: BundleExpectation<'Issuer'>): IssuerBundle;
export function decodeBundle(bytes: Uint8Array, expected: BundleExpectation): Bundle;
export function decodeBundle(bytes: Uint8Array, expected: BundleExpectation): Bundle {
  if (bytes.length > MAX_BUNDLE_BYTES) {
    throw new PortcullisError('bundle_too_large', `bundle is ${bytes.length} bytes, more than ${MAX_BUNDLE_BYTES}`);
  }
  const { header, packed } = verifiedParts(bytes, expected.publicKey);
  refuseForeign(header, expected);
  refuseOlder(header, bytes, expected);
  const document = unpack(packed);
  const bundle = checked<Bundle>(SHAPES[expected.kind], document, 'bundle_invalid');
  if (bundle.namespace !== header.namespace || bundle.name !== header.name || bundle.serial !== header.serial) {
    throw new PortcullisError(
      'bundle_invalid',
      `header says ${header.namespace}/${header.name} serial ${header.serial}, the document ${bundle.namespace}/${bundle.name} serial ${bundle.serial}`,
    );
  }
  return bundle;
}

const SHAPES = { Access: accessBundle, Limits: limitsBundle, Issuer: issuerBundle } as const;

type HeaderLine = BundleHeader & { readonly format: typeof BUNDLE_FORMAT; readonly signature?: string };

const headerLine: Check<HeaderLine> = object<HeaderLine>(
  {
    format: oneOf(BUNDLE_FORMAT),
    kind: oneOf('Access', 'Limits', 'Issuer'),
    namespace: name,
    name,
    serial: count(1),
    signature: text,
  },
  ['signature'],
);

function verifiedParts(bytes: Uint8Array, publicKey: KeyObject): { header: HeaderLine; packed: Uint8Array } {
  const end = bytes.subarray(0, MAX_HEADER_BYTES).indexOf(NEWLINE);
  if (end < 0) throw new PortcullisError('bundle_corrupt', 'no header line: empty, half-written or not a bundle');
  let header: HeaderLine;
  try {
    header = headerLine(JSON.parse(Buffer.from(bytes.subarray(0, end)).toString('utf8')), 'header');
  } catch (cause) {
    throw new PortcullisError('bundle_corrupt', 'header line cannot be read: not a bundle of this format', { cause });
  }
  if (header.signature === undefined || header.signature === '') {
    throw new PortcullisError('bundle_unsigned', 'bundle carries no signature');
  }
  const packed = bytes.subarray(end + 1);
  if (!verify(null, signedBytes(header, packed), publicKey, Buffer.from(header.signature, 'base64'))) {
    throw new PortcullisError(
      'bundle_unsigned',
      'signature does not fit: altered, half-written, or signed with another key than this sidecar trusts',
    );
  }
  return { header, packed };
}

function refuseForeign(header: BundleHeader, expected: BundleExpectation): void {
  const found = `${header.kind} ${header.namespace}/${header.name}`;
  const wanted = `${expected.kind} ${expected.namespace}/${expected.name}`;
  if (found !== wanted) throw new PortcullisError('bundle_foreign', `bundle is for ${found}, not for ${wanted}`);
}

function refuseOlder(header: BundleHeader, bytes: Uint8Array, expected: BundleExpectation): void {
  if (header.serial < expected.afterSerial) {
    throw new PortcullisError('bundle_older', `bundle has serial ${header.serial}, in use is ${expected.afterSerial}`);
  }
  if (
    header.serial === expected.afterSerial &&
    expected.afterHash !== undefined &&
    bundleHash(bytes) !== expected.afterHash
  ) {
    throw new PortcullisError('bundle_older', `bundle has serial ${header.serial} like the one in use, but differs`);
  }
}

function unpack(packed: Uint8Array): unknown {
  let document: string;
  try {
    document = gunzipSync(packed, { maxOutputLength: MAX_DOCUMENT_BYTES }).toString('utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ERR_BUFFER_TOO_LARGE') {
      throw new PortcullisError('bundle_too_large', `document unpacks to more than ${MAX_DOCUMENT_BYTES} bytes`);
    }
    throw new PortcullisError('bundle_corrupt', 'document cannot be unpacked', { cause });
  }
  try {
    return JSON.parse(document);
  } catch (cause) {
    throw new PortcullisError('bundle_corrupt', 'document is not JSON', { cause });
  }
}
