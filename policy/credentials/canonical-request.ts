/** Headers of a signed request, in lower case. */
export const SIGNATURE_HEADERS = {
  client: 'x-client-id',
  timestamp: 'x-timestamp',
  nonce: 'x-nonce',
  signature: 'x-signature',
} as const;

/** What a signature covers: of the request, what a rule decides by and what is forwarded. */
export interface SignedParts {
  readonly client: string;
  /** Seconds since 1970, as written. */
  readonly timestamp: string;
  readonly nonce: string;
  readonly method: string;
  /** Lower case, without port. */
  readonly host: string;
  /** Normalised, as it is forwarded. */
  readonly path: string;
  /** With its leading `?`, or empty. */
  readonly query: string;
  /** SHA-256 of the body, lower-case hex. */
  readonly bodyHash: string;
}

/** The text that is signed (docs/signed-requests.md): a line each, and none of them can hold a line break. */
export function canonicalRequest(parts: SignedParts): string {
  const { client, timestamp, nonce, method, host, path, query, bodyHash } = parts;
  return `PORTCULLIS-HMAC-SHA256\n${client}\n${timestamp}\n${nonce}\n${method}\n${host}\n${path}\n${query}\n${bodyHash}`;
}
