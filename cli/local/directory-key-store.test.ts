import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { reconcileKeySet } from '../../operator/signing-keys/reconcile-key-set.ts';
import { damagedKeySetStoreSuite, keySetStoreSuite } from '../../operator/signing-keys/testing/key-set-store-suite.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { fakeKey, HOUR, SPEC } from '../../policy/keys/testing/fixtures.ts';
import { DirectoryKeyStore, listKeySets } from './directory-key-store.ts';
import { FAST_SPEC } from './testing/rotate-for-ever.ts';

const scratch = await mkdtemp(join(tmpdir(), 'portcullis-keys-'));
after(() => rm(scratch, { recursive: true }));
let directories = 0;
const newState = () => join(scratch, `state${directories++}`);
const TERMS = {
  namespace: 'auth',
  name: 'trading',
  issuer: 'https://auth.example',
  audiences: ['a'],
  maxTokenLifetimeMs: HOUR,
};

async function newPlace() {
  const state = newState();
  return {
    open: () => new DirectoryKeyStore(state, SPEC),
    cutShort: async (document: string) => {
      const path = await fileOf(join(state, 'keys', 'auth.trading'), document);
      await truncate(path, Math.floor((await stat(path)).size / 2));
    },
  };
}

keySetStoreSuite('DirectoryKeyStore', newPlace);
damagedKeySetStoreSuite('DirectoryKeyStore', newPlace);

/** A state directory with a settled key set, its store and the directory of the set. */
async function settled() {
  const state = newState();
  const store = await DirectoryKeyStore.open(state, TERMS);
  let keys = 0;
  const reconcile = (now: number) =>
    reconcileKeySet({
      spec: SPEC,
      store,
      now: () => now,
      generateKey: async (algorithm) => fakeKey(++keys, algorithm),
      recipients: async () => ({ kind: 'Off' }),
      acknowledgements: [],
    });
  await reconcile(1);
  return { state, store, reconcile, directory: join(state, 'keys', 'auth.trading') };
}

/** The one file of a stem, such as `keyring`. */
async function fileOf(directory: string, stem: string): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name.startsWith(stem));
  assert.equal(names.length, 1, `one ${stem} file, not ${names.join(', ')}`);
  return join(directory, names[0] ?? '');
}

test('nobody else may read the directory and its files; older versions and temporary files are gone', async () => {
  const { directory } = await settled();
  assert.equal((await stat(directory)).mode & 0o777, 0o700);
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  assert.deepEqual(entries.map(({ name }) => name.replace(/\d+/, 'N')).sort(), [
    'exports',
    'jwks.json',
    'keyring.N.json',
    'outputs.N.json',
    'serial',
    'token-terms.json',
  ]);
  for (const entry of entries) {
    const { mode } = await stat(join(entry.parentPath, entry.name));
    assert.equal(mode & 0o777, entry.isDirectory() ? 0o700 : 0o600, entry.name);
  }
});

test('key sets are listed as namespace/name, a dot in the name or not', async () => {
  const state = newState();
  assert.deepEqual(await listKeySets(state), []);
  await DirectoryKeyStore.open(state, { ...TERMS, name: 'trading.v2' });
  await DirectoryKeyStore.open(state, TERMS);
  assert.deepEqual(await listKeySets(state), ['auth/trading', 'auth/trading.v2']);
});

test('a name that could leave the directory is refused', () => {
  for (const name of ['..', '../x', 'a/b', '.a', 'a.', '']) {
    assert.throws(() => new DirectoryKeyStore('/state', { namespace: 'auth', name }), RangeError, name);
  }
});

test('the terms of tokens follow the spec', async () => {
  const { state, store } = await settled();
  await DirectoryKeyStore.open(state, { ...TERMS, issuer: 'https://other.example' });
  assert.equal((await store.readTokenTerms())?.issuer, 'https://other.example');
});

const damages: readonly { name: string; stem: string; damage: (text: string) => string; says: RegExp }[] = [
  {
    name: 'an empty keyring',
    stem: 'keyring',
    damage: () => '',
    says: /restore it from a backup, or delete .*auth\.trading/,
  },
  { name: 'half a keyring', stem: 'keyring', damage: (text) => text.slice(0, 400), says: /restore it from a backup/ },
  {
    name: 'a foreign keyring',
    stem: 'keyring',
    damage: (text) => text.replace('auth/trading', 'auth/b'),
    says: /belongs to key set auth\/b/,
  },
  { name: 'half of the outputs', stem: 'outputs', damage: (text) => text.slice(0, 100), says: /delete this file/ },
  {
    name: 'outputs under another serial',
    stem: 'outputs',
    damage: (text) => text.replace(/"serial": \d+/, '"serial": 9'),
    says: /delete this file/,
  },
];

