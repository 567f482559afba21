import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { RefreshSession, RefreshTokenStore, Rotation } from '../../sidecar/stores/refresh-tokens.ts';
import { hashOfSecret, successorOf } from '../../sidecar/token-service/refresh-token.ts';

const EPOCH = 1_800_000_000_000;
const GRACE_MS = 10_000;
const LIFETIME_MS = 3_600_000;
const SESSION: RefreshSession = {
  user: 'ann',
  claims: { sub: 'ann', roles: ['trader'], ['__proto__']: 'a claim' },
  credential: 'c',
  loggedInAt: EPOCH,
};

/** Settings of the suite. */
export interface RefreshTokenSuiteOptions {
  /** The store of any replica; it counts by the `now` that it is given. */
  readonly store: () => RefreshTokenStore;
  readonly runs: number;
}

/** What every RefreshTokenStore promises. */
export function refreshTokenSuite(name: string, { store, runs }: RefreshTokenSuiteOptions): void {
  const numRuns = Number(process.env['FC_RUNS'] ?? runs);
  let count = 0;

  /** A family as its holders see it: by secrets. */
  const begin = async (now = EPOCH, lifetimeMs = LIFETIME_MS) => {
    const family = `family ${count++}`;
    assert.equal(await store().begin(family, hashOfSecret('first'), SESSION, lifetimeMs, now), true);
    const present = async (secret: string, now: number): Promise<Rotation & { readonly live?: string }> => {
      const salt = `salt ${count++}`;
      const successor = { salt, hash: hashOfSecret(successorOf(secret, salt)) };
      const rotation = await store().rotate(family, hashOfSecret(secret), successor, GRACE_MS, now);
      return rotation.kind === 'Rotated' ? { ...rotation, live: rotation.salts.reduce(successorOf, secret) } : rotation;
    };
    return { family, present };
  };
  const liveOf = ({ kind, live }: { readonly kind: string; readonly live?: string }): string => {
    assert.equal(kind, 'Rotated');
    return live ?? '';
  };

  describe(name, () => {
    it('counts the families that live', async () => {
      const now = EPOCH + 10 * 365 * 86_400_000; // later than every family of other tests
      const count = (at: number) => store().count(at);
      assert.equal(await count(now), 0);
      const { family, present } = await begin(now);
      const other = await begin(now);
      await begin(now, LIFETIME_MS + 1);
      assert.equal(await count(now), 3);
      await present('first', now);
      assert.equal(await count(now), 3, 'a rotation begins none');
      await store().revoke(family);
      await store().revoke(family);
      assert.equal(await count(now), 2);
      assert.deepEqual([await count(now + LIFETIME_MS - 1), await count(now + LIFETIME_MS)], [2, 1]);
      assert.equal((await other.present('stolen', now)).kind, 'Reused');
      assert.equal(await count(now), 1);
    });

    it('replaces the token each time and keeps the session', async () => {
      const { present } = await begin();
      const rotation = await present('first', EPOCH + 1000);
      assert.deepEqual(
        { ...rotation, salts: 1, live: 1 },
        { kind: 'Rotated', session: SESSION, salts: 1, live: 1, expiresInMs: LIFETIME_MS - 1000 },
      );
      const second = liveOf(rotation);
      assert.notEqual(second, 'first');
      const third = liveOf(await present(second, EPOCH + 20_000));
      assert.notEqual(third, second);
    });

    it('leads a replaced token to the live one within the grace, and not a millisecond longer', async () => {
      const { present } = await begin();
      const second = liveOf(await present('first', EPOCH));
      assert.equal(liveOf(await present('first', EPOCH + GRACE_MS - 1)), second);
      assert.deepEqual(await present('first', EPOCH + GRACE_MS), { kind: 'Reused', session: SESSION });
      assert.deepEqual(await present(second, EPOCH + GRACE_MS), { kind: 'Unknown' });
    });

    it('leads over several replacements within the grace to one live token', async () => {
      const { present } = await begin();
      const second = liveOf(await present('first', EPOCH));
      const third = liveOf(await present(second, EPOCH + 1));
      assert.equal(liveOf(await present('first', EPOCH + 2)), third);
      assert.equal(liveOf(await present(second, EPOCH + 2)), third);
      assert.notEqual(liveOf(await present(third, EPOCH + 3)), third);
    });

    it('revokes the family when a secret that it never had is presented', async () => {
      const { present } = await begin();
      assert.equal((await present('invented', EPOCH)).kind, 'Reused');
      assert.equal((await present('first', EPOCH)).kind, 'Unknown');
    });

    it('ends every token of the family at once, however often it was replaced', async () => {
      const { present } = await begin();
      const second = liveOf(await present('first', EPOCH + LIFETIME_MS - 1));
      assert.equal((await present(second, EPOCH + LIFETIME_MS)).kind, 'Unknown');
    });

    it('knows nothing of other families, and revoking is idempotent', async () => {
      const [one, other] = [await begin(), await begin()];
      assert.equal(await store().revoke(one.family), true);
      assert.equal(await store().revoke(one.family), true);
      assert.equal((await one.present('first', EPOCH)).kind, 'Unknown');
      assert.equal((await other.present('first', EPOCH)).kind, 'Rotated');
    });

    it('gives one successor to a token that is presented a hundred times at once, and one alarm after the grace', async () => {
      const { present } = await begin();
      const atOnce = await Promise.all(Array.from({ length: 100 }, () => present('first', EPOCH)));
      assert.equal(new Set(atOnce.map(liveOf)).size, 1);
      const late = await Promise.all(Array.from({ length: 100 }, () => present('first', EPOCH + GRACE_MS)));
      const kinds = late.map(({ kind }) => kind);
      assert.equal(kinds.filter((kind) => kind === 'Reused').length, 1);
      assert.equal(kinds.filter((kind) => kind === 'Unknown').length, 99);
    });

    it('remembers at most 32 replaced tokens', async () => {
      const { present } = await begin();
      const secrets = ['first'];
      for (let i = 0; i < 40; i++) secrets.push(liveOf(await present(secrets.at(-1) ?? '', EPOCH + i)));
      assert.equal(liveOf(await present(secrets[8] ?? '', EPOCH + 40)), secrets[40]);
      assert.equal((await present(secrets[7] ?? '', EPOCH + 40)).kind, 'Reused');
    });

    it('has one live token a family, over random interleavings of whoever holds any of its tokens', async () => {
      const steps = fc.array(
        fc.record({
          /** Which of the secrets seen so far, from the newest. */
          secret: fc.nat(6),
          gap: fc.constantFrom(0, 1, 4000, GRACE_MS - 1, GRACE_MS, 60_000, LIFETIME_MS / 3),
          atOnce: fc.integer({ min: 1, max: 3 }),
        }),
        { minLength: 1, maxLength: 25 },
      );
      const property = fc.asyncProperty(steps, async (all) => {
        const { present } = await begin();
        /** The model: the one chain of secrets, with when each was replaced. */
        const chain: { secret: string; replacedAt: number }[] = [
          { secret: 'first', replacedAt: Number.POSITIVE_INFINITY },
        ];
        let revoked = false;
        let now = EPOCH;
        for (const { secret: back, gap, atOnce } of all) {
          now += gap;
          const presented = chain[Math.max(0, chain.length - 1 - back)]!;
          const isLive = presented === chain.at(-1);
          const ended = now >= EPOCH + LIFETIME_MS;
          const reused = !isLive && now - presented.replacedAt >= GRACE_MS;
          const answers = await Promise.all(Array.from({ length: atOnce }, () => present(presented.secret, now)));
          if (revoked || ended) {
            for (const { kind } of answers) assert.equal(kind, 'Unknown');
          } else if (reused) {
            assert.equal(answers.filter(({ kind }) => kind === 'Reused').length, 1);
            revoked = true;
          } else {
            const live = new Set(answers.map(liveOf));
            assert.equal(live.size, 1, 'the family forked');
            const [only = ''] = live;
            if (isLive) {
              assert.ok(!chain.some(({ secret }) => secret === only), 'the token was not replaced');
              presented.replacedAt = now;
              chain.push({ secret: only, replacedAt: Number.POSITIVE_INFINITY });
            } else {
              assert.equal(only, chain.at(-1)?.secret);
            }
          }
        }
      });
      await fc.assert(property, { numRuns });
    });
  });
}
