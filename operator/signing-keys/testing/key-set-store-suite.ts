import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeySetAlgorithm } from '../../../policy/keys/algorithms.ts';
import type { Escrow } from '../../../policy/keys/escrow.ts';
import { type Keyring, withoutMaterial } from '../../../policy/keys/keyring.ts';
import type { KeySetOutputs } from '../../../policy/keys/outputs.ts';
import { QuietKeySet, SPEC } from '../../../policy/keys/testing/fixtures.ts';
import type { KeySetStore } from '../key-set-store.ts';

/** Where one key set, `auth/trading`, is stored; empty at first. */
export interface KeySetPlace {
  /** A new handle on it. */
  readonly open: () => KeySetStore;
}

/** Where documents can be damaged. */
export interface DamageablePlace extends KeySetPlace {
  /** Cuts a document that stands there short. */
  readonly cutShort: (document: 'keyring' | 'outputs' | 'escrow') => Promise<void>;
}

const first = at(1);

/** What every KeySetStore promises. */
export function keySetStoreSuite(name: string, newPlace: () => Promise<KeySetPlace>): void {
  const later = at(2);
  const fernet = at(1, 'Fernet');

  test(`${name}: empty at first`, async () => {
    const store = (await newPlace()).open();
    assert.equal(await store.readOutputs(), null);
    assert.equal(await store.isExported(null), true);
    assert.equal(await store.readEscrow(), null);
    assert.equal(await store.readTraces(), null);
    assert.equal(await store.readKeyring(), null);
  });

  test(`${name}: reads what was written, by any handle`, async () => {
    const { open } = await newPlace();
    await open().writeEscrow(first.escrow, null);
    await open().writeKeyring(first.ring, null);
    await open().writeOutputs(first.outputs);
    assert.deepEqual((await open().readKeyring())?.keyring, first.ring);
    assert.deepEqual(await open().readOutputs(), first.outputs);
    assert.deepEqual((await open().readEscrow())?.escrow, first.escrow);
  });

  for (const [document, write, read, older, newer] of [
    [
      'a keyring',
      (store: KeySetStore, ring: unknown, version) => store.writeKeyring(ring as Keyring, version),
      async (store) => {
        const stored = await store.readKeyring();
        return stored && { value: stored.keyring, version: stored.version };
      },
      first.ring,
      later.ring,
    ],
    [
      'an escrow',
      (store: KeySetStore, escrow: unknown, version) => store.writeEscrow(escrow as Escrow, version),
      async (store) => {
        const stored = await store.readEscrow();
        return stored && { value: stored.escrow, version: stored.version };
      },
      { ...first.escrow, index: null },
      later.escrow,
    ],
  ] satisfies [string, Write, Read, unknown, unknown][]) {
    test(`${name}: a write of ${document} that names an old version is a conflict and changes nothing`, async () => {
      const { open } = await newPlace();
      await assert.rejects(write(open(), older, '1'), { code: 'keyring_conflict' }, 'there is none yet');
      await write(open(), older, null);
      const seen = await read(open());
      assert(seen !== null);
      await write(open(), newer, seen.version);
      for (const version of [null, seen.version]) {
        await assert.rejects(write(open(), older, version), { code: 'keyring_conflict', retry: 'later' });
      }
      assert.deepEqual((await read(open()))?.value, newer);
    });

    test(`${name}: of many writers of ${document} over one version one wins`, async () => {
      const { open } = await newPlace();
      const writers = Array.from({ length: 8 }, (_, writer) => (writer % 2 === 0 ? older : newer));
      const results = await Promise.allSettled(writers.map((value) => write(open(), value, null)));
      const winners = writers.filter((_, writer) => results[writer]?.status === 'fulfilled');
      assert.equal(winners.length, 1);
      assert.deepEqual((await read(open()))?.value, winners[0]);
    });
  }

  test(`${name}: outputs never go back to a lower serial, and may be put right under theirs`, async () => {
    const store = (await newPlace()).open();
    await store.writeOutputs(later.outputs);
    await store.writeOutputs(first.outputs);
    assert.equal((await store.readOutputs())?.serial, 2);
    await store.writeOutputs({ ...later.outputs, jwks: null });
    assert.equal((await store.readOutputs())?.jwks, null);
  });

  for (const [what, { outputs }, other] of [
    ['a JWK Set', first, later],
    ['Fernet keys', fernet, at(2, 'Fernet')],
  ] as const) {
    test(`${name}: ${what} is exported once it is written, and only as it is`, async () => {
      const { open } = await newPlace();
      await open().writeOutputs(outputs);
      assert.equal(await open().isExported(outputs), false, 'not yet');
      await open().writeExports(outputs);
      assert.equal(await open().isExported(outputs), true);
      assert.equal(await open().isExported(null), false, 'something stands there');
      assert.equal(await open().isExported(other.outputs), false, 'of another serial');
      assert.equal(await open().isExported({ ...outputs, serial: 2 }), false, 'the same keys under another serial');
      await open().writeOutputs(other.outputs);
      await open().writeExports(other.outputs);
      assert.equal(await open().isExported(other.outputs), true);
      assert.equal(await open().isExported(outputs), false, 'no more');
    });
  }

  test(`${name}: exports are written only of the outputs that stand`, async () => {
    const { open } = await newPlace();
    await open().writeExports(first.outputs);
    assert.equal(await open().isExported(null), true, 'there are no outputs');
    await open().writeOutputs(later.outputs);
    await open().writeExports(first.outputs);
    assert.equal(await open().isExported(null), true, 'others stand');
    await open().writeExports({ ...later.outputs, jwks: { keys: [] } });
    assert.equal(await open().isExported(null), true, 'others of this serial stand');
  });

  test(`${name}: an HS set has nothing to export, and what a set exported before goes`, async () => {
    const { open } = await newPlace();
    const { outputs } = at(1, 'HS256');
    await open().writeOutputs(outputs);
    assert.equal(await open().isExported(outputs), true);
    await open().writeExports(outputs);
    assert.equal(await open().isExported(null), true);

    await open().writeOutputs(later.outputs);
    await open().writeExports(later.outputs);
    const without = { ...outputs, serial: 3 };
    await open().writeOutputs(without);
    assert.equal(await open().isExported(without), false, 'the JWK Set still stands');
    await open().writeExports(without);
    assert.equal(await open().isExported(without), true);
    assert.equal(await open().isExported(null), true);
  });

  test(`${name}: racing writers never leave older exports behind`, async () => {
    for (let round = 0; round < 4; round++) {
      const { open } = await newPlace();
      const versions = [1, 2, 3, 4].map((serial) => ({ ...first.outputs, serial }));
      await Promise.all(versions.map((outputs) => writeBoth(open(), outputs)));
      assert.equal((await open().readOutputs())?.serial, 4);
      assert.equal(await open().isExported(versions[3] ?? null), true);
    }
  });

  test(`${name}: exports are a trace of a keyring, but no later than the outputs`, async () => {
    const { open } = await newPlace();
    await open().writeOutputs(later.outputs);
    await open().writeExports(later.outputs);
    const traces = await open().readTraces();
    assert(traces !== null && traces.serial <= 2);
  });

  test(`${name}: erasing leaves the escrow alone`, async () => {
    for (const { ring, outputs, escrow } of [first, fernet]) {
      const { open } = await newPlace();
      await open().writeEscrow(escrow, null);
      await open().writeKeyring(ring, null);
      await open().writeOutputs(outputs);
      await open().writeExports(outputs);
      await open().erase(await versionOf(open()));
      assert.equal(await open().isExported(null), true);
      assert.equal(await open().readOutputs(), null);
      assert.equal(await open().readKeyring(), null);
      assert.deepEqual((await open().readEscrow())?.escrow, escrow);
      await open().erase(null);
      await open().writeKeyring(ring, null);
    }
  });

  test(`${name}: another keyring than the one that was to be erased stays, with all that belongs to it`, async () => {
    const { open } = await newPlace();
    await open().writeKeyring(first.ring, null);
    const old = await versionOf(open());
    await open().erase(old);
    await open().writeKeyring(first.ring, null);
    await open().writeOutputs(first.outputs);
    await open().writeExports(first.outputs);
    for (const version of [null, old]) {
      await assert.rejects(open().erase(version), { code: 'keyring_conflict', retry: 'later' });
    }
    assert.deepEqual((await open().readKeyring())?.keyring, first.ring);
    assert.equal(await open().isExported(await open().readOutputs()), true);
  });

  test(`${name}: erasing ends what was begun`, async () => {
    const { open } = await newPlace();
    await open().writeOutputs(first.outputs);
    await open().writeExports(first.outputs);
    await open().erase(null);
    assert.equal(await open().isExported(null), true);
    assert.equal(await open().readOutputs(), null);
  });
}

