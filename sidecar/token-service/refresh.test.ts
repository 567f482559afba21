import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AMBIGUOUS } from '../filters/credentials.ts';
import { MemoryRefreshTokens } from '../stores/refresh-tokens-memory.ts';
import { MemoryRevocations } from '../stores/revocations-memory.ts';
import type { TokenServiceConfig } from './config.ts';
import {
  answered,
  T,
  TEST_USERS,
  type TestPorts,
  testHash,
  testTokenService,
} from './testing/token-service-fixture.ts';

const REFRESH = '/auth/refresh';
const INVALID = { denial: 'refresh_token_invalid' };

/** A service with ann logged in. */
async function loggedIn(config: Partial<TokenServiceConfig> = {}, ports: Partial<TestPorts> = {}) {
  const fixture = testTokenService(config, ports);
  const login = answered(await fixture.post('/auth/login', { body: { username: 'ann', password: 'right' } }));
  const refresh = (token: unknown) => fixture.post(REFRESH, { body: { refresh_token: token } });
  return { ...fixture, first: login.json['refresh_token'] ?? '', refresh };
}

/** The same stores under another policy, as after a change of it. */
function changed(ports: TestPorts, users: Readonly<Record<string, string>>, claims = {}) {
  const credentials = { kind: 'Htpasswd', hashes: users, claims } as const;
  return testTokenService({ login: { path: '/auth/login', credentials } }, ports);
}

