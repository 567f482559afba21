import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { encodeBundle } from '../../policy/bundle/encode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import {
  exampleAccessBundle,
  exampleLimitsBundle,
  testPrivateKey,
} from '../../policy/bundle/testing/example-bundles.ts';
import type { AccessBundle } from '../../policy/bundle/types.ts';
import { type RunningSidecar, startSidecar } from '../../sidecar/start-sidecar.ts';
import { type MemoryLog, memoryLog } from '../support/memory-log.ts';
import { send } from '../support/raw-http.ts';
import { type RecordingUpstream, recordingUpstream } from '../support/recording-upstream.ts';
import { openToAll, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const signer = testPrivateKey(1);
const GET = 'GET /x HTTP/1.1\r\nHost: api.example\r\n\r\n';

function access(serial: number, more: Partial<AccessBundle> = {}): AccessBundle {
  return {
    ...exampleAccessBundle,
    namespace: 'trading',
    name: 'orders',
    serial,
    store: null,
    cors: null,
    jwt: [],
    rules: [openToAll],
    securityHeaders: [['x-serial', String(serial)]],
    ...more,
  };
}

const good = (serial: number): Buffer => encodeBundle(access(serial), signer);

/** Each is written while serial 10 is in force. */
const bad: readonly (readonly [name: string, code: string, bytes: () => Buffer])[] = [
  ['empty', 'bundle_corrupt', () => Buffer.alloc(0)],
  ['not a bundle', 'bundle_corrupt', () => Buffer.from('apiVersion: v1\nkind: Secret\n')],
  ['half-written', 'bundle_unsigned', () => good(11).subarray(0, -20)],
  ['cut within its header', 'bundle_corrupt', () => good(11).subarray(0, 40)],
  ['altered in one bit', 'bundle_unsigned', () => flipLast(good(11))],
  ['signed with another key', 'bundle_unsigned', () => encodeBundle(access(11), testPrivateKey(2))],
  ['without a signature', 'bundle_unsigned', () => withoutSignature(good(11))],
  ['of another policy', 'bundle_foreign', () => encodeBundle(access(11, { name: 'positions' }), signer)],
  ['of another namespace', 'bundle_foreign', () => encodeBundle(access(11, { namespace: 'other' }), signer)],
  [
    'of another kind',
    'bundle_foreign',
    () => encodeBundle({ ...exampleLimitsBundle, name: 'orders', serial: 11 }, signer),
  ],
  ['older', 'bundle_older', () => good(9)],
  ['of the same serial, but different', 'bundle_older', () => encodeBundle(access(10, { rules: [] }), signer)],
  ['too large', 'bundle_too_large', () => Buffer.alloc(1024 * 1024, 'x')],
  ['with a weak key', 'key_refused', () => encodeBundle(access(11, { jwt: exampleAccessBundle.jwt }), signer)],
  [
    'with a condition that is no CEL',
    'bundle_invalid',
    () => encodeBundle(access(11, { rules: [badCondition] }), signer),
  ],
];
const badCondition = { ...openToAll, allow: [{ when: 'claims.sub ==' }] };

describe('bundles', { timeout: 30_000 }, () => {
  let directory: string;
  let upstream: RecordingUpstream;
  let sidecar: RunningSidecar;
  let log: MemoryLog;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'portcullis-bundles-'));
    upstream = await recordingUpstream();
    log = memoryLog();
    sidecar = await startSidecar({
      listen: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      upstream: { host: '127.0.0.1', port: upstream.port },
      bundles: {
        publicKey: createPublicKey(signer),
        access: { directory: join(directory, 'access'), namespace: 'trading', name: 'orders' },
        limits: null,
      },
      sink: log,
      version: 'test',
    });
  });
  after(async () => {
    await sidecar.stop(0);
    await upstream.close();
    await rm(directory, { recursive: true });
  });

  const put = async (bytes: Buffer): Promise<void> => {
    await mkdir(join(directory, 'access'), { recursive: true });
    await writeFile(join(directory, 'access', 'new'), bytes);
    await rename(join(directory, 'access', 'new'), join(directory, 'access', BUNDLE_FILE));
    await sidecar.checkBundles();
  };
  const admin = async (path: string) => {
    const answer = await send(sidecar.admin.port, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`, {
      untilClosed: true,
    });
    return { status: answer.status, body: answer.body };
  };
  const errorCount = async (reason: string): Promise<number> => {
    const { body } = await admin('/metrics');
    const line = new RegExp(`^portcullis_bundle_errors_total\\{kind="access",reason="${reason}"\\} (\\d+)$`, 'm');
    return Number(line.exec(body)?.[1] ?? 0);
  };

  it('none yet: 503 with the code, unready with the reason, alive', async () => {
    const answer = await send(sidecar.traffic.port, GET);
    assert.deepEqual([answer.status, JSON.parse(answer.body).code], [503, 'policy_not_loaded']);
    const ready = await admin('/readyz');
    assert.equal(ready.status, 503);
    assert.match(ready.body, /^PolicyNotFound: no access bundle for trading\/orders yet$/m);
    assert.equal((await admin('/healthz')).status, 200);
    assert.equal(upstream.requests.length, 0);
    assert.doesNotMatch((await admin('/metrics')).body, /malformed_requests_total\{/, 'the request was not malformed');
  });

  it('only a bad one so far: still 503 and unready, with its reason', async () => {
    await put(encodeBundle(access(5), testPrivateKey(2)));
    assert.equal((await send(sidecar.traffic.port, GET)).status, 503);
    assert.match((await admin('/readyz')).body, /^bundle_unsigned: /);
  });

  it('the first good one: ready', async () => {
    await put(good(10));
    assert.deepEqual(await admin('/readyz'), { status: 200, body: 'ok\n' });
    assert.equal((await send(sidecar.traffic.port, GET)).headers['x-serial'], '10');
  });

  for (const [name, code, bytes] of bad) {
    it(`${name}: the last good one stays; /status, metric and log say ${code}, once`, async () => {
      const before = await errorCount(code);
      const logged = log.entries('bundle refused, the last good one stays').length;
      await put(bytes());
      await sidecar.checkBundles();
      const answer = await send(sidecar.traffic.port, GET);
      assert.deepEqual([answer.status, answer.headers['x-serial']], [200, '10']);
      assert.equal((await admin('/readyz')).status, 200, 'what is in force is enforced');
      const { bundles } = JSON.parse((await admin('/status')).body);
      assert.deepEqual([bundles.access.serial, bundles.access.error.code], [10, code], bundles.access.error?.message);
      assert.equal(await errorCount(code), before + 1);
      const entries = log.entries('bundle refused, the last good one stays').slice(logged);
      assert.deepEqual(
        entries.map((entry) => [entry['code'], entry['kind']]),
        [[code, 'access']],
      );

      await put(good(10));
      assert.equal(sidecar.status().bundles.access?.error, null, 'the good one is back');
    });
  }

  it('a good one after bad ones is taken', async () => {
    await put(Buffer.from('nonsense'));
    await put(good(12));
    const { access: state } = sidecar.status().bundles;
    assert.deepEqual([state?.serial, state?.error], [12, null]);
    assert.equal((await send(sidecar.traffic.port, GET)).headers['x-serial'], '12');
  });
});

describe('two bundles', { timeout: 30_000 }, () => {
  it('a refused access bundle is not half in force: the next limits go with the last good one', async () => {
    const sut = await startSidecarUnderTest({ limits: {} });
    try {
      for (const serial of [2, 3]) {
        await sut.publish({ access: { rules: [badCondition] }, limits: {} });
        const { bundles } = sut.sidecar.status();
        assert.deepEqual([bundles.access?.serial, bundles.access?.error?.code], [1, 'bundle_invalid']);
        assert.deepEqual([bundles.limits?.serial, bundles.limits?.error], [serial, null]);
      }
      assert.equal((await send(sut.port, GET)).status, 200);
    } finally {
      await sut.stop();
    }
  });
});

function flipLast(bytes: Buffer): Buffer {
  const altered = Buffer.from(bytes);
  altered[altered.length - 1] = (altered[altered.length - 1] as number) ^ 1;
  return altered;
}

function withoutSignature(bytes: Buffer): Buffer {
  const end = bytes.indexOf('\n');
  const { signature: _, ...header } = JSON.parse(bytes.toString('utf8', 0, end));
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), bytes.subarray(end + 1)]);
}
