import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DirectoryKeyStore } from '../../cli/local/directory-key-store.ts';
import { type RunningLocal, startLocal } from '../../cli/local/start-local.ts';
import { parseFernetKeys } from '../../policy/fernet/fernet-key.ts';
import { encryptFernet } from '../../policy/fernet/fernet-token.ts';
import { FERNET_KEYS_FILE } from '../../policy/keys/exports.ts';
import { SILENT_SINK } from '../../runtime/log.ts';
import { headerOf } from '../support/http-messages.ts';
import { type RecordingBroker, recordingBroker } from '../support/recording-broker.ts';
import { serve } from '../support/tcp-server.ts';

const ACCESS = `
apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: {name: app}
spec: {rules: [{name: all, match: {paths: ["/**"]}, allow: [{anonymous: true}]}]}
---
apiVersion: portcullis.dev/v1alpha1
kind: SigningKeySet
metadata: {name: at-rest}
spec: {algorithm: Fernet}
`;

describe('egress in local mode', () => {
  let broker: RecordingBroker;
  let directory: string;
  let port: number;
  let local: RunningLocal | null = null;
  const policies = () => join(directory, 'policies');

  before(async () => {
    broker = await recordingBroker({ name: 'localhost' });
  });
  after(() => broker[Symbol.asyncDispose]());
  beforeEach(async () => {
    await local?.stop();
    local = null;
    directory = await mkdtemp(join(tmpdir(), 'portcullis-egress-'));
    await mkdir(policies());
    await writeFile(join(policies(), 'access.yaml'), ACCESS);
    const free = await serve(createServer());
    port = free.port;
    await free.close();
  });
  after(async () => {
    await local?.stop();
    await rm(directory, { recursive: true });
  });

  const write = (egress: string, value = ''): Promise<void> =>
    writeFile(
      join(policies(), 'limits.yaml'),
      `
apiVersion: portcullis.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: brokers}
spec:
  egress: ${egress}
---
apiVersion: v1
kind: Secret
metadata: {name: broker, labels: {portcullis.dev/allow-reference: "true"}}
stringData: {value: "${value}", ca.crt: ${JSON.stringify(broker.ca)}}
`,
    );
  const entry = (more: string): string =>
    `[{name: broker, url: "https://localhost:${broker.port}", allow: [{paths: ["/**"]}], rate: Unlimited, caSecretRef: {name: broker}, allowPrivateAddresses: true${more}}]`;
  const encrypted = () =>
    entry(', credentials: {secretRef: {name: broker}, header: X-KEY, fernetKeySetRef: {name: at-rest}}');
  const start = async (): Promise<void> => {
    const anywhere = { host: '127.0.0.1', port: 0 };
    local = await startLocal(
      {
        policies: policies(),
        upstream: { host: '127.0.0.1', port: 9 },
        listen: anywhere,
        admin: anywhere,
        egress: { host: '127.0.0.1', port },
        state: join(directory, 'state'),
        redisUrl: null,
        accessPolicy: null,
        rateLimitPolicy: null,
      },
      { sink: SILENT_SINK, say: () => {}, now: Date.now, version: 'test' },
    );
  };
  const ask = async (): Promise<number> =>
    fetch(`http://127.0.0.1:${port}/broker/x`).then(
      ({ status }) => status,
      () => 0,
    );
  const until = async (expected: number): Promise<void> => {
    for (let i = 0; i < 200 && (await ask()) !== expected; i++) await sleep(25);
    assert.equal(await ask(), expected);
  };

  it('decrypts the credential by the key set, and says what to do when it cannot', async () => {
    await write(encrypted(), 'in-plain');
    await assert.rejects(start(), /holds no Fernet token: encrypt the value with portcullis fernet encrypt/);
    const { exportsDirectory } = new DirectoryKeyStore(join(directory, 'state'), {
      namespace: 'default',
      name: 'at-rest',
    });
    const keys = parseFernetKeys(await readFile(join(exportsDirectory, FERNET_KEYS_FILE), 'utf8'));
    assert.ok(keys.ok);
    const token = encryptFernet(keys.value[0]!, Buffer.from('the-key'), { iv: Buffer.alloc(16, 1), now: Date.now() });
    await write(encrypted(), token);
    await start();
    assert.equal(await ask(), 200);
    assert.equal(headerOf(broker.requests.at(-1)!, 'x-key'), 'the-key');
  });

  it('listens from the moment that a policy has egress, until it has none', async () => {
    await write('[]');
    await start();
    assert.equal(await ask(), 0);
    await write(entry(''));
    await until(200);
    await write(entry('').replace('name: broker', 'name: other'));
    await until(404);
    await write('[]');
    await until(0);
  });

  it('says which flag to change where the port is taken', async () => {
    const taken = await serve(createServer());
    port = taken.port;
    await write(entry(''));
    await assert.rejects(start(), { code: 'config_invalid', message: /EADDRINUSE.*--egress/ });
    await taken.close();
  });
});
