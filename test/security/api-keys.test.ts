import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ApiKeyEntry } from '../../policy/bundle/authentication.ts';
import { apiKeyHash, apiKeyOf } from '../../policy/credentials/api-key.ts';
import { describeAnswer, describeWithSidecar, request, requestLines } from '../support/attack-table.ts';
import { type RawAnswer, send } from '../support/raw-http.ts';
import { baseLimits, rule, type SidecarUnderTest, validToken } from '../support/sidecar-under-test.ts';

const keyOf = (fill: number): string => apiKeyOf(Buffer.alloc(24, fill));
const entry = (key: string, subject: string, more: Partial<ApiKeyEntry> = {}): ApiKeyEntry => ({
  sha256: apiKeyHash(key),
  subject,
  roles: ['admin'],
  tenant: 'acme',
  tier: 'premium',
  expiresAt: null,
  ...more,
});

const ann = keyOf(1);
const stranger = keyOf(2);
const ended = keyOf(3);
const partner = keyOf(4);
const rules = [
  rule('guarded', ['/guarded'], [{ roles: ['admin'] }]),
  rule('own', ['/users/{id}'], [{ when: 'claims.sub == path.id' }]),
  rule('open', ['/open'], [{ anonymous: true }]),
];
const apiKeys = [
  { name: 'people', header: 'x-api-key', keys: [entry(ann, 'ann'), entry(ended, 'bob', { expiresAt: 1 })] },
  { name: 'partners', header: 'x-partner-key', keys: [entry(partner, 'partner-1', { roles: [] })] },
];

function call(sut: SidecarUnderTest, path: string, ...headers: readonly string[]): Promise<RawAnswer> {
  sut.upstream.clear();
  return send(sut.port, request(`GET ${path} HTTP/1.1`, 'Host: api.example', ...headers));
}

