import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TokenCache } from './token-cache.ts';
import type { VerifiedToken } from './token-verifier.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 300) };

function verified(sub: string): VerifiedToken {
  return { claims: { sub }, authenticator: 'a', kid: 'k', refuseAfter: 1, refuseBefore: 0, identity: null };
}

describe('token cache', () => {
  it('finds a token by its whole text', () => {
    const cache = new TokenCache({ maxEntries: 10, maxBytes: 1e6 });
    const entry = verified('alice');
    cache.set('token-a', entry);
    assert.equal(cache.get('token-a'), entry);
    assert.equal(cache.get('token-'), undefined);
    assert.equal(cache.get('token-ab'), undefined);
  });

  it('replaces an entry of the same token and counts it once', () => {
    const cache = new TokenCache({ maxEntries: 10, maxBytes: 1e6 });
    cache.set('t', verified('old'));
    const bytes = cache.bytes;
    const entry = verified('new');
    cache.set('t', entry);
    assert.equal(cache.get('t'), entry);
    assert.deepEqual([cache.size, cache.bytes], [1, bytes]);
  });

  it('forgets first what was not hit since the hand last passed', () => {
    const cache = new TokenCache({ maxEntries: 3, maxBytes: 1e6 });
    for (const token of ['a', 'b', 'c']) cache.set(token, verified(token));
    cache.get('a');
    cache.get('c');
    cache.set('d', verified('d'));
    assert.deepEqual(held(cache, ['a', 'b', 'c', 'd']), ['a', 'c', 'd']);
  });

  it('a flood of tokens seen once does not push out one that is in use', () => {
    const cache = new TokenCache({ maxEntries: 100, maxBytes: 1e6 });
    cache.set('busy', verified('busy'));
    for (let at = 0; at < 10_000; at++) {
      assert.ok(cache.get('busy'), `gone after ${at}`);
      cache.set(`once-${at}`, verified('x'));
    }
  });

  it('keeps the bound in bytes, and not what is larger than that', () => {
    const cache = new TokenCache({ maxEntries: 1000, maxBytes: 50_000 });
    for (let at = 0; at < 100; at++) cache.set(`${'x'.repeat(1000)}${at}`, verified('x'));
    assert.ok(cache.size > 5 && cache.bytes <= 50_000, `${cache.size} entries, ${cache.bytes} bytes`);
    const before = cache.size;
    cache.set('y'.repeat(60_000), verified('y'));
    assert.equal(cache.size, before);
  });

  it('counts the claims as what they take on the heap, not as their text', () => {
    const cache = new TokenCache({ maxEntries: 1000, maxBytes: 1e6 });
    const bytesOf = (claims: Record<string, unknown>): number => {
      cache.delete('t');
      cache.set('t', { ...verified('x'), claims });
      return cache.bytes;
    };
    const empty = bytesOf({});
    assert.ok(bytesOf({ x: Array.from({ length: 1000 }, () => []) }) > empty + 40_000);
    assert.ok(bytesOf(Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`k${at}`, at]))) > empty + 20_000);
  });

  it('copies the chosen entries of another cache within its own bounds', () => {
    const large = new TokenCache({ maxEntries: 10, maxBytes: 1e6 });
    for (const token of ['a', 'b', 'c', 'x'.repeat(5000)]) large.set(token, verified(token));
    const small = new TokenCache({ maxEntries: 10, maxBytes: 2000 });
    small.copyFrom(large, ({ claims }) => claims['sub'] !== 'b');
    assert.deepEqual(held(small, ['a', 'b', 'c', 'x'.repeat(5000)]), ['a', 'c']);
    assert.notEqual(small.get('a'), large.get('a'));
  });

  it('keeps its bounds and its books under random use', () => {
    const tokens = fc.integer({ min: 0, max: 30 }).map((at) => `${'t'.repeat(at * 7)}#${at}`);
    const step = fc.record({ kind: fc.constantFrom('set', 'get', 'delete'), token: tokens });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const cache = new TokenCache({ maxEntries: 8, maxBytes: 4_000 });
        for (const { kind, token } of steps) {
          if (kind === 'get') assert.equal(cache.get(token)?.claims['sub'] ?? token, token);
          else if (kind === 'delete') cache.delete(token);
          else cache.set(token, verified(token));
          if (kind === 'set') assert.ok(cache.get(token), 'what was just set is there');
          assert.ok(cache.size <= 8 && cache.bytes <= 4_000);
          assert.ok(cache.size > 0 || cache.bytes === 0);
        }
      }),
      RUNS,
    );
  });
});

function held(cache: TokenCache, tokens: readonly string[]): string[] {
  return tokens.filter((token) => cache.get(token) !== undefined);
}
