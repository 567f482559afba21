import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NonceStore, NonceUse } from '../../sidecar/stores/nonces.ts';

/** A store that knows no nonce, and how to end it. */
export interface OpenNonces {
  readonly store: NonceStore;
  close(): Promise<void>;
}

/** A use of a nonce now, with what the test is about changed. */
export function nonceUse(more: Partial<NonceUse> = {}): NonceUse {
  return { client: 'bot-1', nonce: 'a'.repeat(22), timestampMs: Date.now(), toleranceMs: 30_000, ...more };
}

/** What every NonceStore promises. */
export function nonceSuite(name: string, open: () => Promise<OpenNonces>): void {
  describe(name, () => {
    const inStore = (what: string, test: (store: NonceStore) => Promise<void>): void => {
      it(what, async () => {
        const { store, close } = await open();
        try {
          await test(store);
        } finally {
          await close();
        }
      });
    };
    const now = Date.now();

    inStore('a nonce is new once', async (store) => {
      assert.equal(await store.use(nonceUse(), now), 'new');
      assert.equal(await store.use(nonceUse(), now), 'used');
      assert.equal(await store.use(nonceUse({ timestampMs: now + 9_000 }), now), 'used');
    });

    inStore("clients' nonces are their own, and so is each nonce", async (store) => {
      for (const client of ['bot-1', 'bot-2', 'bot']) {
        for (const nonce of ['a'.repeat(22), `${'a'.repeat(21)}A`, `${'a'.repeat(22)}-`]) {
          assert.equal(await store.use(nonceUse({ client, nonce }), now), 'new', `${client} ${nonce}`);
        }
      }
    });

    inStore('of many at once one is new', async (store) => {
      const verdicts = await Promise.all(Array.from({ length: 100 }, () => store.use(nonceUse(), now)));
      assert.equal(verdicts.filter((verdict) => verdict === 'new').length, 1);
    });
  });
}
