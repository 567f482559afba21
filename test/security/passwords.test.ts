import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { encodeBundle } from '../../policy/bundle/encode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import { testPrivateKey } from '../../policy/bundle/testing/example-bundles.ts';
import { SIDECAR_PATHS } from '../../runtime/sidecar-arguments.ts';
import { withAdmin } from '../redis/redis-clients.ts';
import { RedisServer, redisMissing } from '../redis/redis-server.ts';
import { type RawAnswer, send } from '../support/raw-http.ts';
import { startSidecarProcess } from '../support/sidecar-process.ts';
import { baseIssuer, type PolicyUnderTest } from '../support/sidecar-under-test.ts';
import { codeOf, PASSWORD, policyWith, startTokenSidecar, USERS } from '../support/token-endpoints.ts';

const LOGIN = '/auth/login';

function start(t: TestContext, policy: PolicyUnderTest = policyWith()) {
  return startTokenSidecar(policy, (end) => t.after(end));
}

/** An answer without the id of its request. */
function withoutId({ status, headers, body }: RawAnswer): unknown {
  const { 'x-request-id': id = '', ...others } = headers;
  return { status, others, body: body.replaceAll(id, 'ID') };
}

describe('passwords and tokens (SECURITY.md)', () => {
  it('nobody learns which users there are: one answer, byte for byte, to whatever is wrong', async (t) => {
    const sut = await start(t);
    const refused: readonly (readonly [string, string, string])[] = [
      ['an unknown user', 'nobody', PASSWORD],
      ['a wrong password', 'ann', 'wrong'],
      ['an inactive user', 'idle', PASSWORD],
      ['a name of Object.prototype', '__proto__', PASSWORD],
      ['a hash for a password', 'ann', USERS.hashes.ann],
    ];
    const answers = new Set<string>();
    for (const [what, username, password] of refused) {
      const answer = await sut.post(LOGIN, { username, password });
      assert.equal(codeOf(answer), '401 credentials_invalid', what);
      answers.add(JSON.stringify(withoutId(answer)));
    }
    assert.equal(answers.size, 1, [...answers].join('\n'));
    await sut.login();
  });

  it('bcrypt holds nobody up: a request that comes after logins is answered before them', async (t) => {
    const sut = await start(t);
    const { access_token: token } = await sut.login();
    const order: string[] = [];
    const logins = ['ann', 'eve', 'nobody'].map((username) =>
      sut.post(LOGIN, { username, password: PASSWORD }).then(() => order.push('login')),
    );
    for (let i = 0; i < 3; i++) {
      const { status } = await sut.get('/x', `Authorization: Bearer ${token}`);
      order.push(`request ${status}`);
    }
    await Promise.all(logins);
    assert.deepEqual(order.slice(0, 3), ['request 200', 'request 200', 'request 200']);
  });

  it('a flood of logins is refused, not queued without end, and whoever comes after it gets in', {
    timeout: 120_000,
  }, async (t) => {
    const sut = await start(t);
    const flood = await Promise.all(
      Array.from({ length: 40 }, () => send(sut.port, loginBytes('ann', 'wrong'), { timeoutMs: 60_000 })),
    );
    const codes = flood.map(codeOf);
    assert.deepEqual([...new Set(codes)].sort(), ['401 credentials_invalid', '503 overloaded']);
    assert.ok(codes.filter((code) => code.startsWith('503')).length >= 20, codes.join());
    for (const answer of flood) if (answer.status === 503) assert.equal(answer.headers['retry-after'], '1');
    await sut.login();
  });

  it('failed logins spend the anonymous rate of the address, also of who has a token; good ones spend the user’s', async (t) => {
    const rates = { anonymous: { limit: 4, windowMs: 3_600_000 }, authenticated: { limit: 100, windowMs: 3_600_000 } };
    const limit = {
      name: 'each',
      match: { hosts: [], paths: [], methods: [] },
      key: ['user'],
      algorithm: 'FixedWindow',
      rates,
      burst: 0,
      onStoreFailure: 'Deny',
    } as const;
    const sut = await start(t, { ...policyWith(), limits: { limits: [limit] } });
    const { access_token: token, refresh_token: refresh } = await sut.login(); // the first of four
    const bearer = `Authorization: Bearer ${token}`;
    const guess = async () => codeOf(await sut.post(LOGIN, { username: 'eve', password: 'wrong' }, bearer));
    const good = async () => codeOf(await sut.post(LOGIN, { username: 'ann', password: PASSWORD }, bearer));
    assert.equal(await good(), '200');
    assert.deepEqual([await guess(), await guess()], ['401 credentials_invalid', '401 credentials_invalid']);
    const forged = { refresh_token: `${refresh?.slice(0, 30)}${'A'.repeat(40)}` };
    assert.equal(codeOf(await sut.post('/auth/refresh', forged, bearer)), '401 refresh_token_invalid');
    assert.equal(await guess(), '429 rate_limited');
    assert.equal(codeOf(await sut.post(LOGIN, { username: 'ann', password: PASSWORD })), '429 rate_limited');
    assert.equal(await good(), '200', 'who is known is not locked out by strangers');
  });

  it('what is broken JSON to one is broken to all, and compressed bodies are not looked at', async (t) => {
    const sut = await start(t);
    const cases: readonly (readonly [string, string, string, ...string[]])[] = [
      ['a name twice', `{"username":"eve","username":"ann","password":"${PASSWORD}"}`, '400 body_invalid'],
      [
        'the same by an escape',
        `{"\\u0075sername":"eve","username":"ann","password":"${PASSWORD}"}`,
        '400 body_invalid',
      ],
      ['trailing text', `{"username":"ann","password":"${PASSWORD}"}{}`, '400 body_invalid'],
      ['a member more', `{"username":"ann","password":"${PASSWORD}","roles":["admin"]}`, '400 body_invalid'],
      ['17 KiB', JSON.stringify({ username: 'ann', password: 'x'.repeat(17_000) }), '413 body_too_large'],
      ['17 levels', '['.repeat(5_000), '400 body_invalid'],
      [
        'said to be compressed',
        JSON.stringify({ username: 'ann', password: PASSWORD }),
        '415 unsupported_media_type',
        'Content-Encoding: gzip',
      ],
    ];
    for (const [what, body, code, ...headers] of cases) {
      const answer = await sut.post(LOGIN, body, ...headers);
      assert.equal(codeOf(answer), code, what);
      assert.ok(!answer.body.includes(PASSWORD), what);
    }
    await sut.login();
  });

  it('neither passwords nor tokens are in log lines, answers to others, /status or metrics', async (t) => {
    const sut = await start(t);
    const { access_token: access = '', refresh_token: refresh = '' } = await sut.login();
    await sut.post(LOGIN, { username: 'ann', password: 'tried-in-vain' });
    await sut.post(LOGIN, { username: 'typed-in-the-wrong-field', password: 'x' });
    await sut.post('/auth/refresh', { refresh_token: refresh });
    await sut.post('/auth/logout', { refresh_token: refresh }, `Authorization: Bearer ${access}`);
    const told = await Promise.all(
      ['/status', '/metrics', '/readyz'].map((path) =>
        send(sut.adminPort, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
      ),
    );
    const all = [...sut.log(), ...told.map(({ body }) => body)].join('\n');
    assert.match(all, /"reason":"wrong_password"/);
    const secrets = [PASSWORD, 'tried-in-vain', access.split('.')[2], refresh.slice(27), USERS.hashes.ann];
    for (const secret of [...secrets, baseIssuer.signingKey?.privateJwk['d']]) assert.ok(!all.includes(secret ?? '-'));
  });

  it('what Redis holds is no token: hashes only', { skip: redisMissing() }, async (t) => {
    const redis = await RedisServer.start();
    t.after(() => redis.remove());
    const { access, issuer = {} } = policyWith();
    const sut = await start(t, { access: { ...access, store: { redisUrl: redis.url } }, issuer });
    const { refresh_token: token = '', access_token: signed = '' } = await sut.login();
    const renewed = JSON.parse((await sut.post('/auth/refresh', { refresh_token: token })).body);
    await sut.post('/auth/logout', '', `Authorization: Bearer ${signed}`);
    const { jti } = JSON.parse(Buffer.from(signed.split('.')[1] ?? '', 'base64url').toString());
    const dump = await withAdmin(redis, async (admin) => {
      const keys = await admin.keys('*');
      const values = await Promise.all(
        keys.map(async (key) =>
          ({
            hash: () => admin.hgetall(key),
            zset: () => admin.zrange(key, '0', '-1'),
            string: () => admin.get(key),
          })[(await admin.type(key)) as 'hash' | 'zset' | 'string'](),
        ),
      );
      return JSON.stringify([keys, values]);
    });
    const live = renewed.refresh_token.slice(27);
    assert.ok(dump.includes(createHash('sha256').update(live).digest('base64url')), 'the live one by its hash');
    assert.ok(dump.includes(jti), 'revoked by its number, which is no secret');
    for (const [what, secret] of Object.entries({
      first: token.slice(27),
      live,
      signed,
      PASSWORD,
      hash: USERS.hashes.ann,
    }))
      assert.ok(!dump.includes(secret), what);
  });

  it('an issuer bundle of another writer, policy or serial is refused, and the last good one signs', async (t) => {
    const sut = await start(t);
    const { namespace, name } = baseIssuer;
    const location = sut.sidecar.status().bundles.issuer;
    assert.deepEqual([location?.namespace, location?.name, location?.serial], [namespace, name, 1]);
    const users = { hashes: { mallory: USERS.hashes.ann }, claims: { mallory: { roles: ['admin'] } } };
    const foreign: readonly (readonly [string, Parameters<typeof sut.publish>[0], string])[] = [
      ['another policy’s', { issuer: { name: 'other', users } }, 'bundle_foreign'],
      [
        'an access bundle',
        { issuer: { ...(policyWith().access as object), kind: 'Access', users } as never },
        'bundle_foreign',
      ],
    ];
    for (const [what, change, code] of foreign) {
      await sut.publish(change);
      assert.equal(sut.sidecar.status().bundles.issuer?.error?.code, code, what);
      assert.equal(
        codeOf(await sut.post(LOGIN, { username: 'mallory', password: PASSWORD })),
        '401 credentials_invalid',
      );
    }
    await sut.login();
    await sut.publish({ issuer: { users } });
    await sut.login('mallory');
  });

  for (const [what, issueTokens, mine, status] of [
    ['a pod that issues none reads no key, though it is mounted', false, true, 404],
    ['one that issues does', true, true, 200],
    ['but none that another has signed', true, false, 503],
  ] as const) {
    it(what, { timeout: 60_000 }, async () => {
      const { access, issuer = {} } = policyWith();
      const policy = mine ? { access, issuer } : { access };
      await using sidecar = await startSidecarProcess({ upstreams: [1], policy, issueTokens });
      if (!mine) {
        const theirs = encodeBundle({ ...baseIssuer, name: 'access', users: USERS }, testPrivateKey(8));
        await writeFile(join(sidecar.root, SIDECAR_PATHS.issuer, BUNDLE_FILE), theirs);
      }
      const { traffic, admin } = await sidecar.ports();
      const seen = async () =>
        JSON.parse((await send(admin, 'GET /status HTTP/1.1\r\nHost: x\r\n\r\n')).body).bundles.issuer;
      const deadline = performance.now() + 20_000;
      while (issueTokens && (await seen()).serial === 0 && (await seen()).error === null)
        assert.ok(performance.now() < deadline);
      const answer = await send(traffic[0] ?? 0, loginBytes('ann', PASSWORD), { timeoutMs: 20_000 });
      assert.equal(answer.status, status, JSON.stringify([answer.body, await sidecar.logged('request')]));
      if (!issueTokens) assert.equal(await seen(), null);
    });
  }
});

function loginBytes(username: string, password: string): string {
  const body = JSON.stringify({ username, password });
  const head = `POST ${LOGIN} HTTP/1.1\r\nHost: api.example\r\nContent-Type: application/json\r\n`;
  return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
}
