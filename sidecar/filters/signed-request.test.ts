import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import type { SignedRequestAuthenticator } from '../../policy/bundle/authentication.ts';
import { canonicalRequest } from '../../policy/credentials/canonical-request.ts';
import type { AccessEvaluator } from '../../policy/evaluate/access-evaluator.ts';
import { type BodyRefusal, Exchange } from '../pipeline/exchange.ts';
import type { NonceStore, NonceUse, NonceVerdict } from '../stores/nonces.ts';
import { MemoryNonces } from '../stores/nonces-memory.ts';
import { signedRequestCheck } from './signed-request.ts';

const NOW = 1_800_000_000_000;
const SECRET = 'LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=';
const NONCE = 'AAECAwQFBgcICQoLDA0ODw';
const list: SignedRequestAuthenticator = {
  name: 'bots',
  secret: 'shop/bots',
  toleranceMs: 30_000,
  maxBytes: 16,
  onStoreFailure: 'Deny',
  clients: [{ id: 'bot-1', secrets: [SECRET], subject: 'bot', roles: ['trader'], tenant: 'acme', tier: null }],
};
const pointers = { user: ['/user/id'], roles: ['/realm/roles'], tenant: ['/tenant'], tier: ['/tier'] };
const evaluator = {
  identify: (claims: object) => ({ claims }),
} as unknown as AccessEvaluator;

/** Answers as it is told, and keeps what it was asked. */
class FakeNonces implements NonceStore {
  readonly asked: NonceUse[] = [];
  readonly #verdict: NonceVerdict;

  constructor(verdict: NonceVerdict) {
    this.#verdict = verdict;
  }

  use(nonce: NonceUse): NonceVerdict {
    this.asked.push(nonce);
    return this.#verdict;
  }
}

/** A signed POST whose timestamp is this many seconds from our clock, with what the test is about changed. */
function signed(
  offsetMs = 0,
  body: Buffer | BodyRefusal = Buffer.from('body'),
  secret = SECRET,
  nonce = NONCE,
): { readonly exchange: Exchange; readonly reads: number[] } {
  const timestamp = String(NOW / 1_000);
  const bytes = Buffer.isBuffer(body) ? body : '';
  const text = canonicalRequest({
    client: 'bot-1',
    timestamp,
    nonce,
    method: 'POST',
    host: 'api.example',
    path: '/orders',
    query: '?a=1',
    bodyHash: createHash('sha256').update(bytes).digest('hex'),
  });
  const signature = createHmac('sha256', Buffer.from(secret, 'base64')).update(text).digest('hex');
  const headers = ['x-client-id', 'bot-1', 'x-timestamp', timestamp, 'x-nonce', nonce, 'x-signature', signature];
  const exchange = new Exchange(
    'id',
    'POST',
    '/orders',
    '?a=1',
    'api.example',
    'api.example',
    headers,
    '192.0.2.1',
    false,
    NOW + offsetMs,
    0,
  );
  const reads: number[] = [];
  exchange.body = {
    readBody: async (maxBytes) => {
      reads.push(maxBytes);
      return body;
    },
  };
  return { exchange, reads };
}

async function outcome(
  exchange: Exchange,
  verdict: NonceVerdict = 'new',
  more: Partial<SignedRequestAuthenticator> = {},
) {
  const nonces = new FakeNonces(verdict);
  const check = signedRequestCheck([{ ...list, ...more }], () => nonces, pointers, evaluator);
  const found = await check.check(exchange);
  return { found, said: typeof found === 'string' ? found : found.kind === 'deny' ? found.code : 'accepted', nonces };
}

