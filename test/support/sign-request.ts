import { createHash, createHmac, randomBytes } from 'node:crypto';
import { canonicalRequest } from '../../policy/credentials/canonical-request.ts';

/** A client as a Secret's clients.yaml knows it; the secret in base64. */
export interface SigningClient {
  readonly id: string;
  readonly secret: string;
}

/** What is signed. */
export interface SignedMessage {
  readonly method: string;
  readonly url: string;
  readonly body: string;
}

/** The headers that sign a request. `nowMs`: epoch milliseconds. */
export function signedHeaders(
  { id, secret }: SigningClient,
  { method, url, body }: SignedMessage,
  nowMs = Date.now(),
  nonce = randomBytes(16).toString('base64url'),
): Record<string, string> {
  const { hostname, pathname, search } = new URL(url);
  const timestamp = String(Math.floor(nowMs / 1_000));
  const text = canonicalRequest({
    client: id,
    timestamp,
    nonce,
    method,
    host: hostname,
    path: pathname,
    query: search,
    bodyHash: createHash('sha256').update(body).digest('hex'),
  });
  const signature = createHmac('sha256', Buffer.from(secret, 'base64')).update(text).digest('hex');
  return { 'X-Client-Id': id, 'X-Timestamp': timestamp, 'X-Nonce': nonce, 'X-Signature': signature };
}
