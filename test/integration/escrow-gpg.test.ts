import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { runEscrow } from '../../cli/escrow/run-escrow.ts';
import { decryptWith } from '../../cli/keys/decrypt-command.ts';
import { restoreKeySet } from '../../cli/keys/restore-key-set.ts';
import { readRecipients } from '../../operator/escrow/read-recipients.ts';
import type { UsableRecipients } from '../../operator/escrow/recipients.ts';
import { generateKey } from '../../operator/signing-keys/generate-key.ts';
import { reconcileKeySet } from '../../operator/signing-keys/reconcile-key-set.ts';
import { MemoryKeyStore } from '../../operator/signing-keys/testing/memory-key-store.ts';
import { KEY_SET_ALGORITHMS } from '../../policy/keys/algorithms.ts';
import { SPEC } from '../../policy/keys/testing/fixtures.ts';
import { skipOrFail } from '../cluster/skip-or-fail.ts';
import { GpgHome, missingGpg } from '../support/gpg-home.ts';

async function usable(entries: Readonly<Record<string, string>>): Promise<UsableRecipients> {
  const read = await readRecipients(entries, Date.now());
  assert.ok(read.kind === 'Usable', read.kind === 'Unusable' ? read.message : read.kind);
  return read;
}

function withGpg(): void {
  const [ecc, rsa, others] = [new GpgHome(), new GpgHome(), new GpgHome()];
  after(() => Promise.all([ecc, rsa, others].map((home) => home.close())));
  const made = Promise.all([
    ecc.generate('ecc', 'ed25519', 'cv25519', { expires: '1y' }),
    rsa.generate('rsa', 'rsa3072', 'rsa3072'),
    others.generate('mallory', 'ed25519', 'cv25519'),
  ]);

  test('gpg decrypts with the key of either recipient, and nobody else', async () => {
    const fingerprints = (await made).slice(0, 2);
    const recipients = await usable({ ecc: await ecc.publicKey('ecc'), rsa: await rsa.publicKey('rsa') });
    assert.deepEqual(recipients.fingerprints, fingerprints.sort());
    const text = `{"k":"ä\\n"}\r\n${'x'.repeat(5000)}\n`;
    const message = await recipients.encrypt(text);
    for (const home of [ecc, rsa]) assert.equal(await decryptWith(home.decryptCommand, message), text);
    await assert.rejects(decryptWith(others.decryptCommand, message), /failed: .*No secret key/);
  });

  test('AES-256, not compressed, with an integrity check that every gpg since 2.0 knows; not altered unnoticed', async () => {
    await made;
    const text = 'x'.repeat(5000);
    const message = await (await usable({ ecc: await ecc.publicKey('ecc') })).encrypt(text);
    const packets = String(await ecc.run(['--list-packets', '--show-session-key'], message));
    assert.match(packets, /:encrypted data packet:\n\tlength: \d+\n\tmdc_method: 2\n/);
    assert.doesNotMatch(packets, /compressed|aead/);
    assert.ok(message.length > text.length);
    const verbose = await decryptWith(`${ecc.decryptCommand.replace('--quiet', '--verbose')} 2>&1 >/dev/null`, message);
    assert.match(verbose, /AES256/);
    const lines = message.split('\n');
    const middle = Math.floor(lines.length / 2);
    lines[middle] = [...lines[middle]!].toReversed().join('');
    const altered = lines.filter((line) => !/^=.{4}$/.test(line)).join('\n');
    await assert.rejects(decryptWith(ecc.decryptCommand, altered), /failed/);
  });

  test('keys that gpg has made and nobody can be encrypted to are refused', async () => {
    await made;
    await others.generate('expired', 'ed25519', 'cv25519', { expires: '1d', at: '20200101T000000' });
    await others.generate('signs', 'ed25519', null);
    await others.generate('secret', 'ed25519', 'cv25519');
    const secret = String(await others.run(['--armor', '--export-secret-keys', '=secret']));
    const cases = [
      ['expired', await others.publicKey('expired'), /expired at 2020-01-02T00:00:\d\d\.000Z/],
      ['signs', await others.publicKey('signs'), /cannot be encrypted to .*--quick-add-key/],
      ['secret', secret, /is a PRIVATE key/],
      ['two', String(await others.run(['--armor', '--export'])), /holds several keys/],
    ] as const;
    for (const [name, value, says] of cases) {
      const read = await readRecipients({ [name]: value }, Date.now());
      assert.ok(read.kind === 'Unusable', name);
      assert.match(read.message, says);
    }
  });

  for (const algorithm of KEY_SET_ALGORITHMS) {
    test(`${algorithm}: a lost keyring comes back by gpg, and goes on`, async () => {
      await made;
      const recipients = await usable({ ecc: await ecc.publicKey('ecc'), rsa: await rsa.publicKey('rsa') });
      const store = new MemoryKeyStore();
      const spec = { ...SPEC, algorithm, escrow: { recipientsSecret: 'ops', required: true } };
      const reconcile = () =>
        reconcileKeySet({
          spec,
          store,
          now: Date.now,
          generateKey,
          recipients: async () => recipients,
          acknowledgements: [],
        });
      const { outputs } = await reconcile();
      const material = materialIn(store);
      store.keyring = null;
      assert.equal((await reconcile()).end.kind, 'Halt');
      await restoreKeySet({
        keySet: `${SPEC.namespace}/${SPEC.name}`,
        store,
        escrow: store.escrow!,
        revocations: [],
        status: { serial: 0, kids: [] },
        decrypt: (message) => decryptWith(rsa.decryptCommand, message),
        replace: false,
        acceptLoss: false,
      });
      const after = await reconcile();
      assert.equal(after.end.kind, 'Wait');
      assert.deepEqual(materialIn(store), material);
      assert.deepEqual({ ...after.outputs, serial: 0 }, { ...outputs, serial: 0 });
    });
  }

  test('portcullis escrow encrypt: any bytes, from a file or standard input, and gpg reads them', async () => {
    await made;
    const scratch = await mkdtemp(join(tmpdir(), 'portcullis-escrow-'));
    after(() => rm(scratch, { recursive: true }));
    const [one, two, file] = ['ecc.asc', 'rsa.asc', 'backup'].map((name) => join(scratch, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(one, await ecc.publicKey('ecc'));
    await writeFile(two, await rsa.publicKey('rsa'));
    // Longer than the chunks of a stream, and not a multiple of one.
    const bytes = randomBytes(3_000_001);
    await writeFile(file, bytes);
    const to = ['--recipient', one, '--recipient', two];
    const { code, stderr } = await escrow(['encrypt', file, ...to]);
    assert.equal(code, 0, stderr);
    const message = await readFile(`${file}.asc`);
    for (const home of [ecc, rsa]) assert.ok(bytes.equals(await home.run(['--decrypt'], message)));
    const piped = await escrow(['encrypt', '-', ...to], [bytes.subarray(0, 70_000), bytes.subarray(70_000)]);
    assert.equal(piped.code, 0, piped.stderr);
    assert.ok(bytes.equals(await rsa.run(['--decrypt'], piped.stdout)));
  });
}

function materialIn({ keyring }: MemoryKeyStore): unknown {
  return keyring?.keys.map(({ kid, jwk, privateMembers }) => ({ kid, jwk, privateMembers }));
}

async function escrow(argv: readonly string[], stdin: readonly Uint8Array[] = []) {
  let [stdout, stderr] = ['', ''];
  const code = await runEscrow(argv, {
    stdin: Readable.from(stdin),
    stdout: {
      write: (data: string | Uint8Array, done?: () => void) => {
        stdout += String(data);
        done?.();
      },
    },
    stderr: { write: (text) => (stderr += text) },
    now: Date.now,
  });
  return { code, stdout, stderr };
}

const missing = missingGpg();
if (missing === null) withGpg();
else test('escrow with gpg', (t) => skipOrFail(t, missing));
