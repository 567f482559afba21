import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { hashSync } from 'bcryptjs';
import { openStores, type Stores } from '../../sidecar/stores/open-stores.ts';
import { createPasswordVerifier } from '../../sidecar/token-service/password-verifier.ts';
import { createSigner } from '../../sidecar/token-service/signer.ts';
import { answered, testTokenService } from '../../sidecar/token-service/testing/token-service-fixture.ts';
import { makeTestKey, testAuthenticator } from '../../sidecar/tokens/testing/token-fixtures.ts';
import { createTokenVerifier } from '../../sidecar/tokens/verifier.ts';
import { until } from './redis-clients.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

const KEY_SET = 'auth/trading';
const MAX_STALENESS_MS = 1000;
const PATIENT_MS = 10_000;
const ISSUER = 'https://auth.example';

/** Everything real: Redis, bcrypt in its thread, signatures. */
describe('two replicas of a token service', { skip: redisMissing() }, () => {
  let server: RedisServer;
  const closing: (() => Promise<void>)[] = [];
  const key = makeTestKey('ES256');
  const authenticator = testAuthenticator([key], { issuer: ISSUER, maxTokenLifetimeMs: 3_600_000 });
  const users = { ann: hashSync('correct horse', 12) };
  let a: Awaited<ReturnType<typeof replica>>;
  let b: Awaited<ReturnType<typeof replica>>;

  before(async () => {
    server = await RedisServer.start();
    a = await replica('a');
    b = await replica('b');
  });
  after(async () => {
    await Promise.all(closing.map((close) => close()));
    await server.remove();
  });

  async function replica(name: string, group = 'ns/policy') {
    const stores: Stores = await openStores(
      { redisUrl: server.url },
      {
        groups: { access: group, limits: group },
        replica: name,
        maxStalenessMs: MAX_STALENESS_MS,
        timeoutMs: PATIENT_MS,
        now: Date.now,
      },
    );
    const passwords = createPasswordVerifier();
    closing.push(stores.close, passwords.close);
    const revocations = stores.revocationsOf(KEY_SET);
    await until(() => revocations.check(null, null, 0) === 'ok');
    const { kid, algorithm } = key.verification;
    const issuing = { kid, algorithm, privateJwk: key.privateJwk, maxTokenLifetimeMs: 3_600_000 };
    const { post, events } = testTokenService(
      {
        refreshGraceMs: 300,
        login: {
          path: '/auth/login',
          credentials: { kind: 'Htpasswd', hashes: users, claims: { ann: { roles: ['trader'] } } },
        },
      },
      {
        refreshTokens: stores.refreshTokens,
        revocations,
        passwords,
        signer: createSigner(() => issuing),
        now: Date.now,
        randomBytes,
      },
    );
    return { post, events, revocations };
  }

  async function login() {
    const answer = await a.post('/auth/login', { body: { username: 'ann', password: 'correct horse' } });
    const { access_token: access = '', refresh_token: refresh = '' } = answered(answer).json;
    const verdict = await createTokenVerifier([authenticator]).verify(access, Date.now());
    assert.ok(typeof verdict === 'object', String(verdict));
    return { refresh, claims: verdict.claims };
  }
  const refreshAt = (at: typeof a, token: string | undefined) =>
    at.post('/auth/refresh', { body: { refresh_token: token } });

  it('a token that one gave is verified, and refreshed by the other', async () => {
    const { refresh, claims } = await login();
    assert.deepEqual([claims['sub'], claims['roles'], claims['iss']], ['ann', ['trader'], ISSUER]);
    answered(await refreshAt(b, refresh));
  });

  it('a wrong password is refused by bcrypt itself', async () => {
    const answer = await a.post('/auth/login', { body: { username: 'ann', password: 'battery staple' } });
    assert.deepEqual(answer, { denial: 'credentials_invalid' });
    const unknown = await a.post('/auth/login', { body: { username: 'bob', password: 'correct horse' } });
    assert.deepEqual(unknown, answer);
  });

  it('refreshed on one, reused on the other: both tokens are dead on both, and one alarm is raised', async () => {
    const { refresh } = await login();
    const next = answered(await refreshAt(a, refresh)).json['refresh_token'];
    assert.equal(answered(await refreshAt(b, refresh)).json['refresh_token'], next, 'within the grace');
    await new Promise((resolve) => setTimeout(resolve, 350));
    const late = await Promise.all(Array.from({ length: 100 }, (_, i) => refreshAt(i % 2 === 0 ? a : b, refresh)));
    for (const answer of late) assert.deepEqual(answer, { denial: 'refresh_token_invalid' });
    assert.deepEqual(await refreshAt(a, next), { denial: 'refresh_token_invalid' });
    assert.deepEqual(await refreshAt(b, next), { denial: 'refresh_token_invalid' });
    const alarms = [...a.events, ...b.events].filter(({ kind }) => kind === 'RefreshTokenReused');
    assert.equal(alarms.length, 1);
  });

  it('logged out on one, refused on the other: the refresh token at once, the access token within maxStaleness', async () => {
    const { refresh, claims } = await login();
    const jti = String(claims['jti']);
    assert.equal(b.revocations.check(jti, 'ann', Date.now()), 'ok');
    const out = await a.post('/auth/logout', { body: { refresh_token: refresh }, claims });
    const loggedOutAt = performance.now();
    assert.equal(answered(out).status, 204);
    assert.deepEqual(await refreshAt(b, refresh), { denial: 'refresh_token_invalid' });
    await until(() => b.revocations.check(jti, 'ann', Date.now()) === 'revoked');
    assert.ok(performance.now() - loggedOutAt <= MAX_STALENESS_MS);
  });

  it('a subject revoked on one is not refreshed on the other, until it logs in again', async () => {
    const { refresh } = await login();
    await a.revocations.revokeSubject('ann', Date.now() + 1, Date.now() + 3_600_000, Date.now());
    await b.revocations.refresh();
    assert.deepEqual(await refreshAt(b, refresh), { denial: 'refresh_token_invalid' });
    answered(await refreshAt(b, (await login()).refresh));
  });

  it('a refresh token of another policy on the same Redis is refused', async () => {
    const other = await replica('c', 'ns/other');
    const { refresh } = await login();
    assert.deepEqual(await refreshAt(other, refresh), { denial: 'refresh_token_invalid' });
    answered(await refreshAt(a, refresh));
  });
});
