import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { bundleHash, decodeBundle } from '../../policy/bundle/decode.ts';
import { encodeBundle } from '../../policy/bundle/encode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import { exampleAccessBundle, testPrivateKey } from '../../policy/bundle/testing/example-bundles.ts';
import type { AccessBundle } from '../../policy/bundle/types.ts';
import { BundleSource } from './bundle-source.ts';

const signer = testPrivateKey(1);
const location = { namespace: exampleAccessBundle.namespace, name: exampleAccessBundle.name };

function bundle(serial: number, more: Partial<AccessBundle> = {}, key = signer): Buffer {
  return encodeBundle({ ...exampleAccessBundle, serial, ...more }, key);
}

describe('BundleSource', () => {
  let directory: string;
  let accepted: number[];
  let refused: string[];
  let failAccept: boolean;
  let source: BundleSource<AccessBundle>;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'portcullis-source-'));
    accepted = [];
    refused = [];
    failAccept = false;
    source = new BundleSource<AccessBundle>(
      { ...location, directory },
      {
        decode: (bytes, after) =>
          decodeBundle(bytes, {
            kind: 'Access',
            ...location,
            publicKey: createPublicKey(signer),
            ...after,
          }),
        accept: ({ serial }) => {
          if (failAccept) throw new TypeError('cannot be built');
          accepted.push(serial);
        },
        refused: ({ code }) => void refused.push(code),
      },
      () => 1_234,
    );
  });
  afterEach(async () => {
    source.stop();
    await rm(directory, { recursive: true });
  });

  /** As whoever cares writes a file: beside it, then renamed. */
  const put = async (bytes: Buffer): Promise<void> => {
    await writeFile(join(directory, 'new'), bytes);
    await rename(join(directory, 'new'), join(directory, BUNDLE_FILE));
  };
  const putAndCheck = async (bytes: Buffer): Promise<void> => {
    await put(bytes);
    await source.check();
  };

  it('no file is no error: there is no policy yet', async () => {
    await source.start();
    assert.deepEqual([source.state.serial, source.state.error, refused], [0, null, []]);
  });

  it('takes a bundle and says which', async () => {
    const bytes = bundle(3);
    await putAndCheck(bytes);
    assert.deepEqual(source.state, { ...location, serial: 3, hash: bundleHash(bytes), loadedAt: 1_234, error: null });
    await source.check();
    assert.deepEqual(accepted, [3], 'the same file is taken once');
  });

  const bad: readonly (readonly [name: string, code: string, bytes: () => Buffer])[] = [
    ['empty', 'bundle_corrupt', () => Buffer.alloc(0)],
    ['corrupt', 'bundle_corrupt', () => Buffer.from('{}\n')],
    ['half-written', 'bundle_unsigned', () => bundle(6).subarray(0, -1)],
    ['signed by somebody else', 'bundle_unsigned', () => bundle(6, {}, testPrivateKey(2))],
    ['foreign', 'bundle_foreign', () => bundle(6, { name: 'other' })],
    ['older', 'bundle_older', () => bundle(4)],
    ['of the same serial', 'bundle_older', () => bundle(5, { rules: [] })],
  ];
  for (const [name, code, bytes] of bad) {
    it(`${name}: refused once, the last good one stays, the next good one is taken`, async () => {
      await putAndCheck(bundle(5));
      await putAndCheck(bytes());
      await source.check();
      assert.deepEqual([source.state.serial, source.state.error?.code, refused], [5, code, [code]]);
      await putAndCheck(bundle(7));
      assert.deepEqual([source.state.serial, source.state.error, accepted], [7, null, [5, 7]]);
    });
  }

  it('the good file put back clears the error; the bad one come again is reported again', async () => {
    const bytes = bundle(5);
    await putAndCheck(bytes);
    await putAndCheck(Buffer.from('x'));
    await putAndCheck(bytes);
    assert.equal(source.state.error, null);
    await putAndCheck(Buffer.from('x'));
    assert.deepEqual([refused, accepted], [['bundle_corrupt', 'bundle_corrupt'], [5]]);
  });

  it('a file that goes missing is reported once, and its return is no new bundle', async () => {
    const bytes = bundle(5);
    await putAndCheck(bytes);
    await unlink(join(directory, BUNDLE_FILE));
    await source.check();
    await source.check();
    assert.deepEqual(
      [source.state.serial, source.state.error?.code, refused],
      [5, 'bundle_corrupt', ['bundle_corrupt']],
    );
    await putAndCheck(bytes);
    assert.deepEqual([source.state.error, accepted], [null, [5]]);
  });

  it('a bad first bundle that is taken away leaves no error behind', async () => {
    await putAndCheck(Buffer.from('x'));
    await unlink(join(directory, BUNDLE_FILE));
    await source.check();
    assert.deepEqual([source.state.serial, source.state.error], [0, null]);
  });

  it('a bundle that cannot be put in force is refused like a corrupt one', async () => {
    await putAndCheck(bundle(5));
    failAccept = true;
    await putAndCheck(bundle(6));
    assert.deepEqual([source.state.serial, source.state.error?.code], [5, 'bundle_invalid']);
    assert.match(source.state.error?.message ?? '', /cannot be built/);
  });

  it('a bundle that did not fit is considered again when it may', async () => {
    failAccept = true;
    await putAndCheck(bundle(5));
    failAccept = false;
    await source.check();
    assert.equal(source.state.serial, 0, 'the same file is not tried again by itself');
    source.reconsider();
    await source.check();
    assert.deepEqual([source.state.serial, source.state.error, accepted], [5, null, [5]]);
    source.reconsider();
    await source.check();
    assert.deepEqual(accepted, [5], 'what is in force is not taken twice');
  });

  describe('by itself, without being told to look', () => {
    it('notices a file that is renamed into place', async () => {
      await source.start();
      await put(bundle(1));
      await until(() => accepted.length === 1);
      await put(bundle(2));
      await until(() => accepted.length === 2);
    });

    it('notices `..data` swapped, as the kubelet changes a mounted Secret', async () => {
      const mount = async (version: string, bytes: Buffer): Promise<void> => {
        await mkdir(join(directory, `..${version}`));
        await writeFile(join(directory, `..${version}`, BUNDLE_FILE), bytes);
        await symlink(`..${version}`, join(directory, '..data_tmp'));
        await rename(join(directory, '..data_tmp'), join(directory, '..data'));
      };
      await mount('one', bundle(1));
      await symlink(join('..data', BUNDLE_FILE), join(directory, BUNDLE_FILE));
      await source.start();
      assert.deepEqual(accepted, [1]);
      await mount('two', bundle(2));
      await until(() => accepted.length === 2);
      await mount('three', Buffer.from('half'));
      await until(() => refused.length === 1);
      await mount('four', bundle(3));
      await until(() => accepted.length === 3);
      assert.deepEqual([accepted, refused], [[1, 2, 3], ['bundle_corrupt']]);
    });

    it('notices a file written in two halves: refused or not, the whole one is taken', async () => {
      await source.start();
      const bytes = bundle(1);
      const path = join(directory, BUNDLE_FILE);
      await writeFile(path, bytes.subarray(0, 100));
      await delay(60);
      await writeFile(path, bytes);
      await until(() => accepted.length === 1);
      assert.equal(source.state.error, null);
    });

    it('notices a directory that comes later', async () => {
      await rm(directory, { recursive: true });
      await source.start();
      await mkdir(directory);
      await put(bundle(1));
      await until(() => accepted.length === 1);
    });
  });
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    assert.ok(i < 1_000, 'it was not noticed within 10 s');
    await delay(10);
  }
}
