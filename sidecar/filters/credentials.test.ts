import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CredentialSource } from '../../policy/bundle/types.ts';
import { testExchange } from '../pipeline/testing/exchange-fixtures.ts';
import { makeTestKey, testAuthenticator } from '../tokens/testing/token-fixtures.ts';
import { AMBIGUOUS, credentialPlaces } from './credentials.ts';

const bearer: CredentialSource = { kind: 'header', header: 'authorization', scheme: 'Bearer' };
const bare: CredentialSource = { kind: 'header', header: 'x-api-token', scheme: '' };
const cookie: CredentialSource = { kind: 'cookie', cookie: 'session' };

describe('credentialPlaces', () => {
  const cases: readonly (readonly [
    name: string,
    source: CredentialSource,
    headers: readonly string[],
    found: string | undefined | typeof AMBIGUOUS,
  ])[] = [
    ['no header', bearer, [], undefined],
    ['a token', bearer, ['authorization', 'Bearer a.b.c'], 'a.b.c'],
    ['the scheme in any case (RFC 9110 §11.1)', bearer, ['authorization', 'bEARER a.b.c'], 'a.b.c'],
    ['more than one space', bearer, ['authorization', 'Bearer   a.b.c'], 'a.b.c'],
    ['another scheme', bearer, ['authorization', 'Basic YTpi'], undefined],
    ['a longer scheme', bearer, ['authorization', 'BearerX a'], undefined],
    ['the scheme alone', bearer, ['authorization', 'Bearer'], undefined],
    ['another header', bearer, ['x-api-token', 'Bearer a'], undefined],
    ['no scheme: the whole value', bare, ['x-api-token', 'a.b.c'], 'a.b.c'],
    ['the header twice', bare, ['x-api-token', 'a', 'x-api-token', 'b'], AMBIGUOUS],
    ['no cookie', cookie, ['authorization', 'Bearer a'], undefined],
    ['a cookie', cookie, ['cookie', 'session=a.b.c'], 'a.b.c'],
    ['among others', cookie, ['cookie', 'x=1; session=a.b.c; y=2'], 'a.b.c'],
    ['in a second Cookie header', cookie, ['cookie', 'x=1', 'cookie', 'session=a'], 'a'],
    ['a longer name', cookie, ['cookie', 'xsession=a; session2=b'], undefined],
    ['a name in other case', cookie, ['cookie', 'Session=a'], undefined],
    ['twice in one header', cookie, ['cookie', 'session=a; session=b'], AMBIGUOUS],
    ['in two headers', cookie, ['cookie', 'session=a', 'cookie', 'session=a'], AMBIGUOUS],
    ['empty', cookie, ['cookie', 'session='], ''],
    ['with blanks around it', cookie, ['cookie', 'x=1;\t session=a.b.c \t; y=2'], 'a.b.c'],
    ['a name after a blank that browsers take for a letter', cookie, ['cookie', '\u00a0session=a'], undefined],
    ['the same beside the cookie', cookie, ['cookie', 'session=a; \u00a0session=b; \u000bsession=c'], 'a'],
  ];
  for (const [name, source, headers, found] of cases) {
    it(`${source.kind}: ${name}`, () => {
      const [place] = credentialPlaces([testAuthenticator([], { from: [source] })]);
      assert.equal(place?.find(testExchange({ headers })), found);
      assert.equal(place?.cookie, source.kind === 'cookie');
    });
  }

  it('each place once, in the order in which they are named, with the authenticators that read it', () => {
    const key = makeTestKey('HS256');
    const places = credentialPlaces([
      testAuthenticator([key], { name: 'one', from: [cookie, bearer] }),
      testAuthenticator([key], { name: 'two', from: [bearer, bare] }),
    ]);
    assert.deepEqual(
      places.map((place) => [place.cookie, [...place.authenticators]]),
      [
        [true, ['one']],
        [false, ['one', 'two']],
        [false, ['two']],
      ],
    );
  });
});
