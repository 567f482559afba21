import assert from 'node:assert/strict';
import { it } from 'node:test';
import { makeTestKey, mintToken, testAuthenticator, validClaims } from '../../sidecar/tokens/testing/token-fixtures.ts';
import { describeAnswer, describeWithSidecar, request, requestLines } from '../support/attack-table.ts';
import { type RawAnswer, send } from '../support/raw-http.ts';
import { rule, type SidecarUnderTest } from '../support/sidecar-under-test.ts';

const key = makeTestKey('ES256', 'query-key');
const token = mintToken(key, validClaims(Date.now()));
const expired = mintToken(key, validClaims(Date.now() - 3_600_000));
const rules = [rule('feed', ['/feed'], [{ authenticated: true }]), rule('open', ['/open'], [{ anonymous: true }])];
const authenticator = testAuthenticator([key], {
  from: [
    { kind: 'header', header: 'authorization', scheme: 'Bearer' },
    { kind: 'query', parameter: 'token' },
  ],
});
const HANDSHAKE = [
  'Host: api.example',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
];

function shake(sut: SidecarUnderTest, target: string, ...headers: readonly string[]): Promise<RawAnswer> {
  sut.upstream.clear();
  return send(sut.port, request(`GET ${target} HTTP/1.1`, ...HANDSHAKE, ...headers));
}

describeWithSidecar(
  'tokens in the query of a WebSocket handshake',
  { access: { rules, jwt: [authenticator] } },
  (sut) => {
    const let_in: readonly (readonly [target: string, forwarded: string, ...headers: string[]])[] = [
      [`/feed?token=${token}`, '/feed'],
      [`/feed?token=${token}&symbol=BTC&x=%20`, '/feed?symbol=BTC&x=%20'],
      [`/feed?symbol=BTC&token=${token}`, '/feed?symbol=BTC'],
      [`/feed?a=1&tok%65n=${token}&&b=2`, '/feed?a=1&&b=2'],
      ['/feed?a=1&b=token', '/feed?a=1&b=token', `Authorization: Bearer ${token}`],
      [`/feed?token=other&a=1`, '/feed?a=1', `Authorization: Bearer ${token}`],
      [`/open?token=${expired}&a=1`, '/open?a=1'],
      ['/open?token&a=1', '/open?a=1'],
    ];
    for (const [target, forwarded, ...headers] of let_in) {
      it(`${target.replace(/ey[\w.-]+/, 'JWT')} is forwarded as ${forwarded}`, async () => {
        await shake(sut(), target, ...headers);
        assert.deepEqual(requestLines(sut()), [`GET ${forwarded} HTTP/1.1`]);
        assert.ok(!sut().upstream.received().includes(token.split('.')[2]!) || headers.length > 0);
      });
    }

    const refused: readonly (readonly [name: string, target: string, reason: string])[] = [
      ['two of them, alike', `/feed?token=${token}&token=${token}`, 'malformed'],
      ['two of them, one escaped', `/feed?token=${token}&%74oken=x`, 'malformed'],
      ['one that has ended', `/feed?token=${expired}`, 'expired'],
      ['an empty one', '/feed?token=', 'malformed'],
      ['one with its dots escaped', `/feed?token=${token.replaceAll('.', '%2E')}`, 'malformed'],
      ['none', '/feed?Token=x', 'no credentials'],
    ];
    for (const [name, target, reason] of refused) {
      it(`${name}: 401, ${reason}`, async () => {
        const answer = await shake(sut(), target);
        assert.equal(answer.status, 401, describeAnswer(answer));
        assert.deepEqual(requestLines(sut()), []);
        assert.ok(sut().log().at(-1)?.includes(`"reason":"${reason}"`));
      });
    }

    it('outside handshakes it is no place for tokens', async () => {
      sut().upstream.clear();
      const plain = await send(sut().port, request(`GET /feed?token=${token} HTTP/1.1`, 'Host: api.example'));
      assert.equal(plain.status, 401);
      assert.equal(JSON.parse(plain.body).code, 'token_missing');
      const header = `Authorization: Bearer ${token}`;
      assert.equal((await send(sut().port, request('GET /feed HTTP/1.1', 'Host: api.example', header))).status, 200);
    });

    it('no token shows in the log', () => {
      const log = sut().log().join('');
      for (const each of [token, expired])
        assert.ok(!log.includes(each.split('.')[2]!) && !log.includes(each.split('.')[1]!));
    });
  },
);

describeWithSidecar(
  'tokens in a query, in Shadow',
  { access: { mode: 'Shadow', rules, jwt: [authenticator] } },
  (sut) => {
    it('the application gets what it always got: it may be the one that reads them', async () => {
      await shake(sut(), `/feed?token=${token}&a=1`);
      assert.deepEqual(requestLines(sut()), [`GET /feed?token=${token}&a=1 HTTP/1.1`]);
    });
  },
);
