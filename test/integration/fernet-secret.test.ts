import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { parse } from 'yaml';
import { runFernet } from '../../cli/fernet/run-fernet.ts';
import { decodeResource } from '../../policy/api/decode.ts';
import { formatFernetKey } from '../../policy/fernet/fernet-key.ts';
import { FERNET_KEYS_FILE } from '../../policy/keys/exports.ts';
import { apiServerFor } from '../cluster/require-api-server.ts';

test('examples/fernet/keys.yaml is a SigningKeySet', () => {
  const text = readFileSync(new URL('../../examples/fernet/keys.yaml', import.meta.url), 'utf8');
  const object = parse(text);
  const decoded = decodeResource({ ...object, metadata: { ...object.metadata, namespace: 'trading' } });
  assert.ok('resource' in decoded, JSON.stringify(decoded));
});

const [ACTIVE, RETIRED] = [1, 2].map((fill) => formatFernetKey(Buffer.alloc(32, fill)));

test('fernet --secret: the keys of a cluster, read with the rights of a kubeconfig', async (t) => {
  const server = await apiServerFor(t);
  if (!server) return;
  const put = async (name: string, stringData: object) => {
    const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData };
    assert.equal((await server.request('POST', '/api/v1/namespaces/default/secrets', body)).status, 201);
  };
  await put('at-rest-fernet', { [FERNET_KEYS_FILE]: `${ACTIVE}\n${RETIRED}\n` });
  await put('before-fernet', { [FERNET_KEYS_FILE]: `${RETIRED}\n` });
  await put('broken-fernet', { [FERNET_KEYS_FILE]: `${ACTIVE}${RETIRED}` });
  await put('other', { password: 'x' });

  const run = async (argv: readonly string[], input: string) => {
    let [out, err] = ['', ''];
    const code = await runFernet([...argv, '--kubeconfig', server.kubeconfig], {
      stdin: Readable.from([Buffer.from(input)]),
      stdout: {
        write(data, done) {
          out += data;
          done?.();
        },
      },
      stderr: { write: (text) => (err += text) },
      now: Date.now,
    });
    return { code, out, err };
  };

  const { out: token } = await run(['encrypt', '--secret', 'default/before-fernet'], 'at rest');
  const rotated = await run(['rotate', '--secret', 'default/at-rest-fernet'], token);
  assert.deepEqual([rotated.code, rotated.err], [0, 'portcullis fernet rotate: decrypted with key 2 of 2\n']);
  const read = await run(['decrypt', '--secret', 'at-rest-fernet', '-n', 'default'], rotated.out);
  assert.deepEqual(read, { code: 0, out: 'at rest', err: 'portcullis fernet decrypt: decrypted with key 1 of 2\n' });

  for (const [secret, says] of [
    [
      'default/none',
      /Secret default\/none does not exist; name the one that a SigningKeySet with algorithm Fernet writes/,
    ],
    ['default/other', /Secret default\/other has no key "keys"; name the one/],
    ['default/broken-fernet', /default\/broken-fernet: line 1: this is no Fernet key: write 32 bytes/],
  ] as const) {
    const { code, out, err } = await run(['decrypt', '--secret', secret], token);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, says);
    assert.match(err, /^portcullis fernet decrypt: [^\n]*\n$/);
    for (const key of [ACTIVE, RETIRED]) assert.ok(!err.includes(key!));
  }
});
