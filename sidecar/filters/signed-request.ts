import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { SignedRequestAuthenticator, SignedRequestClient } from '../../policy/bundle/authentication.ts';
import type { IdentityPointers } from '../../policy/bundle/types.ts';
import { canonicalRequest, SIGNATURE_HEADERS } from '../../policy/credentials/canonical-request.ts';
import type { AccessEvaluator, Identity } from '../../policy/evaluate/access-evaluator.ts';
import type { BodyRefusal, Exchange } from '../pipeline/exchange.ts';
import { type Denial, denial } from '../pipeline/filter.ts';
import type { NonceStore, NonceVerdict } from '../stores/nonces.ts';
import {
  type AcceptedCredential,
  type CredentialCheck,
  type CredentialRefusal,
  identityOf,
} from './credential-check.ts';
import { onlyHeader } from './credentials.ts';
import { credentialOfClient } from './live-credentials.ts';

const TIMESTAMP = /^[1-9]\d{9,10}$/;
const NONCE = /^[A-Za-z0-9_-]{16,128}$/;
const SIGNATURE = /^[0-9a-f]{64}$/;

const UNREAD = {
  body_too_large: denial('body_too_large', 'authenticate', 'larger than maxBytes of signedRequests'),
  overloaded: denial('overloaded', 'authenticate', 'too many bodies are held', ['retry-after', '1']),
  aborted: denial('signature_invalid', 'authenticate', 'the body never came to its end'),
} satisfies Record<BodyRefusal, Denial>;
const NONCE_UNKNOWN = denial('store_unavailable', 'authenticate', 'nonces of signed requests', ['retry-after', '1']);

/** A client with its keys, and the list that it is of. */
interface KnownClient {
  readonly client: SignedRequestClient;
  readonly keys: readonly KeyObject[];
  /** Of each key, as `credentialOfClient` names it. */
  readonly credentials: readonly string[];
  readonly list: SignedRequestAuthenticator;
  readonly nonces: NonceStore;
  identity: Identity | null;
}

/** What a request says of its signature. */
interface Claim {
  readonly known: KnownClient;
  readonly timestamp: string;
  readonly nonce: string;
  readonly signature: string;
}

/**
 * Accepts requests that a known client signed (docs/signed-requests.md), each once. The cheap checks come first; the body is read
 * only for a client that is known and a timestamp that is near, and a nonce is kept only when the signature is good. `clock`: milliseconds.
 */
export function signedRequestCheck(
  lists: readonly SignedRequestAuthenticator[],
  noncesOf: (secret: string) => NonceStore,
  pointers: IdentityPointers,
  evaluator: AccessEvaluator,
  clock: () => number = () => performance.now(),
): CredentialCheck {
  const known = new Map<string, KnownClient>();
  for (const list of lists) {
    const nonces = noncesOf(list.secret);
    for (const client of list.clients) {
      const keys = client.secrets.map((secret) => createSecretKey(Buffer.from(secret, 'base64')));
      const credentials = keys.map((_, index) => credentialOfClient(client, index));
      known.set(client.id, { client, keys, credentials, list, nonces, identity: null });
    }
  }

  const claimOf = ({ headers, receivedAt }: Exchange): Claim | CredentialRefusal => {
    const client = onlyHeader(headers, SIGNATURE_HEADERS.client);
    const timestamp = onlyHeader(headers, SIGNATURE_HEADERS.timestamp);
    const nonce = onlyHeader(headers, SIGNATURE_HEADERS.nonce);
    const signature = onlyHeader(headers, SIGNATURE_HEADERS.signature);
    if (typeof client !== 'string' || !isLike(timestamp, TIMESTAMP)) return 'malformed';
    if (!isLike(nonce, NONCE) || !isLike(signature, SIGNATURE)) return 'malformed';
    const found = known.get(client);
    if (found === undefined) return 'unknown_client';
    const claim = { known: found, timestamp, nonce, signature };
    return isNear(claim, receivedAt) ? claim : 'timestamp';
  };

  return {
    kind: 'signed_request',
    brought: (exchange) => exchange.header(SIGNATURE_HEADERS.signature) !== undefined,
    check: async (exchange) => {
      const claim = claimOf(exchange);
      if (typeof claim === 'string') return claim;
      const { list, client, nonces } = claim.known;
      const askedAt = clock();
      const body = await exchange.body.readBody(list.maxBytes);
      if (typeof body === 'string') return UNREAD[body];
      // A copy whose body comes slowly enough would else be let in when its nonce is forgotten already.
      const now = exchange.receivedAt + Math.floor(clock() - askedAt);
      if (!isNear(claim, now)) return 'timestamp';
      const secret = secretOf(exchange, body, claim);
      if (secret < 0) return 'signature';
      const nonce = { client: client.id, nonce: claim.nonce, timestampMs: Number(claim.timestamp) * 1_000 };
      const verdict = await nonces.use({ ...nonce, toleranceMs: list.toleranceMs }, now);
      return conclude(claim.known, secret, verdict, pointers, evaluator);
    },
  };
}

function conclude(
  known: KnownClient,
  secret: number,
  verdict: NonceVerdict,
  pointers: IdentityPointers,
  evaluator: AccessEvaluator,
): AcceptedCredential | CredentialRefusal | Denial {
  if (verdict === 'used') return 'replayed';
  if (verdict === 'unknown' && known.list.onStoreFailure === 'Deny') return NONCE_UNKNOWN;
  known.identity ??= identityOf(known.client, pointers, evaluator);
  const { credentials, list, identity } = known;
  const credential = credentials[secret] as string;
  return { kind: 'accepted', authenticator: list.name, identity, expiresAt: null, credential };
}

/** The index of the client's secret that a request is signed by; negative: by none. */
function secretOf(exchange: Exchange, body: Buffer, { known, timestamp, nonce, signature }: Claim): number {
  const { method, host, path, query } = exchange;
  const bodyHash = hash('sha256', body, 'hex');
  const text = canonicalRequest({ client: known.client.id, timestamp, nonce, method, host, path, query, bodyHash });
  const given = Buffer.from(signature, 'hex');
  let good = -1;
  // Every secret, whichever fits: which of the two a client uses is not for others to see.
  for (const [index, key] of known.keys.entries()) {
    if (timingSafeEqual(createHmac('sha256', key).update(text).digest(), given)) good = index;
  }
  return good;
}

function isNear({ known, timestamp }: Claim, now: number): boolean {
  return Math.abs(now - Number(timestamp) * 1_000) <= known.list.toleranceMs;
}

function isLike(value: ReturnType<typeof onlyHeader>, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}
