import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeBundle } from '../../policy/bundle/decode.ts';
import { exampleAccessBundle } from '../../policy/bundle/testing/example-bundles.ts';
import type { AccessContent } from '../../policy/compile/compile-access-policy.ts';
import { BundleWriter } from './bundle-writer.ts';
import { lockState } from './state-lock.ts';

const { serial: _, ...content } = exampleAccessBundle;
const other: AccessContent = { ...content, mode: 'Shadow' };

describe('state directory', () => {
  let state = '';
  before(async () => {
    state = await mkdtemp(join(tmpdir(), 'portcullis-'));
  });
  after(() => rm(state, { recursive: true }));

  const serialOf = async (writer: BundleWriter) => {
    const bytes = await readFile(join(writer.directoryOf('Access'), 'bundle.v1.json'));
    const { namespace, name } = content;
    return decodeBundle(bytes, { publicKey: writer.publicKey, kind: 'Access', namespace, name, afterSerial: 0 }).serial;
  };

  it('gets a bundle with a new serial when it says something new, also after a restart', async () => {
    const writer = await BundleWriter.open(state);
    assert.deepEqual([await writer.write(content), await serialOf(writer)], [true, 1]);
    assert.deepEqual([await writer.write(content), await serialOf(writer)], [false, 1]);
    assert.deepEqual([await writer.write(other), await serialOf(writer)], [true, 2]);
    const restarted = await BundleWriter.open(state);
    assert.deepEqual([await restarted.write(other), await serialOf(writer)], [true, 3]);
  });

  it('keeps no bundle that is to be forgotten, and none to forget is none to miss', async () => {
    const writer = await BundleWriter.open(state);
    await writer.write(content);
    for (let times = 0; times < 2; times++) await writer.forget('Access');
    await assert.rejects(serialOf(writer), { code: 'ENOENT' });
    assert.equal(await writer.write(content), true);
  });

  it('is for its owner alone', async () => {
    for (const name of ['bundle-signing-key.pem', 'bundle-serial', 'bundles/access/bundle.v1.json']) {
      assert.equal((await stat(join(state, name))).mode & 0o777, 0o600, name);
    }
  });

  it('with damaged files is refused, with the remedy', async () => {
    const key = join(state, 'bundle-signing-key.pem');
    const good = await readFile(key);
    await writeFile(key, 'x');
    await assert.rejects(BundleWriter.open(state), {
      code: 'config_invalid',
      message: /no Ed25519 private key; delete it/,
    });
    await writeFile(key, good);
    await writeFile(join(state, 'bundle-serial'), 'x');
    await assert.rejects(BundleWriter.open(state), { code: 'config_invalid', message: /no whole number; delete it/ });
  });

  it('is for one process at a time', async () => {
    const unlock = await lockState(state);
    await assert.rejects(lockState(state), { code: 'config_invalid', message: /another portcullis local uses/ });
    await unlock();
    await (await lockState(state))();
  });
});
