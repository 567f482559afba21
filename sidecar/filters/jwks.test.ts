import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PathMatching, TokensConfig } from '../../policy/bundle/types.ts';
import type { Decision } from '../pipeline/filter.ts';
import { testExchange } from '../pipeline/testing/exchange-fixtures.ts';
import { jwks } from './jwks.ts';

const KEY = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: 'a', alg: 'ES256', use: 'sig' } as const;
const TOKENS: TokensConfig = {
  keySet: 'shop/keys',
  keySetSerial: 1,
  jwksPath: '/.well-known/jwks.json',
  jwksMaxAgeMs: 600_000,
  jwks: { keys: [KEY] },
};
const STRICT: PathMatching = { case: 'Sensitive', trailingSlash: 'Strict', parameters: 'Refuse' };
const LOOSE: PathMatching = { ...STRICT, case: 'Insensitive', trailingSlash: 'Ignore' };

function decide(
  request: Parameters<typeof testExchange>[0],
  tokens: TokensConfig = TOKENS,
  matching = STRICT,
): Decision | Promise<Decision> {
  return jwks(tokens, matching, () => 0.5).onRequest?.(testExchange({ path: TOKENS.jwksPath, ...request }));
}

describe('jwks', () => {
  it('answers with the keys, for a while', () => {
    const decision = decide({});
    assert.ok(decision !== undefined && 'kind' in decision && decision.kind === 'answer');
    assert.equal(decision.status, 200);
    assert.deepEqual(JSON.parse(decision.body), { keys: [KEY] });
    const [type, value, tag, etag, control, age] = decision.headers;
    assert.deepEqual(
      [type, value, tag, control],
      ['content-type', 'application/jwk-set+json', 'etag', 'cache-control'],
    );
    assert.equal(age, 'public, max-age=450');
    const again = decide({ headers: ['if-none-match', etag ?? ''] });
    assert.deepEqual(again, { kind: 'answer', status: 304, headers: [tag, etag, control, age], body: '' });
  });

  it('says that secrets are none', () => {
    const decision = decide({}, { ...TOKENS, jwks: null });
    assert.ok(decision !== undefined && 'kind' in decision && decision.kind === 'deny');
    assert.equal(decision.code, 'symmetric_key_set');
  });

  for (const [name, request, matching, answered] of [
    ['HEAD', { method: 'HEAD' }, STRICT, true],
    ['POST', { method: 'POST' }, STRICT, false],
    ['a preflight', { method: 'OPTIONS' }, STRICT, false],
    ['another path', { path: '/jwks.json' }, STRICT, false],
    ['below it', { path: '/.well-known/jwks.json/x' }, STRICT, false],
    ['a slash at the end', { path: '/.well-known/jwks.json/' }, STRICT, false],
    ['a slash at the end that is ignored', { path: '/.well-known/jwks.json/' }, LOOSE, true],
    ['letters that are not told apart', { path: '/.well-known/JWKS.json' }, LOOSE, true],
  ] as const) {
    it(`${name}: ${answered ? 'answered' : 'goes on'}`, () => {
      assert.equal(decide(request, TOKENS, matching) !== undefined, answered);
    });
  }
});
