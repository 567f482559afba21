import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { TokenEndpoints } from '../../policy/bundle/tokens.ts';
import { send } from '../support/raw-http.ts';
import { answerBytes, recordingUpstream, staySilent } from '../support/recording-upstream.ts';
import { startSidecarProcess } from '../support/sidecar-process.ts';
import { baseAccess, baseIssuer, rule } from '../support/sidecar-under-test.ts';
import { baseEndpoints, codeOf, PASSWORD, policyWith, startTokenSidecar, USERS } from '../support/token-endpoints.ts';

const CREDENTIALS = { username: 'ann', password: PASSWORD };
const ORIGIN = 'Origin: https://api.example';

function start(t: TestContext, ...policy: Parameters<typeof policyWith>) {
  return startTokenSidecar(policyWith(...policy), (end) => t.after(end));
}

const bearer = (token: string | undefined) => `Authorization: Bearer ${token}`;

describe('token endpoints', () => {
  it('give tokens that this policy accepts, with the claims of the user', async (t) => {
    const sut = await start(
      t,
      {},
      {
        rules: [rule('auth', ['/auth/**'], [{ anonymous: true }]), rule('desk', ['/orders'], [{ roles: ['trader'] }])],
      },
    );
    const { access_token: token, ...others } = await sut.login();
    assert.deepEqual(Object.keys(others), ['token_type', 'expires_in', 'refresh_token']);
    assert.equal((await sut.get('/orders', bearer(token))).status, 200);
    assert.match(sut.upstream.received(), /x-portcullis-subject: ann\r\n/i);
    assert.match(sut.upstream.received(), /x-portcullis-roles: trader\r\n/i);
    const { access_token: eves } = await sut.login('eve');
    assert.equal(codeOf(await sut.get('/orders', bearer(eves))), '403 forbidden');
    assert.equal(sut.upstream.requests.length, 1, 'no endpoint asked the application');
  });

  it('rotate refresh tokens: the old one leads to the new one for a moment, later it ends both', async (t) => {
    const sut = await start(t);
    const { refresh_token: first } = await sut.login();
    const refresh = (token: unknown) => sut.post('/auth/refresh', { refresh_token: token });
    const second = JSON.parse((await refresh(first)).body);
    assert.equal((await sut.get('/x', bearer(second.access_token))).status, 200);
    assert.notEqual(second.refresh_token, first);
    assert.equal(JSON.parse((await refresh(first)).body).refresh_token, second.refresh_token, 'two tabs');
    await sut.publish(policyWith({ refreshGraceMs: 0 }));
    assert.equal(codeOf(await refresh(first)), '401 refresh_token_invalid');
    assert.equal(codeOf(await refresh(second.refresh_token)), '401 refresh_token_invalid', 'whoever has it');
    assert.match(sut.log().join('\n'), /"code":"refresh_token_invalid","reason":"used again after it was replaced/);
    const events = sut.log().filter((line) => line.includes('"event_type":"refresh_token_reused"'));
    assert.equal(events.length, 1, 'told once');
    assert.match(events[0] ?? '', /"severity":"warning".*"user":"ann"/);
  });

  it('keep sessions over changes of the policy, and ask today’s users', async (t) => {
    const sut = await start(t);
    const { refresh_token: token } = await sut.login();
    await sut.publish({
      ...policyWith(),
      issuer: { users: { hashes: USERS.hashes, claims: { ann: { roles: ['admin'] } } } },
    });
    const renewed = JSON.parse((await sut.post('/auth/refresh', { refresh_token: token })).body);
    const claims = JSON.parse(Buffer.from(renewed.access_token.split('.')[1], 'base64url').toString());
    assert.deepEqual(claims.roles, ['admin']);
    await sut.publish({ issuer: { users: { hashes: { eve: USERS.hashes.eve }, claims: {} } } });
    assert.equal(
      codeOf(await sut.post('/auth/refresh', { refresh_token: renewed.refresh_token })),
      '401 refresh_token_invalid',
    );
  });

  it('log out: neither token is of use any more', async (t) => {
    const sut = await start(t, {}, { revocation: { onStoreFailure: 'Deny', maxStalenessMs: 1_000 } });
    const { access_token: access, refresh_token: refresh } = await sut.login();
    assert.equal((await sut.get('/x', bearer(access))).status, 200);
    assert.equal((await sut.post('/auth/logout', { refresh_token: refresh }, bearer(access))).status, 204);
    assert.equal(codeOf(await sut.get('/x', bearer(access))), '401 token_invalid');
    assert.equal(codeOf(await sut.post('/auth/refresh', { refresh_token: refresh })), '401 refresh_token_invalid');
    assert.equal((await sut.post('/auth/logout', '')).status, 204, 'there was nothing to revoke');
  });

  it('deliver cookies that scripts cannot read, to who is of this origin', async (t) => {
    const from = [{ kind: 'cookie', cookie: '__Host-access_token' }] as const;
    const { jwt } = baseAccess;
    const sut = await start(t, { delivery: 'Cookie' }, { jwt: jwt.map((each) => ({ ...each, from })) });
    for (const origin of ['Origin: https://evil.example', 'Sec-Fetch-Site: cross-site', 'X-Nothing: 1'])
      assert.equal(codeOf(await sut.post('/auth/login', CREDENTIALS, origin)), '403 origin_mismatch');
    const login = await sut.post('/auth/login', CREDENTIALS, ORIGIN);
    assert.deepEqual(JSON.parse(login.body), { expires_in: 900 });
    const set = login.responses[0]?.headers.filter(([name]) => name === 'set-cookie').map(([, value]) => value) ?? [];
    assert.deepEqual(
      set.map((cookie) => cookie.replace(/=[^;]+;/, '=…;')),
      [
        '__Host-access_token=…; Path=/; Max-Age=900; HttpOnly; Secure; SameSite=Strict',
        '__Secure-refresh_token=…; Path=/auth/refresh; Max-Age=3600; HttpOnly; Secure; SameSite=Strict',
        '__Secure-refresh_token=…; Path=/auth/logout; Max-Age=3600; HttpOnly; Secure; SameSite=Strict',
      ],
    );
    const cookies = set.map((cookie) => cookie.split(';')[0]).slice(0, 2);
    const sent = `Cookie: ${cookies.join('; ')}`;
    assert.equal((await sut.get('/x', sent)).status, 200);
    assert.equal(codeOf(await sut.post('/x', {}, sent)), '403 origin_mismatch', 'an unsafe method from elsewhere');
    assert.equal((await sut.post('/x', {}, sent, ORIGIN)).status, 200);
    assert.equal((await sut.post('/auth/refresh', '', sent, ORIGIN)).status, 200);
    assert.equal(codeOf(await sut.post('/auth/refresh', '', sent)), '403 origin_mismatch');
    const out = await sut.post('/auth/logout', '', sent, ORIGIN);
    assert.equal(out.status, 204);
    assert.match(out.headers['set-cookie'] ?? '', /__Host-access_token=; Path=\/; Max-Age=0/);
  });

  it('name every rule that a new password breaks, and pass a good one on byte for byte', async (t) => {
    const sut = await start(t);
    const register = (password: unknown) =>
      sut.post('/auth/register', `{ "email": "ann@example.com",  "password": ${JSON.stringify(password)} }`);
    const broken: readonly (readonly [unknown, readonly string[]])[] = [
      ['zq', ['at least 12 characters', 'an upper-case letter', 'a digit', 'neither a letter nor a digit']],
      ['lowercaseonly1!', ['an upper-case letter']],
      ['UPPERCASEONLY1!', ['a lower-case letter']],
      ['No-digit-in-here', ['a digit']],
      ['Nospecialsign123', ['neither a letter nor a digit']],
      [`Aa1!${'x'.repeat(1_021)}`, ['at most 1024 bytes']],
      ['Aa1!\u0000xxxxxxxx', ['U+0000']],
      [7, ['must be a text']],
    ];
    for (const [password, says] of broken) {
      const answer = await register(password);
      assert.equal(codeOf(answer), '400 body_invalid');
      const { errors } = JSON.parse(answer.body);
      assert.equal(errors.length, says.length, answer.body);
      for (const [at, part] of says.entries()) {
        assert.equal(errors[at].pointer, '/password');
        assert.ok(errors[at].detail.includes(part), `${errors[at].detail} / ${part}`);
      }
      if (typeof password === 'string') assert.ok(!answer.body.includes(password));
    }
    assert.equal(sut.upstream.requests.length, 0);
    sut.upstream.behave(answerBytes('HTTP/1.1 201 Created\r\ncontent-length: 10\r\n\r\n{"id":"7"}'));
    const { status, body, headers } = await register('Aa1!Aa1!Aa1!');
    assert.deepEqual([status, body, headers['content-type']], [201, '{"id":"7"}', 'application/json']);
    const [asked] = sut.upstream.requests;
    assert.equal(asked?.startLine, 'POST /internal/register HTTP/1.1');
    assert.equal(asked?.body, '{ "email": "ann@example.com",  "password": "Aa1!Aa1!Aa1!" }');
  });

  it('ask the application who it is, where it knows the users', async (t) => {
    const sut = await start(t, { login: { path: '/auth/login', upstream: '/internal/verify' } });
    const answer = (status: string, json: string) =>
      sut.upstream.behave(answerBytes(`HTTP/1.1 ${status}\r\ncontent-length: ${json.length}\r\n\r\n${json}`));
    const login = () => sut.post('/auth/login', CREDENTIALS, 'X-Forwarded-For: 203.0.113.9');
    answer('200 OK', '{"sub":"u7","roles":["trader"],"secret":"x"}');
    const { access_token: token } = JSON.parse((await login()).body);
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
    assert.deepEqual([claims.sub, claims.roles, claims.secret], ['u7', ['trader'], undefined]);
    const [asked] = sut.upstream.requests;
    assert.equal(asked?.startLine, 'POST /internal/verify HTTP/1.1');
    assert.deepEqual(JSON.parse(asked?.body ?? ''), CREDENTIALS);
    const headers = new Map(asked?.headers);
    assert.deepEqual([headers.get('host'), headers.get('x-forwarded-for')], ['api.example', '127.0.0.1']);
    assert.match(headers.get('x-request-id') ?? '', /^[\w-]+$/);

    const outcomes: readonly (readonly [string, string, string])[] = [
      ['401 Unauthorized', '', '401 credentials_invalid'],
      ['200 OK', '{"sub":"u7","active":false}', '401 credentials_invalid'],
      ['200 OK', 'no json', '502 credentials_unavailable'],
      ['500 Oops', '{"sub":"u7"}', '502 credentials_unavailable'],
      ['200 OK', `{"sub":"${'x'.repeat(70_000)}"}`, '502 upstream_protocol'],
    ];
    for (const [status, json, code] of outcomes) {
      answer(status, json);
      assert.equal(codeOf(await login()), code, status);
    }
    sut.upstream.behave(answerBytes('HTTP/9 nonsense\r\n\r\n'));
    assert.equal(codeOf(await login()), '502 upstream_protocol');
    sut.upstream.behave((_, socket) => void socket.resetAndDestroy());
    assert.equal(codeOf(await login()), '502 upstream_reset');
    await sut.upstream.close();
    assert.equal(codeOf(await login()), '502 upstream_connect');
  });

  it('do not wait for ever for an application that says nothing', async (t) => {
    const policy = policyWith({ login: { path: '/auth/login', upstream: '/internal/verify' } });
    const timeouts = { connectMs: 100, requestMs: 200, idleMs: 1_000 };
    const sut = await startTokenSidecar({ ...policy, limits: { timeouts } }, (end) => t.after(end));
    sut.upstream.behave(staySilent);
    assert.equal(codeOf(await sut.post('/auth/login', CREDENTIALS)), '504 upstream_timeout');
  });

  it('take POST only, at their paths as the policy compares paths', async (t) => {
    const cors = {
      origins: ['https://app.example'],
      methods: ['POST'],
      headers: [],
      exposeHeaders: [],
      credentials: true,
      maxAgeMs: 0,
    };
    const sut = await start(
      t,
      {},
      { cors, pathMatching: { case: 'Insensitive', trailingSlash: 'Ignore', parameters: 'Refuse' } },
    );
    const refused = await sut.get('/auth/login');
    assert.deepEqual([codeOf(refused), refused.headers['allow']], ['405 post_only', 'POST']);
    for (const path of ['/AUTH/Login', '/auth/login/', '/auth/x/../login', '/%61uth/login?x=1'])
      assert.equal((await sut.post(path, CREDENTIALS)).status, 200, path);
    assert.equal(codeOf(await sut.post('/auth/login/x', CREDENTIALS)), '200', 'another path is the application’s');
    const preflight = await send(
      sut.port,
      'OPTIONS /auth/login HTTP/1.1\r\nHost: api.example\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\r\n',
    );
    assert.equal(preflight.status, 204);
    const denied = await sut.post('/auth/login', { ...CREDENTIALS, password: 'x' }, 'Origin: https://app.example');
    assert.deepEqual([denied.status, denied.headers['access-control-allow-origin']], [401, 'https://app.example']);
    assert.equal(sut.upstream.requests.length, 1);
  });

  it('let in only whom a rule lets in', async (t) => {
    const sut = await start(t, {}, { rules: [rule('auth', ['/auth/login'], [{ anonymous: true }])] });
    assert.equal((await sut.post('/auth/login', CREDENTIALS)).status, 200);
    assert.equal(codeOf(await sut.post('/auth/logout', '')), '401 token_missing');
  });

  it('are the application’s in mode Shadow', async (t) => {
    const sut = await start(t, {}, { mode: 'Shadow' });
    assert.match((await sut.post('/auth/login', CREDENTIALS)).body, /saw/);
    assert.equal(sut.upstream.requests.length, 1);
  });

  it('wait for what signs; then serve, and are not unready again', async (t) => {
    const { issuer, ...without } = policyWith();
    const sut = await startTokenSidecar(without, (end) => t.after(end));
    const missing = async () => {
      for (const path of ['/auth/login', '/auth/refresh'])
        assert.equal(codeOf(await sut.post(path, CREDENTIALS)), '503 signing_key_missing');
    };
    await missing();
    assert.equal((await sut.post('/auth/logout', '')).status, 204);
    assert.match(sut.sidecar.status().notReady.join(), /^IssuerNotFound: what tokens of AccessPolicy /);
    await sut.publish({ issuer: issuer ?? {} });
    assert.deepEqual(sut.sidecar.status().notReady, []);
    assert.equal(sut.sidecar.status().bundles.issuer?.serial, 2);
    const { refresh_token: token } = await sut.login();

    const { signingKey } = baseIssuer;
    const changes: readonly (readonly [string, Parameters<typeof sut.publish>[0]])[] = [
      ['its key may not sign', { issuer: { users: USERS, signingKey: null } }],
      [
        'its key verifies nowhere',
        { issuer: { users: USERS, signingKey: signingKey && { ...signingKey, kid: 'other' } } },
      ],
      ['it is of another key set', { issuer: { users: USERS, keySet: 'default/other' } }],
      ['it knows no users', { issuer: { users: null } }],
    ];
    for (const [what, change] of changes) {
      await sut.publish(change);
      assert.equal(sut.sidecar.status().bundles.issuer?.error, null, what);
      await missing();
      assert.deepEqual(sut.sidecar.status().notReady, []);
    }
    await sut.publish({ issuer: { users: USERS } });
    assert.equal(
      (await sut.post('/auth/refresh', { refresh_token: token })).status,
      200,
      'nothing was rotated meanwhile',
    );
  });

  it('keep the last good key when a bundle cannot sign', async (t) => {
    const sut = await start(t);
    const { signingKey } = baseIssuer;
    const broken = signingKey && { ...signingKey, privateJwk: { ...signingKey.privateJwk, d: 'AAAA' } };
    await sut.publish({ issuer: { users: USERS, signingKey: broken } });
    assert.equal(sut.sidecar.status().bundles.issuer?.error?.code, 'bundle_invalid');
    assert.ok(!JSON.stringify([sut.sidecar.status(), sut.log()]).includes(signingKey?.privateJwk['d'] ?? '-'));
    await sut.login();
  });

  it('issue for no longer than the key has promised', async (t) => {
    const signingKey = baseIssuer.signingKey && { ...baseIssuer.signingKey, maxTokenLifetimeMs: 60_000 };
    const sut = await startTokenSidecar({ ...policyWith(), issuer: { users: USERS, signingKey } }, (end) =>
      t.after(end),
    );
    assert.equal((await sut.login())['expires_in'], 60);
  });

  it('count what they refuse, and who is logged in', async (t) => {
    const sut = await start(t);
    await sut.post('/auth/login', { username: 'nobody', password: 'x' });
    await sut.post('/auth/login', { username: 'ann', password: 'x' });
    const { refresh_token: token } = await sut.login();
    await sut.login('eve');
    const metrics = async () =>
      (await send(sut.adminPort, 'GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).body;
    assert.match(await metrics(), /\nportcullis_failed_login_attempts_total 2\n/);
    assert.match(await metrics(), /\nportcullis_active_sessions 2\n/);
    await sut.post('/auth/logout', { refresh_token: token });
    assert.match(await metrics(), /\nportcullis_active_sessions 1\n/);
    assert.doesNotMatch(await metrics(), /"(ann|nobody)"/);
  });

  const elsewhere: readonly (readonly [boolean, number, Partial<TokenEndpoints>])[] = [
    [true, 503, baseEndpoints],
    [false, 404, baseEndpoints],
  ];
  for (const [issueTokens, status, endpoints] of elsewhere) {
    it(`on a pod that issues ${issueTokens ? '' : 'no '}tokens: ${status}`, { timeout: 60_000 }, async (t) => {
      const upstream = await recordingUpstream();
      t.after(() => upstream.close());
      const { access } = policyWith(endpoints);
      await using sidecar = await startSidecarProcess({ upstreams: [upstream.port], policy: { access }, issueTokens });
      const { traffic } = await sidecar.ports();
      const ask = (method: string, path: string) =>
        send(traffic[0] ?? 0, `${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
      for (const path of ['/auth/login', '/auth/refresh']) assert.equal((await ask('POST', path)).status, status, path);
      assert.equal((await ask('GET', '/auth/login')).status, issueTokens ? 405 : 404);
      const { stdout } = await sidecar.exec('explain', 'POST', '/auth/logout');
      assert.match(stdout, issueTokens ? /\ntoken-endpoint: answer\n/ : /\nresult: 404 tokens_not_issued\n$/);
      assert.equal(upstream.requests.length, 0);
    });
  }
});
