import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RevocationStore } from '../../sidecar/stores/revocations.ts';

/** A store that has just been made, what is seen by another replica of it once it has caught up, and how to end both. */
export interface RevocationStores {
  readonly store: RevocationStore;
  readonly replica: RevocationStore;
  close(): Promise<void>;
}

const HOUR_MS = 3_600_000;

/** What every RevocationStore promises. `open` gives stores that hold nothing. */
export function revocationSuite(name: string, open: () => Promise<RevocationStores>): void {
  const now = Date.now();
  const until = now + HOUR_MS;

  describe(name, () => {
    const inStores = (what: string, test: (stores: RevocationStores) => Promise<void>): void => {
      it(what, async () => {
        const stores = await open();
        try {
          await test(stores);
        } finally {
          await stores.close();
        }
      });
    };

    const ids: readonly (readonly [string, string])[] = [
      ['an ordinary id', 'kV3pZ'],
      ['the name of a prototype', '__proto__'],
      ['a method of a prototype', 'constructor'],
      ['blanks, quotes and line breaks', 'a "b"\n\'c\' {d}'],
      ['not ASCII', 'Zoë 😀'],
      ['longer than what is kept', 'x'.repeat(5000)],
    ];
    for (const [what, id] of ids) {
      inStores(`revokes a token and a subject by ${what}, and nothing else`, async ({ store, replica }) => {
        assert.equal(replica.check(id, id, now), 'ok');
        assert.equal(await store.revokeToken(id, until, now), true);
        await replica.refresh();
        for (const each of [store, replica]) {
          assert.equal(each.check(id, null, now), 'revoked');
          assert.equal(each.check(`${id}y`, null, now), 'ok');
          assert.equal(each.check(null, id, now), 'ok', 'a jti is no subject');
        }
        assert.equal(await store.revokeSubject(id, now, until, now), true);
        await replica.refresh();
        for (const each of [store, replica]) {
          assert.equal(each.check('other', id, now - 1), 'revoked');
          assert.equal(each.check('other', id, now), 'ok', 'issued at the not-before');
          assert.equal(each.check('other', `${id}y`, now - 1), 'ok');
        }
      });
    }

    inStores('tells apart long ids that begin alike', async ({ store }) => {
      await store.revokeToken(`${'x'.repeat(5000)}a`, until, now);
      assert.equal(store.check(`${'x'.repeat(5000)}b`, null, now), 'ok');
    });

    inStores('keeps the latest not-before of a subject, in whatever order they come', async ({ store, replica }) => {
      await store.revokeSubject('ann', now - 1000, until, now);
      await store.revokeSubject('ann', now - 5000, until, now);
      await replica.refresh();
      for (const each of [store, replica]) {
        assert.equal(each.check(null, 'ann', now - 1001), 'revoked');
        assert.equal(each.check(null, 'ann', now - 1000), 'ok');
      }
    });

    inStores('revokes again what is revoked, and forgets nothing by it', async ({ store, replica }) => {
      await store.revokeToken('a', until, now);
      assert.equal(await store.revokeToken('a', until - 1000, now), true);
      assert.equal(await store.revokeToken('a', until, now), true);
      await replica.refresh();
      assert.equal(replica.check('a', null, now), 'revoked');
    });
  });
}