/** What a KeySetStore promises whose documents can be damaged. */
export function damagedKeySetStoreSuite(name: string, newPlace: () => Promise<DamageablePlace>): void {
  for (const [document, write, read, remedy] of [
    ['keyring', (store) => store.writeKeyring(first.ring, null), (store) => store.readKeyring(), /restore/i],
    ['outputs', (store) => store.writeOutputs(first.outputs), (store) => store.readOutputs(), /delete/],
    ['escrow', (store) => store.writeEscrow(first.escrow, null), (store) => store.readEscrow(), /restore.*delete/],
  ] satisfies [Document, (store: KeySetStore) => Promise<void>, (store: KeySetStore) => Promise<unknown>, RegExp][]) {
    test(`${name}: a damaged ${document} is refused with place and remedy, and no value is shown`, async () => {
      const { open, cutShort } = await newPlace();
      await write(open());
      await cutShort(document);
      await assert.rejects(read(open()), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'keyring_invalid');
        assert.match(error.message, remedy);
        assert.match(error.message, /auth.trading/);
        assert.doesNotMatch(error.message, /private|-1\b|armour/);
        return true;
      });
    });
  }
}

type Document = Parameters<DamageablePlace['cutShort']>[0];
type Write = (store: KeySetStore, value: unknown, version: string | null) => Promise<void>;
type Read = (store: KeySetStore) => Promise<{ readonly value: unknown; readonly version: string } | null>;

/** Keyring, outputs and escrow of a new key set as they first are at that serial. */
function at(serial: number, algorithm: KeySetAlgorithm = SPEC.algorithm) {
  const keySet = new QuietKeySet({ ...SPEC, algorithm });
  while (keySet.outputs?.serial !== serial) {
    const step = keySet.plan();
    keySet.apply(step);
    if (step.kind === 'Wait') keySet.now = step.until ?? assert.fail('waits for ever');
  }
  const { ring, outputs } = keySet;
  const messages = Object.fromEntries(ring.keys.map(({ kid }) => [kid, `armoured ${kid}\n`]));
  const escrow: Escrow = { recipients: ['A0', 'B1'], index: withoutMaterial(ring), messages };
  return { ring, outputs, escrow };
}

/** As a controller would: outputs, then exports, again when another was first. */
async function writeBoth(store: KeySetStore, outputs: KeySetOutputs): Promise<void> {
  await store.writeOutputs(outputs);
  for (;;) {
    try {
      return await store.writeExports(outputs);
    } catch (error) {
      if ((error as { code?: string }).code !== 'keyring_conflict') throw error;
    }
  }
}

async function versionOf(store: KeySetStore): Promise<string | null> {
  return (await store.readKeyring())?.version ?? null;
}