describe('signedRequestCheck', () => {
  it('accepts a good signature; the claims stand where the policy looks for them', async () => {
    const { found, nonces } = await outcome(signed().exchange);
    const claims = { sub: 'bot', user: { id: 'bot' }, realm: { roles: ['trader'] }, tenant: 'acme' };
    const credential = `client bot-1 ${createHash('sha256').update(SECRET).digest('hex')}`;
    assert.deepEqual(found, {
      kind: 'accepted',
      authenticator: 'bots',
      identity: { claims },
      expiresAt: null,
      credential,
    });
    assert.deepEqual(nonces.asked, [{ client: 'bot-1', nonce: NONCE, timestampMs: NOW, toleranceMs: 30_000 }]);
  });

  it('has one identity for all requests of a client', async () => {
    const check = signedRequestCheck([list], () => new FakeNonces('new'), pointers, evaluator);
    const [one, two] = [await check.check(signed().exchange), await check.check(signed().exchange)];
    assert.ok(typeof one === 'object' && typeof two === 'object' && 'identity' in one && 'identity' in two);
    assert.equal(one.identity, two.identity);
  });

  const boundary: readonly (readonly [offsetMs: number, said: string])[] = [
    [-30_001, 'timestamp'],
    [-30_000, 'accepted'],
    [30_000, 'accepted'],
    [30_001, 'timestamp'],
  ];
  for (const [offsetMs, said] of boundary) {
    it(`a clock that is ${offsetMs} ms from the timestamp: ${said}`, async () => {
      const { exchange, reads } = signed(offsetMs);
      assert.equal((await outcome(exchange)).said, said);
      assert.equal(reads.length, said === 'accepted' ? 1 : 0, 'no body is read for a timestamp that is far off');
    });
  }

  const bodies: readonly (readonly [BodyRefusal, string])[] = [
    ['body_too_large', 'body_too_large'],
    ['overloaded', 'overloaded'],
    ['aborted', 'signature_invalid'],
  ];
  for (const [refusal, said] of bodies) {
    it(`a body that is ${refusal}: ${said}, and no nonce is used up`, async () => {
      const { exchange, reads } = signed(0, refusal);
      const result = await outcome(exchange);
      assert.deepEqual([result.said, result.nonces.asked, reads], [said, [], [16]]);
    });
  }

  it('a request whose body takes until its nonce may be forgotten is not let in again', async () => {
    const nonces = new MemoryNonces();
    let elapsed = 0;
    const check = signedRequestCheck(
      [list],
      () => nonces,
      pointers,
      evaluator,
      () => elapsed,
    );
    const arriving = (offsetMs: number, bodyMs: number, nonce: string) => {
      const { exchange } = signed(offsetMs, Buffer.from('body'), SECRET, nonce);
      const { readBody } = exchange.body;
      exchange.body = {
        readBody: (maxBytes) => {
          elapsed += bodyMs;
          return readBody(maxBytes);
        },
      };
      return check.check(exchange);
    };
    assert.equal(typeof (await arriving(-30_000, 0, NONCE)), 'object');
    assert.equal(typeof (await arriving(30_000, 0, `${NONCE}-other`)), 'object');
    assert.equal(await arriving(30_000, 10_001, NONCE), 'timestamp', 'the copy began in time, and ended late');
    assert.equal(
      typeof (await arriving(20_000, 9_000, `${NONCE}-slow`)),
      'object',
      'the honest twin, slow and in time',
    );
  });

  it('a signature by another secret uses up no nonce', async () => {
    const result = await outcome(signed(0, Buffer.from('body'), Buffer.alloc(32, 1).toString('base64')).exchange);
    assert.deepEqual([result.said, result.nonces.asked], ['signature', []]);
  });

  const nonces: readonly (readonly [NonceVerdict, 'Deny' | 'Allow', string])[] = [
    ['used', 'Allow', 'replayed'],
    ['unknown', 'Deny', 'store_unavailable'],
    ['unknown', 'Allow', 'accepted'],
  ];
  for (const [verdict, onStoreFailure, said] of nonces) {
    it(`a nonce that is ${verdict}, ${onStoreFailure}: ${said}`, async () => {
      assert.equal((await outcome(signed().exchange, verdict, { onStoreFailure })).said, said);
    });
  }
});
