import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemoryRefreshTokens } from '../stores/refresh-tokens-memory.ts';
import { MemoryRevocations } from '../stores/revocations-memory.ts';
import { answered, T, testTokenService } from './testing/token-service-fixture.ts';

const LOGOUT = '/auth/logout';
const claims = { iss: 'https://auth.example', jti: 'j1', exp: T / 1000 + 60, sub: 'ann' };

async function loggedIn(ports = {}) {
  const fixture = testTokenService({}, ports);
  const login = answered(await fixture.post('/auth/login', { body: { username: 'ann', password: 'right' } }));
  const body = { refresh_token: login.json['refresh_token'] };
  const verdict = () => fixture.ports.revocations.check('j1', null, 0);
  const refreshed = async () => 'status' in (await fixture.post('/auth/refresh', { body }));
  return { ...fixture, body, verdict, refreshed };
}

describe('logout', () => {
  it('revokes both tokens, and says the same when asked again', async () => {
    const { post, body, verdict, refreshed, events } = await loggedIn();
    const first = await post(LOGOUT, { body, claims });
    assert.deepEqual(first, { status: 204, headers: ['cache-control', 'no-store'], body: '' });
    assert.deepEqual(await post(LOGOUT, { body, claims }), first);
    assert.deepEqual([verdict(), await refreshed()], ['revoked', false]);
    assert.equal(events.at(-1)?.kind, 'LoggedOut');
  });

  const parts: readonly (readonly [string, { readonly body?: unknown; readonly claims?: object }, string, boolean])[] =
    [
      ['the access token alone', { claims }, 'revoked', true],
      ['a refresh token that is none', { body: { refresh_token: 'x' } }, 'ok', true],
      ['nothing', {}, 'ok', true],
      ['an access token of another issuer', { claims: { ...claims, iss: 'https://other.example' } }, 'ok', true],
      ['an access token without jti', { claims: { ...claims, jti: undefined } }, 'ok', true],
    ];
  for (const [name, request, verdict, refreshable] of parts) {
    it(`with ${name}: 204`, async () => {
      const fixture = await loggedIn();
      answered(await fixture.post(LOGOUT, { ...request, claims: { ...request.claims } }));
      assert.deepEqual([fixture.verdict(), await fixture.refreshed()], [verdict, refreshable]);
    });
  }

  it('with the refresh token alone revokes the family', async () => {
    const { post, body, verdict, refreshed } = await loggedIn();
    answered(await post(LOGOUT, { body }));
    assert.deepEqual([verdict(), await refreshed()], ['ok', false]);
  });

  it('revokes the access token for as long as any verifier accepts it', async () => {
    const seen: number[] = [];
    class Recording extends MemoryRevocations {
      override revokeToken(jti: string, untilMs: number, now: number) {
        seen.push(untilMs);
        return super.revokeToken(jti, untilMs, now);
      }
    }
    const { post } = await loggedIn({ revocations: new Recording() });
    await post(LOGOUT, { claims });
    assert.deepEqual(seen, [claims.exp * 1000 + 60_000]);
  });

  it('one user cannot fill up the revocations of all: past 1,000 tokens the user is revoked, and others log out as ever', async () => {
    const revocations = new MemoryRevocations(1_010);
    const { post } = await loggedIn({ revocations });
    const iat = T / 1000;
    const token = (sub: string, jti: string) => ({ ...claims, sub, jti, iat });
    for (let i = 0; i < 2_000; i++) answered(await post(LOGOUT, { claims: token('eve', `eve-${i}`) }));
    answered(await post(LOGOUT, { claims: token('ann', 'anns') }));
    assert.equal(revocations.check('eve-1999', 'eve', T), 'revoked');
    assert.equal(revocations.check('anns', 'ann', T), 'revoked');
    assert.equal(revocations.check('another', 'ann', T), 'ok', 'what is not revoked is known to be good');
  });

  it('a body that is no JSON: 400', async () => {
    const answer = await (await loggedIn()).post(LOGOUT, { body: 'bye', claims });
    assert.equal('denial' in answer && answer.denial, 'body_invalid');
  });

  class Families extends MemoryRefreshTokens {
    override async revoke() {
      return false;
    }
  }
  class Tokens extends MemoryRevocations {
    override async revokeToken() {
      return false;
    }
  }
  for (const ports of [{ refreshTokens: new Families() }, { revocations: new Tokens() }]) {
    it(`says so when the store of ${Object.keys(ports)} did not take it`, async () => {
      const { post, body } = await loggedIn(ports);
      assert.deepEqual(await post(LOGOUT, { body, claims }), { denial: 'store_unavailable' });
    });
  }

  it('removes the cookies', async () => {
    const { headers } = answered(await testTokenService({ delivery: 'Cookie' }).post(LOGOUT));
    const gone = 'Max-Age=0; HttpOnly; Secure; SameSite=Strict';
    assert.deepEqual(headers.slice(2), [
      'set-cookie',
      `__Host-access_token=; Path=/; ${gone}`,
      'set-cookie',
      `__Secure-refresh_token=; Path=/auth/refresh; ${gone}`,
      'set-cookie',
      `__Secure-refresh_token=; Path=/auth/logout; ${gone}`,
    ]);
  });
});
