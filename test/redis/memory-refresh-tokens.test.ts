import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MemoryRefreshTokens } from '../../sidecar/stores/refresh-tokens-memory.ts';
import { refreshTokenSuite } from './refresh-token-suite.ts';

const store = new MemoryRefreshTokens();
refreshTokenSuite('refresh tokens in memory', { store: () => store, runs: 500 });

it('forgets the oldest login above its bound, and what has ended before that', async () => {
  const small = new MemoryRefreshTokens(3);
  const session = { user: 'ann', claims: {}, credential: null, loggedInAt: 0 };
  const begin = (family: string, lifetimeMs: number, now: number) =>
    small.begin(family, 'hash', session, lifetimeMs, now);
  for (const family of ['a', 'b', 'c']) await begin(family, 1000, 0);
  await begin('d', 1000, 1);
  assert.equal(small.size, 3);
  const rotate = async (family: string, now: number) =>
    (await small.rotate(family, 'hash', { salt: 's', hash: 'h' }, 1, now)).kind;
  assert.deepEqual([await rotate('a', 1), await rotate('b', 1)], ['Unknown', 'Rotated']);
  await begin('e', 1000, 1000);
  assert.equal(small.size, 2);
});
