import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apiKeyHash, apiKeyOf, isApiKey } from './api-key.ts';

const RANDOM = Buffer.from(Array.from({ length: 24 }, (_, at) => at));
const KEY = 'pk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXn7Nixo';

describe('API keys', () => {
  it('the format and its hash do not change', () => {
    assert.equal(apiKeyOf(RANDOM), KEY);
    // printf %s KEY | sha256sum
    assert.equal(apiKeyHash(KEY), '613eb88ae4223988ef2694b38d000faf7f2ee196b4aebeaae204a2c1f4b30525');
    assert.ok(isApiKey(KEY));
  });

  it('a key is made of 24 random bytes', () => assert.throws(() => apiKeyOf(Buffer.alloc(16)), RangeError));

  it('one sign altered anywhere is noticed', () => {
    for (let at = 0; at < KEY.length; at++) {
      const altered = `${KEY.slice(0, at)}${KEY[at] === 'x' ? 'y' : 'x'}${KEY.slice(at + 1)}`;
      assert.equal(isApiKey(altered), false, altered);
    }
  });

  for (const text of ['', 'pk_', KEY.slice(0, -1), `${KEY}A`, ` ${KEY}`, `${KEY}\n`, KEY.toLowerCase(), 'password']) {
    it(`${JSON.stringify(text)} is none`, () => assert.equal(isApiKey(text), false));
  }
});
