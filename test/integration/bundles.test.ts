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
import { openToAll, portOf, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

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
      listeners: [{ listen: { host: '127.0.0.1', port: 0 }, upstream: { host: '127.0.0.1', port: upstream.port } }],
      admin: { host: '127.0.0.1', port: 0 },
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
    const answer = await send(portOf(sidecar), GET);
    assert.deepEqual([answer.status, JSON.parse(answer.body).code], [503, 'policy_not_loaded']);
    const ready = await admin('/readyz');
    assert.equal(ready.status, 503);
    assert.match(
      ready.body,
      /^PolicyNotFound: AccessPolicy trading\/orders has no bundle yet; apply it, or see kubectl describe accesspolicy orders -n trading$/m,
    );
    assert.equal((await admin('/healthz')).status, 200);
    assert.equal(upstream.requests.length, 0);
    assert.doesNotMatch((await admin('/metrics')).body, /malformed_requests_total\{/, 'the request was not malformed');
  });

  it('says why it is unready in /status, and bounds that', async () => {
    const refuse = Array.from({ length: 20 }, (_, index) => `Reason${index}: ${'x'.repeat(400)}`);
    const other = await startSidecar({
      listeners: [],
      admin: { host: '127.0.0.1', port: 0 },
      bundles: {
        publicKey: createPublicKey(signer),
        access: { directory: join(directory, 'none'), namespace: 'trading', name: 'orders' },
        limits: null,
      },
      pod: { probes: [], issueTokens: false, refuse, controlSocket: join(directory, 'control.sock') },
      sink: log,
      version: 'test',
    });
    try {
      assert.deepEqual(
        other.status().notReady,
        refuse.slice(0, 16).map((reason) => reason.slice(0, 300)),
      );
      other.startDraining(0);
      assert.deepEqual(other.status().notReady, ['draining']);
    } finally {
      await other.stop(0);
    }
  });

  it('only a bad one so far: still 503 and unready, with its reason', async () => {
    await put(encodeBundle(access(5), testPrivateKey(2)));
    assert.equal((await send(portOf(sidecar), GET)).status, 503);
    assert.match((await admin('/readyz')).body, /^bundle_unsigned: /);
  });

  it('the first good one: ready', async () => {
    await put(good(10));
    assert.deepEqual(await admin('/readyz'), { status: 200, body: 'ok\n' });
    assert.equal((await send(portOf(sidecar), GET)).headers['x-serial'], '10');
  });

  for (const [name, code, bytes] of bad) {
    it(`${name}: the last good one stays; /status, metric and log say ${code}, once`, async () => {
      const before = await errorCount(code);
      const logged = log.entries('bundle refused, the last good one stays').length;
      await put(bytes());
      await sidecar.checkBundles();
      const answer = await send(portOf(sidecar), GET);
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
    assert.equal((await send(portOf(sidecar), GET)).headers['x-serial'], '12');
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

describe('two policies, each compiled by itself', { timeout: 30_000 }, () => {
  const limit = {
    name: 'all',
    match: { hosts: [], paths: [], methods: [] },
    key: ['ip'],
    algorithm: 'FixedWindow',
    rates: { anonymous: { limit: 9, windowMs: 60_000 }, authenticated: { limit: 9, windowMs: 60_000 } },
    burst: 0,
    onStoreFailure: 'Deny',
  } as const;
  const nobodyListens = { redisUrl: 'redis://127.0.0.1:1' };

  it('limits count where the RateLimitPolicy says, else where the AccessPolicy says', async () => {
    const sut = await startSidecarUnderTest({ access: { store: nobodyListens }, limits: { limits: [limit] } });
    try {
      assert.equal(JSON.parse((await send(sut.port, GET)).body).code, 'store_unavailable');
      await sut.publish({ access: { store: null } });
      assert.equal((await send(sut.port, GET)).status, 200, 'in memory');
      await sut.publish({ limits: { limits: [limit], store: nobodyListens } });
      assert.equal(JSON.parse((await send(sut.port, GET)).body).code, 'store_unavailable');
    } finally {
      await sut.stop();
    }
  });

  it('one clientIP holds for both; two that differ are refused by name, until they agree', async () => {
    const [one, two] = [1, 2].map((trustedHops) => ({ clientIp: { trustedHops, trustedProxies: [] } }));
    const clientOf = async (sut: { port: number; log(): readonly string[] }): Promise<string> => {
      await send(sut.port, 'GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n\r\n');
      return JSON.parse(sut.log().findLast((line) => line.includes('"msg":"request"')) ?? '{}').client;
    };
    const sut = await startSidecarUnderTest({ access: {}, limits: one! });
    const assertTaken = (serial: number): void => {
      const { access: taken, limits } = sut.sidecar.status().bundles;
      assert.deepEqual([taken?.serial, taken?.error, limits?.serial, limits?.error], [serial, null, serial, null]);
    };
    try {
      assert.equal(await clientOf(sut), '192.0.2.2', 'the RateLimitPolicy alone says it');
      await sut.publish({ access: two! });
      const refused = sut.sidecar.status().bundles;
      assert.deepEqual([refused.access?.serial, refused.access?.error?.code], [1, 'bundle_invalid']);
      assert.match(
        refused.access?.error?.message ?? '',
        /^AccessPolicy test\/access and RateLimitPolicy test\/limits differ in spec\.clientIP: write the same/,
      );
      await sut.publish({ access: two!, limits: two! });
      assertTaken(3);
      assert.equal(await clientOf(sut), '192.0.2.1');

      await sut.publish({ access: one!, limits: one! });
      assertTaken(4);
      assert.equal(await clientOf(sut), '192.0.2.2', 'each fits only the new one of the other');

      await sut.publish({ access: two! });
      await sut.publish({ limits: {} });
      const { access: later, limits } = sut.sidecar.status().bundles;
      assert.deepEqual([later?.serial, later?.error, limits?.serial, limits?.error], [5, null, 6, null]);
      assert.equal(await clientOf(sut), '192.0.2.1', 'what was refused fits now');
    } finally {
      await sut.stop();
    }
  });

  it('a limits bundle that is wrong is wrong by itself, whether or not there is an access policy yet', async () => {
    const sut = await startSidecarUnderTest({ access: {}, limits: { tiers: [{ name: 'x', when: 'claims.tier ==' }] } });
    try {
      const { access: taken, limits } = sut.sidecar.status().bundles;
      assert.deepEqual([taken?.serial, taken?.error], [1, null]);
      assert.deepEqual([limits?.serial, limits?.error?.code], [0, 'bundle_invalid']);
      assert.equal((await send(sut.port, GET)).status, 503);
      const ready = await fetch(`http://127.0.0.1:${sut.adminPort}/readyz`);
      assert.deepEqual(sut.sidecar.status().notReady, [(await ready.text()).trimEnd()]);
      assert.match(sut.sidecar.status().notReady[0] ?? '', /^bundle_invalid: /);
      await sut.publish({ limits: {} });
      assert.deepEqual(sut.sidecar.status().notReady, []);
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
