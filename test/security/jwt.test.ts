import assert from 'node:assert/strict';
import { it } from 'node:test';
import { tokenAttacks } from '../../sidecar/tokens/testing/token-attacks.ts';
import { makeTestKey, mintToken, testAuthenticator, validClaims } from '../../sidecar/tokens/testing/token-fixtures.ts';
import { describeAnswer, describeWithSidecar, request, requestLines } from '../support/attack-table.ts';
import { type RawAnswer, send } from '../support/raw-http.ts';
import { rule, type SidecarUnderTest } from '../support/sidecar-under-test.ts';

/** Seconds that the table's tokens keep their meaning: as long as this file takes, with room. */
const SLACK = 30;
const { authenticators, attacks } = tokenAttacks(Date.now(), SLACK);
const rules = [
  rule('guarded', ['/guarded'], [{ authenticated: true }]),
  rule('open', ['/open'], [{ anonymous: true }]),
];
const places = [
  { kind: 'header', header: 'authorization', scheme: 'Bearer' },
  { kind: 'cookie', cookie: 'access_token' },
] as const;

function call(sut: SidecarUnderTest, path: string, ...headers: readonly string[]): Promise<RawAnswer> {
  sut.upstream.clear();
  return send(sut.port, request(`GET ${path} HTTP/1.1`, 'Host: api.example', ...headers));
}

/** Tokens that HTTP can carry unchanged: whitespace around a value is not part of it, other bytes are refused before. */
const carried = attacks.filter(([, attack]) => /^[\x21-\x7e]+$/.test(attack));

describeWithSidecar(
  'JWT',
  { access: { rules, jwt: authenticators.map((authenticator) => ({ ...authenticator, from: places })) } },
  (sut) => {
    for (const [name, attack, refusal, honest] of carried) {
      it(`${name}: 401, ${refusal}`, async () => {
        const refused = await call(sut(), '/guarded', `Authorization: Bearer ${attack}`);
        assert.equal(refused.status, 401, describeAnswer(refused));
        assert.equal(refused.headers['www-authenticate'], 'Bearer error="invalid_token"');
        assert.equal(JSON.parse(refused.body).code, 'token_invalid');
        assert.ok(!refused.body.includes(refusal), 'the reason is not for the one who tries');
        assert.deepEqual(requestLines(sut()), []);

        const passed = await call(sut(), '/guarded', `Authorization: Bearer ${honest}`);
        assert.equal(passed.status, 200, `honest twin: ${describeAnswer(passed)}`);
      });
    }

    it('the table runs nearly whole over a socket', () => {
      assert.ok(carried.length >= attacks.length - 8, `${carried.length} of ${attacks.length}`);
    });

    it('a cookie with the same tokens: the same answers', async () => {
      for (const [name, attack, , honest] of carried) {
        if (/[;,"\\{]/.test(attack)) continue;
        assert.equal((await call(sut(), '/guarded', `Cookie: a=b; access_token=${attack}`)).status, 401, name);
        assert.equal((await call(sut(), '/guarded', `Cookie: access_token=${honest}; a=b`)).status, 200, name);
      }
    });

    it('no token: 401 that asks for one', async () => {
      const answer = await call(sut(), '/guarded');
      assert.equal(answer.status, 401);
      assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/);
      assert.equal(JSON.parse(answer.body).code, 'token_missing');
    });

    it('a bad token where everyone may in is ignored, and gives no identity', async () => {
      const [, forged = ''] = attacks.find(([name]) => name === 'a foreign key under our kid') ?? [];
      assert.equal((await call(sut(), '/open', `Authorization: Bearer ${forged}`)).status, 200);
      assert.ok(!sut().upstream.received().toLowerCase().includes('x-portcullis-subject'));
    });

    it('two cookies of the name: no choice is safe, 401', async () => {
      const [, , , honest] = attacks[0] ?? [];
      const twice = await call(sut(), '/guarded', `Cookie: access_token=${honest}; access_token=${honest}`);
      assert.equal(twice.status, 401);
    });

    it('a token beside a refused one does not help: the first place decides', async () => {
      const [, attack, , honest] = attacks.find(([name]) => name === 'a foreign audience') ?? [];
      const answer = await call(sut(), '/guarded', `Authorization: Bearer ${attack}`, `Cookie: access_token=${honest}`);
      assert.equal(answer.status, 401);
    });

    it('no token and no key shows in the log', () => {
      const log = sut().log().join('');
      for (const [, attack, , honest] of carried) {
        for (const token of [attack, honest]) {
          const signature = token.split('.')[2] ?? '';
          if (signature.length > 20) assert.ok(!log.includes(signature));
        }
      }
    });
  },
);

describeWithSidecar('JWT: keys that leave', { access: { rules } }, (sut) => {
  const first = makeTestKey('ES256', 'first');
  const second = makeTestKey('ES256', 'second');

  it('tokens of a removed key are refused from the next request on, cached or not; those of a kept key go on', async () => {
    await sut().publish({ access: { rules, jwt: [testAuthenticator([first, second])] } });
    const [leaving, staying] = [first, second].map(
      (key) => `Authorization: Bearer ${mintToken(key, validClaims(Date.now()))}`,
    );
    assert.ok(leaving && staying);
    for (const header of [leaving, staying, leaving, staying]) {
      assert.equal((await call(sut(), '/guarded', header)).status, 200);
    }
    await sut().publish({ access: { rules, jwt: [testAuthenticator([second])] } });
    assert.equal((await call(sut(), '/guarded', leaving)).status, 401);
    assert.equal((await call(sut(), '/guarded', staying)).status, 200);
  });

  it('a bundle with a key that must be refused is refused wholly, and the last good one stays', async () => {
    const weak = testAuthenticator([
      { ...first, verification: { kid: 'weak', algorithm: 'HS256', jwk: { kty: 'oct', k: 'c2VjcmV0' } } },
    ]);
    await sut().publish({ access: { rules, jwt: [weak] } });
    assert.equal(sut().sidecar.status().bundles.access?.error?.code, 'key_refused');
    const staying = `Authorization: Bearer ${mintToken(second, validClaims(Date.now()))}`;
    assert.equal((await call(sut(), '/guarded', staying)).status, 200);
    assert.ok(!sut().log().join('').includes('c2VjcmV0'));
  });
});