describe('refresh', () => {
  it('answers as login does, with another token that works', async () => {
    const { refresh, first, signed, events } = await loggedIn();
    const { status, headers, json } = answered(await refresh(first));
    assert.deepEqual([status, headers], [200, ['content-type', 'application/json', 'cache-control', 'no-store']]);
    assert.deepEqual(Object.keys(json), ['access_token', 'token_type', 'expires_in', 'refresh_token']);
    const second = json['refresh_token'] ?? '';
    assert.notEqual(second, first);
    assert.equal(second.slice(0, 27), first.slice(0, 27));
    answered(await refresh(second));
    const [{ jti, ...before } = {}, { jti: nextJti, ...after } = {}] = signed;
    assert.notEqual(jti, nextJti);
    assert.deepEqual(before, after);
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['LoggedIn', 'Refreshed', 'Refreshed'],
    );
  });

  it('gives two tabs the same token, and whoever comes after the grace nothing to anybody', async () => {
    const { refresh, first, clock, events } = await loggedIn();
    const tabs = await Promise.all([refresh(first), refresh(first)]);
    const [one, other] = tabs.map((tab) => answered(tab).json['refresh_token']);
    assert.equal(one, other);
    clock.now += 10_000;
    assert.deepEqual(await refresh(first), INVALID);
    assert.deepEqual(await refresh(one), INVALID);
    assert.deepEqual(events.at(-1), { kind: 'RefreshTokenReused', user: 'ann', clientAddress: '192.0.2.1' });
    assert.equal(events.filter(({ kind }) => kind === 'RefreshTokenReused').length, 1);
  });

  it('a hundred uses of a stolen token at once revoke one family and raise one alarm', async () => {
    const { refresh, first, clock, events } = await loggedIn();
    answered(await refresh(first));
    clock.now += 10_000;
    const answers = await Promise.all(Array.from({ length: 100 }, () => refresh(first)));
    for (const answer of answers) assert.deepEqual(answer, INVALID);
    assert.equal(events.filter(({ kind }) => kind === 'RefreshTokenReused').length, 1);
  });

  it('ends with the lifetime that began at login', async () => {
    const { refresh, first, clock } = await loggedIn();
    clock.now += 604_799_999;
    const second = answered(await refresh(first)).json['refresh_token'];
    clock.now += 1;
    assert.deepEqual(await refresh(second), INVALID);
  });

  it('stores neither token nor secret', async () => {
    class Recording extends MemoryRefreshTokens {
      readonly seen: string[] = [];
      override begin(...args: Parameters<MemoryRefreshTokens['begin']>) {
        this.seen.push(JSON.stringify(args));
        return super.begin(...args);
      }
      override rotate(...args: Parameters<MemoryRefreshTokens['rotate']>) {
        this.seen.push(JSON.stringify(args));
        return super.rotate(...args);
      }
    }
    const refreshTokens = new Recording();
    const { refresh, first } = await loggedIn({}, { refreshTokens });
    const second = answered(await refresh(first)).json['refresh_token'] ?? '';
    assert.equal(refreshTokens.seen.length, 2);
    for (const token of [first, second]) {
      const [, , secret = ''] = /^(ptr_.{22}_)(.{43})$/.exec(token) ?? [];
      assert.equal(secret.length, 43);
      assert.ok(!refreshTokens.seen.join().includes(secret));
    }
  });

  const foreign: readonly (readonly [string, (token: string) => unknown])[] = [
    ['an access token', () => 'eyJhbGciOiJFUzI1NiJ9.e30.c2ln'],
    ['a prefix only', () => 'ptr_'],
    ['a token cut short', (token) => token.slice(0, -1)],
    ['a token with a line break', (token) => `${token}\n`],
    ['a family that is none', () => `ptr_${'x'.repeat(22)}_${'x'.repeat(43)}`],
    ['names of a prototype', () => '__proto__'],
  ];
  for (const [name, token] of foreign) {
    it(`${name}: refused, and the honest token goes on`, async () => {
      const { refresh, first } = await loggedIn();
      assert.deepEqual(await refresh(token(first)), INVALID);
      answered(await refresh(first));
    });
  }

  it('a token that is no text: 400', async () => {
    const answer = await (await loggedIn()).refresh(5);
    assert.equal('denial' in answer && answer.denial, 'body_invalid');
  });

  it('a token of another policy, whose store knows nothing of it, is refused', async () => {
    const [one, other] = [await loggedIn(), await loggedIn()];
    assert.deepEqual(await other.refresh(one.first.replace(/.$/, 'A')), INVALID);
    const elsewhere = testTokenService();
    assert.deepEqual(await elsewhere.post(REFRESH, { body: { refresh_token: one.first } }), INVALID);
  });

  it("asks for the user's claims again", async () => {
    const { first, ports, signed } = await loggedIn();
    const { post } = changed(ports, TEST_USERS, { ann: { roles: ['viewer'] } });
    answered(await post(REFRESH, { body: { refresh_token: first } }));
    assert.deepEqual(
      signed.map(({ roles }) => roles),
      [['trader'], ['viewer']],
    );
  });

  const gone: readonly (readonly [string, Readonly<Record<string, string>>, object?])[] = [
    ['is gone', { bob: testHash(12, 'bob') }],
    ['is inactive', TEST_USERS, { ann: { active: false } }],
    ['has another password', { ...TEST_USERS, ann: testHash(12, 'ann2') }],
  ];
  for (const [name, users, claims] of gone) {
    it(`a user who ${name}: refused, for good`, async () => {
      const { first, ports, refresh } = await loggedIn();
      const { post } = changed(ports, users, claims);
      assert.deepEqual(await post(REFRESH, { body: { refresh_token: first } }), INVALID);
      assert.deepEqual(await refresh(first), INVALID);
    });
  }

  it('keeps what the application said at login', async () => {
    const { refresh, first, signed, sent } = await loggedIn({
      login: { path: '/auth/login', credentials: { kind: 'Upstream', path: '/verify' } },
    });
    answered(await refresh(first));
    assert.deepEqual([signed[1]?.['sub'], signed[1]?.['roles'], sent.length], ['7', ['trader'], 1]);
  });

  it('a subject revoked after its login is refused; one that logged in again is not', async () => {
    const revocations = new MemoryRevocations();
    const { refresh, first, post, clock } = await loggedIn({}, { revocations });
    await revocations.revokeSubject('ann', T + 1, T + 1e9, T);
    assert.deepEqual(await refresh(first), INVALID);
    clock.now = T + 1;
    const again = answered(await post('/auth/login', { body: { username: 'ann', password: 'right' } }));
    answered(await refresh(again.json['refresh_token']));
  });

  const away: readonly (readonly [string, Partial<TestPorts>, string])[] = [
    ['the store is away', { refreshTokens: storeThat({ kind: 'Unavailable' }) }, 'store_unavailable'],
    ['there is no key', { signer: { sign: async () => null } }, 'signing_key_missing'],
  ];
  for (const [name, ports, denial] of away) {
    it(`${name}: ${denial}, and the token can be sent again`, async () => {
      const { first, ports: own, refresh } = await loggedIn();
      const failing = testTokenService({}, { ...own, ...ports });
      assert.deepEqual(await failing.post(REFRESH, { body: { refresh_token: first } }), { denial });
      answered(await refresh(first));
    });
  }

  it('revocations that are not known: asked again, then refused without ending the family', async () => {
    const verdicts: ('unknown' | 'ok')[] = ['unknown', 'unknown', 'unknown', 'ok'];
    class Unsure extends MemoryRevocations {
      override check() {
        return verdicts.shift() ?? 'ok';
      }
    }
    const { refresh, first } = await loggedIn({}, { revocations: new Unsure() });
    assert.deepEqual(await refresh(first), { denial: 'store_unavailable' });
    answered(await refresh(first));
    assert.deepEqual(verdicts, []);
  });
});

