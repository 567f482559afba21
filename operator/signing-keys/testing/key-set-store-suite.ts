import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QuietKeySet, SPEC } from '../../../policy/keys/testing/fixtures.ts';
import type { KeySetStore } from '../key-set-store.ts';

/** What every KeySetStore promises. `open` gives a new place each time; a place gives as many handles on it as wanted. */
export function keySetStoreSuite(name: string, open: () => Promise<() => KeySetStore>): void {
  const { ring, outputs } = at(1);
  const later = at(2);

  test(`${name}: empty at first`, async () => {
    const store = (await open())();
    assert.equal(await store.readOutputs(), null);
    assert.equal(await store.readKeyring(), null);
    assert.equal(await store.wasInitialised(), false);
  });

  test(`${name}: reads what was written, by any handle`, async () => {
    const handle = await open();
    await handle().writeKeyring(ring, null);
    await handle().writeOutputs(outputs);
    assert.deepEqual((await handle().readKeyring())?.keyring, ring);
    assert.deepEqual(await handle().readOutputs(), outputs);
    assert.equal(await handle().wasInitialised(), true);
  });

  test(`${name}: a write that names an old version is a conflict and changes nothing`, async () => {
    const handle = await open();
    const store = handle();
    await store.writeKeyring(ring, null);
    const first = await store.readKeyring();
    assert(first !== null);
    await handle().writeKeyring(later.ring, first.version);
    for (const version of [null, first.version]) {
      await assert.rejects(store.writeKeyring(ring, version), { code: 'keyring_conflict', retry: 'later' });
    }
    assert.deepEqual((await store.readKeyring())?.keyring, later.ring);
  });

  test(`${name}: of many writers of one version one wins`, async () => {
    const handle = await open();
    const writers = Array.from({ length: 8 }, (_, writer) => ({ ...ring, maxTime: writer }));
    const results = await Promise.allSettled(writers.map((keyring) => handle().writeKeyring(keyring, null)));
    const winners = results.flatMap(({ status }, writer) => (status === 'fulfilled' ? [writer] : []));
    assert.equal(winners.length, 1);
    assert.equal((await handle().readKeyring())?.keyring.maxTime, winners[0]);
  });

  test(`${name}: outputs never go back to a lower serial, and may be put right under theirs`, async () => {
    const store = (await open())();
    await store.writeOutputs(later.outputs);
    await store.writeOutputs(outputs);
    assert.equal((await store.readOutputs())?.serial, 2);
    await store.writeOutputs({ ...later.outputs, jwks: null });
    assert.equal((await store.readOutputs())?.jwks, null);
  });
}

/** Keyring and outputs of a new key set as they are at a serial of 1 or 2. */
function at(serial: number) {
  const keySet = new QuietKeySet(SPEC);
  while (keySet.outputs?.serial !== serial) keySet.apply(keySet.plan());
  return { ring: keySet.ring, outputs: keySet.outputs };
}