for (const { name, stem, damage, says } of damages) {
  test(`${name}: refused with what to do, and nothing is made anew`, async () => {
    const { directory, reconcile } = await settled();
    const path = await fileOf(directory, stem);
    await writeFile(path, damage(await readFile(path, 'utf8')));
    const before = await readFile(path, 'utf8');
    await assert.rejects(reconcile(2), (error) => {
      assert(error instanceof PortcullisError && error.code === 'keyring_invalid');
      assert.match(error.message, says);
      assert(error.message.includes(path), 'names the file');
      return true;
    });
    assert.equal(await readFile(path, 'utf8'), before);
  });
}

test('outputs that were deleted are written again; a keyring that was deleted is not', async () => {
  const { directory, reconcile } = await settled();
  await rm(await fileOf(directory, 'outputs'));
  assert.equal((await reconcile(2)).outputs?.serial, 2);
  await rm(await fileOf(directory, 'keyring'));
  const { end } = await reconcile(3);
  assert.equal(end.kind === 'Halt' && end.reason, 'KeyringLost');
});

test('a keyring that was erased is not written again by one who had read it', async () => {
  const { store, directory } = await settled();
  const read = await store.readKeyring();
  assert(read !== null);
  await store.erase(read.version);
  await assert.rejects(store.writeKeyring(read.keyring, read.version), { code: 'keyring_conflict' });
  assert.equal(await readFile(await fileOf(directory, 'keyring'), 'utf8'), 'null\n', 'no key is left on disk');
});

test('a writer of exports that was overtaken puts right what it wrote', async () => {
  const { state, store } = await settled();
  const older = await store.readOutputs();
  assert(older !== null);
  const newer = { ...older, serial: older.serial + 1 };
  class Overtaken extends DirectoryKeyStore {
    override async readOutputs() {
      const read = await super.readOutputs();
      if (read?.serial === older?.serial) {
        await store.writeOutputs(newer);
        await store.writeExports(newer);
      }
      return read;
    }
  }
  await new Overtaken(state, SPEC).writeExports(older);
  assert.equal(await store.isExported(newer), true);
});

test('files of the user beside the exports stay', async () => {
  const { store } = await settled();
  const own = join(store.exportsDirectory, 'README');
  await writeFile(own, 'mine');
  await store.erase((await store.readKeyring())?.version ?? null);
  assert.deepEqual(await readdir(store.exportsDirectory), ['README']);
});

/** Resolves once a stream has brought so many lines. */
async function lines(stream: Readable, wanted: number): Promise<void> {
  let seen = 0;
  for await (const _ of createInterface(stream)) if (++seen === wanted) return;
}

test('two processes that rotate and are killed at any moment leave a whole keyring, and no serial goes back', async () => {
  const state = newState();
  const store = new DirectoryKeyStore(state, FAST_SPEC);
  const program = fileURLToPath(new URL('testing/rotate-for-ever.ts', import.meta.url));
  let serial = 0;
  for (let round = 0; round < 4; round++) {
    const children = [0, 1].map(() =>
      spawn(process.execPath, [program, 'rotate', state], { stdio: ['ignore', 'pipe', 'pipe'] }),
    );
    const errors: string[] = [];
    for (const child of children) child.stderr.on('data', (data: Buffer) => errors.push(data.toString()));
    const closed = children.map((child) => once(child, 'close'));
    await Promise.all(children.map((child, index) => Promise.race([lines(child.stdout, 10), closed[index]])));
    await sleep(round * 10);
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(closed);
    assert.deepEqual(errors, []);
    const outputs = await store.readOutputs();
    const keyring = (await store.readKeyring())?.keyring;
    assert(outputs !== null && keyring !== undefined);
    assert(outputs.serial >= serial && outputs.serial <= keyring.serial);
    serial = outputs.serial;
  }
  assert(serial > 12, `rotated too little to prove anything: serial ${serial}`);
  const now = ((await store.readKeyring())?.keyring.maxTime ?? 0) + HOUR;
  const result = await reconcileKeySet({
    spec: FAST_SPEC,
    store,
    now: () => now,
    generateKey: async (algorithm) => fakeKey(1, algorithm),
    recipients: async () => ({ kind: 'Off' }),
    acknowledgements: [],
  });
  assert.equal(result.end.kind, 'Wait');
});