const metricOf = async (sut: SidecarUnderTest, line: string): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${sut.adminPort}/metrics`)).text();
  const found = text.split('\n').find((each) => each.startsWith(`${line} `));
  return Number(found?.slice(line.length) ?? 0);
};

describeWithSidecar('API keys', { access: { rules, apiKeys } }, (sut) => {
  const altered = `${ann.slice(0, 10)}${ann[10] === 'A' ? 'B' : 'A'}${ann.slice(11)}`;
  const attacks: readonly (readonly [name: string, reason: string, ...headers: string[]])[] = [
    ['a whole key that nobody has', 'unknown_key', `X-API-Key: ${stranger}`],
    ['one sign of a key altered', 'malformed', `X-API-Key: ${altered}`],
    ['a key cut short', 'malformed', `X-API-Key: ${ann.slice(0, -1)}`],
    ['a key with one sign more', 'malformed', `X-API-Key: ${ann}x`],
    ['the hash itself', 'malformed', `X-API-Key: ${apiKeyHash(ann)}`],
    ['a key in another case', 'malformed', `X-API-Key: ${ann.toUpperCase()}`],
    ['an empty key', 'malformed', 'X-API-Key:'],
    ['a key as a scheme', 'malformed', `X-API-Key: Bearer ${ann}`],
    ['two keys', 'malformed', `X-API-Key: ${ann}`, `X-API-Key: ${ann}`],
    ['a key that has ended', 'expired', `X-API-Key: ${ended}`],
    ["a key in another list's header", 'unknown_key', `X-Partner-Key: ${ann}`],
    ['keys of two lists', 'ambiguous', `X-API-Key: ${ann}`, `X-Partner-Key: ${partner}`],
    ['a key beside a token', 'ambiguous', `X-API-Key: ${ann}`, `Authorization: Bearer ${validToken()}`],
    ['a bad key beside a good token', 'ambiguous', 'X-API-Key: x', `Authorization: Bearer ${validToken()}`],
  ];
  for (const [name, reason, ...headers] of attacks) {
    it(`${name}: 401, ${reason}`, async () => {
      const refused = await call(sut(), '/guarded', ...headers);
      assert.equal(refused.status, 401, describeAnswer(refused));
      assert.equal(JSON.parse(refused.body).code, 'api_key_invalid');
      assert.equal(refused.headers['www-authenticate'], 'ApiKey');
      assert.ok(!refused.body.includes(reason), 'the reason is not for the one who tries');
      assert.deepEqual(requestLines(sut()), []);
      assert.ok(sut().log().at(-1)?.includes(`"reason":"${reason}"`));

      const passed = await call(sut(), '/guarded', `X-API-Key: ${ann}`);
      assert.equal(passed.status, 200, `honest twin: ${describeAnswer(passed)}`);
    });
  }

  it('a key is an identity like that of a token: headers, conditions, roles', async () => {
    assert.equal((await call(sut(), '/users/ann', `x-api-key: ${ann}`)).status, 200);
    const head = sut().upstream.received().toLowerCase();
    assert.match(head, /x-portcullis-subject: ann\r\n/);
    assert.match(head, /x-portcullis-tenant: acme\r\n/);
    assert.match(head, /x-portcullis-roles: admin\r\n/);
    assert.match(sut().log().at(-1) ?? '', /"authenticator":"people","user":"ann"/);
    assert.equal((await call(sut(), '/users/bob', `x-api-key: ${ann}`)).status, 403);
    assert.equal((await call(sut(), '/guarded', `x-partner-key: ${partner}`)).status, 403);
  });

  it('a bad key where everyone may in is ignored, and gives no identity', async () => {
    assert.equal((await call(sut(), '/open', `X-API-Key: ${stranger}`)).status, 200);
    assert.ok(!sut().upstream.received().toLowerCase().includes('x-portcullis-subject'));
  });

  it('attempts are counted, by their reason', async () => {
    const failures = 'portcullis_credential_failures_total{kind="api_key",reason="unknown_key"}';
    const attempts = 'portcullis_authentication_attempts_total{success="false"}';
    const good = 'portcullis_authentication_attempts_total{success="true"}';
    const read = () => Promise.all([failures, attempts, good].map((line) => metricOf(sut(), line)));
    const before = await read();
    await call(sut(), '/guarded', `X-API-Key: ${stranger}`);
    await call(sut(), '/guarded', `X-API-Key: ${ann}`);
    const after = await read();
    assert.deepEqual(
      after.map((value, at) => value - (before[at] ?? 0)),
      [1, 1, 1],
    );
  });

  it('no key and no hash shows in the log', () => {
    const log = sut().log().join('');
    for (const key of [ann, stranger, ended, partner]) {
      assert.ok(!log.includes(key.slice(3, 20)));
      assert.ok(!log.includes(apiKeyHash(key)));
    }
  });
});

const anonymous = { limit: 3, windowMs: 60_000 };
describeWithSidecar(
  'API keys that are guessed',
  {
    access: { rules, apiKeys },
    limits: {
      ...baseLimits,
      limits: [
        {
          name: 'all',
          match: { hosts: [], paths: [], methods: [] },
          key: ['user'],
          algorithm: 'FixedWindow',
          rates: { anonymous, authenticated: { limit: 100, windowMs: 60_000 } },
          burst: 0,
          onStoreFailure: 'Deny',
        },
      ],
    },
  },
  (sut) => {
    it('failed attempts spend the anonymous rate of the address; who has a key goes on', async () => {
      const guess = async () => (await call(sut(), '/guarded', `X-API-Key: ${stranger}`)).status;
      assert.deepEqual([await guess(), await guess(), await guess(), await guess()], [401, 401, 401, 429]);
      assert.equal((await call(sut(), '/guarded', `X-API-Key: ${ann}`)).status, 200);
    });
  },
);

describeWithSidecar('API keys in Shadow', { access: { mode: 'Shadow', rules, apiKeys } }, (sut) => {
  it('a bad one is written down, and the request goes on', async () => {
    assert.equal((await call(sut(), '/guarded', `X-API-Key: ${stranger}`)).status, 200);
    assert.match(sut().log().at(-1) ?? '', /"code":"api_key_invalid","reason":"unknown_key"/);
  });
});
