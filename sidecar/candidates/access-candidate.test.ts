import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import type { SignedRequestAuthenticator } from '../../policy/bundle/authentication.ts';
import { exampleAccessBundle } from '../../policy/bundle/testing/example-bundles.ts';
import type { AccessBundle, PathMatching } from '../../policy/bundle/types.ts';
import { canonicalRequest } from '../../policy/credentials/canonical-request.ts';
import type { BodySource, Exchange } from '../pipeline/exchange.ts';
import { testExchange } from '../pipeline/testing/exchange-fixtures.ts';
import { memoryStores } from '../stores/open-stores.ts';
import { makeTestKey, mintToken, testAuthenticator, validClaims } from '../tokens/testing/token-fixtures.ts';
import { createTokenVerifier } from '../tokens/verifier.ts';
import { compileAccessCandidate } from './access-candidate.ts';
import { ObservedBody } from './observed-body.ts';

const NOW = 1_000; // when the fixture's requests come
const SECRET = 'LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=';
const key = makeTestKey('HS256', 'k1');
const bots: SignedRequestAuthenticator = {
  ...{ name: 'bots', secret: 'shop/bots', toleranceMs: 2_000_000_000, maxBytes: 64, onStoreFailure: 'Deny' as const },
  clients: [{ id: 'bot-1', secrets: [SECRET], subject: 'bot', roles: ['trader'], tenant: null, tier: null }],
};

function candidate(change: Partial<AccessBundle>, stores = memoryStores()) {
  const rules = [{ name: 'all', match: { hosts: [], paths: ['/**'], methods: [] }, allow: [{ authenticated: true }] }];
  const bundle = { ...exampleAccessBundle, jwt: [testAuthenticator([key])], rules, ...change } as AccessBundle;
  const verifier = createTokenVerifier(bundle.jwt);
  return compileAccessCandidate({ bundle, bodies: null, verifier, stores, scheme: 'http' });
}

const withToken = (claims: object) =>
  testExchange({ headers: ['authorization', `Bearer ${mintToken(key, { ...validClaims(NOW), ...claims })}`] });

/** A request that is over: what the live policy did not read is not read any more. */
function over(exchange: Exchange, read: string | null): Exchange {
  const source: BodySource = { readBody: async () => (read === null ? 'aborted' : Buffer.from(read)) };
  const body = new ObservedBody(source);
  if (read !== null) void body.readBody(64);
  exchange.body = body;
  return exchange;
}

function signedPost(body: string): Exchange {
  const timestamp = '1800000000';
  const nonce = 'AAECAwQFBgcICQoLDA0ODw';
  const bodyHash = createHash('sha256').update(body).digest('hex');
  const what = { method: 'POST', host: 'api.example', path: '/', query: '', bodyHash };
  const text = canonicalRequest({ client: 'bot-1', timestamp, nonce, ...what });
  const signature = createHmac('sha256', Buffer.from(SECRET, 'base64')).update(text).digest('hex');
  const headers = ['x-client-id', 'bot-1', 'x-timestamp', timestamp, 'x-nonce', nonce, 'x-signature', signature];
  return testExchange({ method: 'POST', headers });
}

describe('an access policy that is tried', () => {
  it('is asked as with mode Enforce, by the time when the request came', async () => {
    const tried = candidate({ mode: 'Shadow' });
    assert.equal((await tried.decide(testExchange(), '')).decision, 'token_missing');
    assert.equal((await tried.decide(withToken({}), '')).decision, 'allow');
    assert.equal((await tried.decide(withToken({ exp: -300, iat: -600 }), '')).decision, 'token_invalid');
  });

  it('refuses a path that its own pathMatching refuses', async () => {
    const pathMatching: PathMatching = { case: 'Sensitive', trailingSlash: 'Strict', parameters: 'Refuse' };
    const { decision } = await candidate({ pathMatching }).decide(testExchange({ path: '/a;v=1' }), '');
    assert.equal(decision, 'bad_path');
  });

  it('finds the token of a handshake in the query as the client wrote it', async () => {
    const jwt = [testAuthenticator([key], { from: [{ kind: 'query', parameter: 'token' }] })];
    const tried = candidate({ jwt });
    const handshake = testExchange({ upgrade: true });
    const token = mintToken(key, validClaims(NOW));
    assert.equal((await tried.decide(handshake, '')).decision, 'token_missing');
    assert.equal((await tried.decide(handshake, `?token=${token}`)).decision, 'allow');
  });

  it('asks for revocations where live requests do', async () => {
    const live = memoryStores();
    const { revocationsOf } = live;
    const revocation = { onStoreFailure: 'Deny', maxStalenessMs: 1_000 } as const;
    const tried = candidate({ revocation }, { ...memoryStores(), revocationsOf });
    const request = withToken({ jti: 'j1' });
    assert.equal((await tried.decide(request, '')).decision, 'allow');
    await revocationsOf('default/trading').revokeToken('j1', 2_000_000_000_000, Date.now());
    assert.deepEqual(await tried.decide(request, ''), { decision: 'token_invalid', rule: 'all', reason: 'revoked' });
  });

  it('uses up no nonce of live requests, and verifies over the body that they read', async () => {
    const live = memoryStores();
    const [one, two] = [candidate({ signedRequests: [bots] }), candidate({ signedRequests: [bots] }, live)];
    const request = (body: string, read: string | null) =>
      Object.assign(over(signedPost(body), read), { receivedAt: 1_800_000_000_000 });
    assert.ok(one.looksAtBodies);
    assert.equal((await one.decide(request('{}', '{}'), '')).decision, 'allow');
    assert.equal((await two.decide(request('{}', '{}'), '')).decision, 'allow', 'another store, another count');
    assert.equal((await one.decide(request('{}', '{ }'), '')).decision, 'signature_invalid');
    assert.equal((await one.decide(request('{}', null), '')).decision, 'body_not_read');
  });
});
