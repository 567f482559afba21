import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { costOf } from '../../policy/passwords/bcrypt-cost.ts';
import {
  answered,
  T,
  TEST_USERS,
  type TestPorts,
  testHash,
  testTokenService,
} from './testing/token-service-fixture.ts';

const LOGIN = '/auth/login';
const credentials = { username: 'ann', password: 'right' };

describe('login', () => {
  it('answers with both tokens, not to be stored (RFC 6749 §5.1)', async () => {
    const { post, signed, events } = testTokenService();
    const { status, headers, json } = answered(await post(LOGIN, { body: credentials }));
    assert.equal(status, 200);
    assert.deepEqual(headers, ['content-type', 'application/json', 'cache-control', 'no-store']);
    const { refresh_token: refreshToken, ...others } = json;
    assert.deepEqual(others, { access_token: 'token-1', token_type: 'Bearer', expires_in: 3600 });
    assert.match(refreshToken ?? '', /^ptr_[A-Za-z0-9_-]{22}_[A-Za-z0-9_-]{43}$/);
    const { jti, ...claims } = signed[0] ?? {};
    assert.match(String(jti), /^[A-Za-z0-9_-]{22}$/);
    assert.deepEqual(claims, {
      roles: ['trader'],
      tenant_id: 'acme',
      sub: 'ann',
      iss: 'https://auth.example',
      aud: ['trading-api'],
      now: T,
    });
    assert.deepEqual(events, [{ kind: 'LoggedIn', user: 'ann', clientAddress: '192.0.2.1' }]);
  });

  const names: readonly (readonly [string, object])[] = [
    ['by email', { email: 'ann', password: 'right' }],
    ['of a user named __proto__', JSON.parse('{"username":"__proto__","password":"right"}')],
  ];
  for (const [name, body] of names) {
    it(name, async () => assert.equal(answered(await testTokenService().post(LOGIN, { body })).status, 200));
  }

  const failures: readonly (readonly [string, string, string, string])[] = [
    ['an unknown user', 'bob', 'right', 'unknown_user'],
    ['a wrong password', 'ann', 'wrong', 'wrong_password'],
    ['an inactive user', 'eve', 'right', 'inactive'],
    ['an inactive user with a wrong password', 'eve', 'wrong', 'wrong_password'],
    ['a name of Object.prototype', 'constructor', 'right', 'unknown_user'],
    ['a method of Object.prototype', 'toString', 'right', 'unknown_user'],
    ['a name with a colon', 'ann:x', 'right', 'unknown_user'],
    ['a name with a line break', 'ann\nbob', 'right', 'unknown_user'],
    ['a name in other case', 'Ann', 'right', 'unknown_user'],
  ];
  for (const [name, username, password, reason] of failures) {
    it(`${name}: the same answer after one comparison of the same cost`, async () => {
      const { post, passwords, events, signed } = testTokenService();
      const answer = await post(LOGIN, { body: { username, password } });
      assert.equal(JSON.stringify(answer), '{"denial":"credentials_invalid"}');
      assert.deepEqual(
        passwords.calls.map((hashes) => hashes.map(costOf)),
        [[12]],
      );
      assert.deepEqual([signed, events.map((event) => event.kind === 'LoginFailed' && event.reason)], [[], [reason]]);
    });
  }

  it('costs the same for every user, known or not, where the hashes cost differently', async () => {
    const users = { cheap: testHash(12, 'cheap'), dear: testHash(14, 'dear') };
    const kind = 'Htpasswd' as const;
    const { post, passwords } = testTokenService({
      login: { path: LOGIN, credentials: { kind, hashes: users, claims: {} } },
    });
    for (const username of ['cheap', 'dear', 'nobody']) await post(LOGIN, { body: { username, password: 'x' } });
    const costs = passwords.calls.map((hashes) => hashes.map(costOf));
    assert.deepEqual(costs, [[12, 12, 13], [14], [14]]);
    const work = costs.map((some) => some.reduce((sum, cost) => sum + 2 ** cost, 0));
    assert.deepEqual(work, [2 ** 14, 2 ** 14, 2 ** 14]);
  });

  const bodies: readonly (readonly [string, unknown, string, string?])[] = [
    ['no JSON', 'ann:right', 'body_invalid', ' malformed'],
    ['a list', [credentials], 'body_invalid', ' malformed'],
    ['a name twice', '{"username":"ann","username":"bob","password":"right"}', 'body_invalid', ' malformed'],
    [
      'a name twice, escaped',
      '{"username":"ann","passwor\\u0064":"a","password":"right"}',
      'body_invalid',
      ' malformed',
    ],
    ['not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'body_invalid', ' malformed'],
    ['an empty body', '', 'body_invalid', ' malformed'],
    ['17 KiB', { ...credentials, password: 'x'.repeat(17_000) }, 'body_too_large'],
    ['deep nesting', '['.repeat(5000) + ']'.repeat(5000), 'body_invalid', ' malformed'],
    ['no password', { username: 'ann' }, 'body_invalid', '/password missing'],
    ['no name', { password: 'right' }, 'body_invalid', '/username missing'],
    ['a password that is no text', { ...credentials, password: 5 }, 'body_invalid', '/password malformed'],
    ['an empty password', { ...credentials, password: '' }, 'body_invalid', '/password malformed'],
    ['both names', { ...credentials, email: 'ann' }, 'body_invalid', '/username unknown_member'],
    ['another member', { ...credentials, 'a/b~': 1 }, 'body_invalid', '/a~1b~0 unknown_member'],
    [
      'members of a prototype',
      '{"__proto__":{"username":"ann"},"password":"right"}',
      'body_invalid',
      '/__proto__ unknown_member, /username missing',
    ],
    ['73 bytes of password', { ...credentials, password: `${'ä'.repeat(36)}x` }, 'body_invalid', '/password too_long'],
    ['a NUL in the password', { ...credentials, password: 'right\0' }, 'body_invalid', '/password nul'],
    ['half a surrogate pair', { ...credentials, password: '\ud800' }, 'body_invalid', '/password not_unicode'],
  ];
  for (const [name, body, denial, violations] of bodies) {
    it(`${name}: ${denial}, the same for every user and before any comparison`, async () => {
      const { post, passwords } = testTokenService();
      const answer = await post(LOGIN, { body });
      assert.ok('denial' in answer);
      assert.equal(answer.denial, denial);
      assert.equal(answer.violations?.map(({ pointer, code }) => `${pointer} ${code}`).join(', '), violations);
      assert.equal(passwords.calls.length, 0);
      assert.ok(!JSON.stringify(answer).includes('right'));
    });
  }

  it('a password of 72 bytes is compared', async () => {
    const { post, passwords } = testTokenService();
    await post(LOGIN, { body: { ...credentials, password: 'ä'.repeat(36) } });
    assert.equal(passwords.calls.length, 1);
  });

  const types: readonly (readonly [string | undefined, boolean])[] = [
    ['application/json', true],
    ['Application/JSON; charset=UTF-8', true],
    ['application/json;charset="utf-8"', true],
    [undefined, false],
    ['text/plain', false],
    ['application/x-www-form-urlencoded', false],
    ['application/json; charset=latin1', false],
    ['application/json, text/plain', false],
    ['text/plain; application/json', false],
  ];
  for (const [contentType, accepted] of types) {
    it(`Content-Type ${contentType}: ${accepted ? 'read' : '415'}`, async () => {
      const answer = await testTokenService().post(LOGIN, { body: credentials, contentType });
      assert.equal('denial' in answer ? answer.denial : 'read', accepted ? 'read' : 'unsupported_media_type');
    });
  }

  const refusals: readonly (readonly [string, Partial<TestPorts>, string])[] = [
    [
      'too many wait for bcrypt',
      { passwords: { verify: async () => 'overloaded', close: async () => {} } },
      'overloaded',
    ],
    ['there is no key yet', { signer: { sign: async () => null } }, 'signing_key_missing'],
    [
      'the store does not take the family',
      { refreshTokens: { ...testTokenService().ports.refreshTokens, begin: async () => false } },
      'store_unavailable',
    ],
  ];
  for (const [name, ports, denial] of refusals) {
    it(`${name}: ${denial}, and nobody is logged in`, async () => {
      const { post, events } = testTokenService({}, ports);
      assert.deepEqual(await post(LOGIN, { body: credentials }), { denial });
      assert.deepEqual(events, []);
    });
  }

  it('gives no refresh token where there is no refresh', async () => {
    const { json } = answered(await testTokenService({ refresh: null }).post(LOGIN, { body: credentials }));
    assert.deepEqual(Object.keys(json), ['access_token', 'token_type', 'expires_in']);
  });

  it('is there by its path, as the other endpoints that are named', () => {
    const { service } = testTokenService({ register: null });
    assert.deepEqual([...service.keys()], [LOGIN, '/auth/refresh', '/auth/logout']);
  });

  it('without what to sign by: signing_key_missing, as is refresh, which rotates nothing', async () => {
    const before = testTokenService();
    const { json } = answered(await before.post(LOGIN, { body: credentials }));
    const meanwhile = testTokenService({ login: { path: LOGIN, credentials: null } }, before.ports);
    const again = { body: { refresh_token: json['refresh_token'] } };
    for (const [path, request] of [
      [LOGIN, { body: credentials }],
      ['/auth/refresh', again],
    ] as const)
      assert.deepEqual(await meanwhile.post(path, request), { denial: 'signing_key_missing' });
    before.clock.now += 3_000_000;
    answered(await before.post('/auth/refresh', again));
  });
});

describe('login with users that the application knows', () => {
  const config = { login: { path: LOGIN, credentials: { kind: 'Upstream', path: '/internal/verify' } } } as const;
  const upstream = (status: number, json: string) => ({ upstream: async () => ({ status, json }) });

  it('sends what the client sent, and signs what the pointers find', async () => {
    const { post, sent, signed, passwords } = testTokenService(config);
    answered(await post(LOGIN, { body: { email: 'ann@example.com', password: 'a "long" phrase' } }));
    assert.deepEqual(sent, [['/internal/verify', '{"email":"ann@example.com","password":"a \\"long\\" phrase"}']]);
    const { sub, roles, tenant_id: tenant, tier } = signed[0] ?? {};
    assert.deepEqual([sub, roles, tenant, tier], ['7', ['trader'], 'acme', undefined]);
    assert.deepEqual(passwords.calls, []);
  });

  it('puts what it found where the first pointers look, whatever they are called', async () => {
    const identity = { user: ['/id'], roles: ['/realm/a~1b'], tenant: ['/realm/tenant'], tier: ['/__proto__/tier'] };
    const identify = () => ({ user: '7', roles: ['r'], tenant: 't', tierClaim: 'gold' });
    const { post, signed } = testTokenService({ ...config, identity }, { identify });
    answered(await post(LOGIN, { body: credentials }));
    const text = JSON.stringify(signed[0]);
    assert.ok(
      text.startsWith('{"realm":{"a/b":["r"],"tenant":"t"},"__proto__":{"tier":"gold"},"sub":"7","id":"7",'),
      text,
    );
    assert.equal(Reflect.get({}, 'tier'), undefined);
  });

  const answers: readonly (readonly [string, Parameters<typeof testTokenService>[1], string])[] = [
    ['401', upstream(401, ''), 'credentials_invalid'],
    ['404', upstream(404, '{}'), 'credentials_invalid'],
    ['an inactive user', upstream(200, '{"user_id":7,"is_active":false}'), 'credentials_invalid'],
    ['a user who is not active', upstream(200, '{"user_id":7,"active":false}'), 'credentials_invalid'],
    ['500', upstream(500, '{"user_id":7}'), 'credentials_unavailable'],
    ['302', upstream(302, '{"user_id":7}'), 'credentials_unavailable'],
    ['429', upstream(429, ''), 'credentials_unavailable'],
    ['an answer without a user', upstream(200, '{"role":"trader"}'), 'credentials_unavailable'],
    ['no JSON', upstream(200, 'ok'), 'credentials_unavailable'],
    ['two users', upstream(200, '{"user_id":7,"user_id":8}'), 'credentials_unavailable'],
    ['no application', { upstream: async () => 'upstream_connect' }, 'upstream_connect'],
  ];
  for (const [name, ports, denial] of answers) {
    it(`${name}: ${denial}`, async () => {
      const { post, signed } = testTokenService(config, ports);
      assert.deepEqual(await post(LOGIN, { body: credentials }), { denial });
      assert.deepEqual(signed, []);
    });
  }

  it('lets the application judge a long password, up to 1 KiB', async () => {
    const { post } = testTokenService(config);
    const login = (length: number) => post(LOGIN, { body: { username: 'ann', password: 'x'.repeat(length) } });
    answered(await login(1024));
    const answer = await login(1025);
    assert.equal('denial' in answer && answer.denial, 'body_invalid');
  });
});

it('the fixture knows each user', () => assert.deepEqual(Object.values(TEST_USERS).map(costOf), [12, 12, 12]));