describe('with cookies', () => {
  const config = { delivery: 'Cookie' } as const;
  const credentials = { username: 'ann', password: 'right' };
  const attributes = 'HttpOnly; Secure; SameSite=Strict';

  it('login sets them where scripts cannot read them, and tells the lifetime only', async () => {
    const { headers, body } = answered(await testTokenService(config).post('/auth/login', { body: credentials }));
    const [token] = /ptr_[\w-]+/.exec(headers.join()) ?? [];
    assert.equal(body, '{"expires_in":3600}');
    assert.deepEqual(headers.slice(4), [
      'set-cookie',
      `__Host-access_token=token-1; Path=/; Max-Age=3600; ${attributes}`,
      'set-cookie',
      `__Secure-refresh_token=${token}; Path=/auth/refresh; Max-Age=604800; ${attributes}`,
      'set-cookie',
      `__Secure-refresh_token=${token}; Path=/auth/logout; Max-Age=604800; ${attributes}`,
    ]);
  });

  it('refresh takes the cookie and not the body, and sets what is left of the lifetime', async () => {
    const { post, clock } = testTokenService(config);
    const login = answered(await post('/auth/login', { body: credentials }));
    const [token = ''] = /ptr_[\w-]+/.exec(login.headers.join()) ?? [];
    clock.now += 100_000;
    assert.deepEqual(await post(REFRESH, { body: { refresh_token: token } }), INVALID);
    assert.deepEqual(await post(REFRESH, { cookies: { '__Secure-refresh_token': AMBIGUOUS } }), INVALID);
    const { headers } = answered(await post(REFRESH, { cookies: { '__Secure-refresh_token': token } }));
    assert.match(headers.join(), /Path=\/auth\/refresh; Max-Age=604700;/);
    assert.ok(!headers.join().includes(token));
  });

  for (const path of ['/auth/login', REFRESH, '/auth/logout']) {
    it(`POST ${path} from an origin that is not trusted: refused before anything happens`, async () => {
      const { post, passwords, events, ports } = testTokenService(config);
      const login = answered(await post('/auth/login', { body: credentials }));
      const [token = ''] = /ptr_[\w-]+/.exec(login.headers.join()) ?? [];
      const cookies = { '__Secure-refresh_token': token };
      const before = [passwords.calls.length, events.length];
      const answer = await post(path, { body: credentials, cookies, originTrusted: false });
      assert.deepEqual(answer, { denial: 'origin_mismatch' });
      assert.deepEqual([passwords.calls.length, events.length], before);
      answered(await testTokenService(config, ports).post(REFRESH, { cookies }));
      // In bodies there is nothing that a browser adds by itself.
      answered(await testTokenService().post('/auth/login', { body: credentials, originTrusted: false }));
    });
  }

  const paths: readonly (readonly [string, string, string, readonly string[]])[] = [
    ['of one path', '/t', '/t', ['/t']],
    ['one below the other', '/auth', '/auth/logout', ['/auth']],
    ['beside each other', '/auth', '/authlogout', ['/auth', '/authlogout']],
  ];
  for (const [name, refresh, logout, expected] of paths) {
    it(`endpoints ${name}: no request gets two refresh cookies`, async () => {
      const ends = { refresh: { path: refresh }, logout: { path: logout } };
      const { headers } = answered(
        await testTokenService({ ...config, ...ends }).post('/auth/login', { body: credentials }),
      );
      const set = headers.filter((header) => header.startsWith('__Secure-'));
      assert.deepEqual(
        set.map((header) => /Path=([^;]*)/.exec(header)?.[1]),
        expected,
      );
    });
  }
});

function storeThat(rotation: { readonly kind: 'Unavailable' }): MemoryRefreshTokens {
  class Failing extends MemoryRefreshTokens {
    override async rotate() {
      return rotation;
    }
  }
  return new Failing();
}
