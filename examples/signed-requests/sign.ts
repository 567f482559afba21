import { createHash, createHmac, randomBytes } from 'node:crypto';

/** A client as the Secret's clients.yaml knows it. */
export interface Client {
  readonly id: string;
  /** Base64, as it stands in the Secret. */
  readonly secret: string;
}

/** What is sent. */
export interface Outgoing {
  readonly method: string;
  readonly url: URL;
  /** Exactly the bytes that are sent; empty without a body. */
  readonly body?: Uint8Array | string;
}

/** The headers that sign a request (docs/signed-requests.md). `nowMs`: epoch milliseconds; a nonce is for one request. */
export function signedHeaders(
  { id, secret }: Client,
  { method, url, body = '' }: Outgoing,
  nowMs = Date.now(),
  nonce = randomBytes(16).toString('base64url'),
): Record<string, string> {
  const timestamp = String(Math.floor(nowMs / 1_000));
  const lines = [
    'PORTCULLIS-HMAC-SHA256',
    id,
    timestamp,
    nonce,
    method,
    url.hostname,
    url.pathname,
    url.search,
    createHash('sha256').update(body).digest('hex'),
  ];
  const signature = createHmac('sha256', Buffer.from(secret, 'base64')).update(lines.join('\n')).digest('hex');
  return { 'X-Client-Id': id, 'X-Timestamp': timestamp, 'X-Nonce': nonce, 'X-Signature': signature };
}
