import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemoryKubeClient } from '../../operator/kube/testing/memory-kube-client.ts';
import { SIGNING_KEY_SETS } from '../../operator/resources.ts';
import { ANNOTATIONS } from '../../policy/api/names.ts';
import { decodeKeySet, type KeySetObject } from './find-key-set.ts';
import { rotationForecast } from './rotation-forecast.ts';
import { type RotateOptions, rotate, runRotate } from './run-rotate.ts';
import { hours, keySetObject, NOW } from './testing/key-set-object.ts';
import { memoryIo } from './testing/memory-io.ts';

const HOUR = 3_600_000;

async function rotated(object: KeySetObject, options: Partial<RotateOptions> = {}) {
  const client = new MemoryKubeClient();
  await client.create(SIGNING_KEY_SETS, object);
  let now = NOW;
  const io = memoryIo(() => now);
  const sleep = async (ms: number) => {
    now += ms;
  };
  const whole = { namespace: 'auth', keySet: 'trading', waitMs: null, json: false, sleep, ...options };
  const code = await rotate(client, whole, io);
  const after = await client.get(SIGNING_KEY_SETS, { namespace: 'auth', name: 'trading' });
  return { code, out: io.out(), err: io.err(), after, client, waitedMs: now - NOW };
}

describe('portcullis rotate', () => {
  it('sets the annotation to now and nothing else', async () => {
    const object = keySetObject({ revocations: [{ kid: 'gone' }] });
    const { code, out, after } = await rotated(object);
    assert.equal(code, 0);
    assert.deepEqual(after?.metadata.annotations, { [ANNOTATIONS.rotateRequestedAt]: '2026-06-01T12:00:00.000Z' });
    assert.deepEqual([after?.spec, after?.status], [object.spec, object.status]);
    assert.match(out, /^auth\/trading: rotation requested\n {2}the next key is standby; it has been published/);
  });

  it('answers in JSON, and keeps the words off standard output', async () => {
    const { out, err } = await rotated(keySetObject({}, { nextKey: undefined, keys: [] }), { json: true });
    assert.deepEqual(JSON.parse(out), {
      namespace: 'auth',
      name: 'trading',
      requestedAt: '2026-06-01T12:00:00.000Z',
      earliest: hours(24),
      activeKey: 'active',
      rotated: false,
    });
    assert.match(err, /rotation requested/);
  });

  it('waits until another key signs', async () => {
    const client = new MemoryKubeClient();
    const object = await client.create(SIGNING_KEY_SETS, keySetObject());
    let now = NOW;
    const io = memoryIo(() => now);
    let polls = 0;
    const sleep = async (ms: number) => {
      now += ms;
      if (++polls < 3) return;
      const status = { ...object.status, activeKey: 'standby' };
      await client.apply(SIGNING_KEY_SETS, { metadata: { ...object.metadata }, status } as KeySetObject, 'status');
    };
    const options = { namespace: 'auth', keySet: 'sks/trading', waitMs: 60_000, json: false, sleep };
    assert.equal(await rotate(client, options, io), 0);
    assert.equal(polls, 3);
    assert.match(io.out(), /key standby signs now\n$/);
  });

  it('gives up waiting in time, and says that the request stands', async () => {
    const { code, err, waitedMs } = await rotated(keySetObject(), { waitMs: 10_000 });
    assert.deepEqual([code, waitedMs], [1, 10_000]);
    assert.match(err, /not in time; the request stands: see portcullis keys trading -n auth/);
  });

  for (const [name, spec, status] of [
    ['not long enough published', { rotation: { prePublish: '40h' } }, {}],
    ['suspended', { rotation: { suspend: true } }, {}],
  ] as const) {
    it(`does not wait for what cannot come in time: ${name}`, async () => {
      const { code, err, waitedMs } = await rotated(keySetObject(spec, status), { waitMs: HOUR });
      assert.deepEqual([code, waitedMs], [1, 0]);
      assert.match(err, /cannot happen within --timeout; the request stands/);
    });
  }

  const refused: readonly [name: string, object: KeySetObject, options: Partial<RotateOptions>, says: RegExp][] = [
    ['another name', keySetObject(), { keySet: 'tradin' }, /no SigningKeySet auth\/tradin; did you mean trading\?/],
    ['a name unlike any', keySetObject(), { keySet: 'zzzzzz' }, /no SigningKeySet auth\/zzzzzz; there is only trading/],
    ['another namespace', keySetObject(), { namespace: 'shop' }, /shop\/trading; there are none: name another .* -n/],
    ['another kind', keySetObject(), { keySet: 'secret/trading' }, /write NAME or sks\/NAME/],
    [
      'no key yet',
      keySetObject({}, { activeKey: undefined }),
      {},
      /auth\/trading has no key yet; see portcullis keys trading/,
    ],
    [
      'a spec that is not valid',
      keySetObject({ algorithm: 'none' }),
      {},
      /not valid; see kubectl describe sks trading/,
    ],
    [
      'one that is being deleted',
      { ...keySetObject(), metadata: { ...keySetObject().metadata, deletionTimestamp: hours(-1) } },
      {},
      /is being deleted/,
    ],
  ];
  for (const [name, object, options, says] of refused) {
    it(`refuses ${name}, and changes nothing`, async () => {
      const client = new MemoryKubeClient();
      await client.create(SIGNING_KEY_SETS, object);
      const whole = {
        namespace: 'auth',
        keySet: 'trading',
        waitMs: null,
        json: false,
        sleep: async () => {},
        ...options,
      };
      await assert.rejects(
        rotate(
          client,
          whole,
          memoryIo(() => NOW),
        ),
        { code: 'config_invalid', message: says },
      );
      assert.ok(!client.requests.some(({ verb }) => verb === 'patch'));
    });
  }

  for (const [name, argv, says] of [
    ['no name', [], /wants NAME, not 0/],
    ['a bad duration', ['trading', '--wait', '--timeout', '5 min'], /--timeout must be a duration such as 90s/],
    ['a time-out without --wait', ['trading', '--timeout', '5m'], /--timeout goes with --wait/],
    ['another format', ['trading', '-o', 'yaml'], /-o must be json, not "yaml"/],
  ] as const) {
    it(`refuses ${name}`, async () => {
      const io = memoryIo(() => NOW);
      assert.equal(await runRotate(['--kubeconfig', KUBECONFIG, ...argv], io), 2);
      assert.match(io.err(), says);
    });
  }
});

/** Of a server that nobody asks anything. */
const KUBECONFIG = new URL('testing/kubeconfig.yaml', import.meta.url).pathname;

describe('when a rotation can happen', () => {
  const forecasts: readonly [name: string, spec: object, status: object, earliest: number, says: RegExp][] = [
    ['a matured next key', {}, {}, NOW, /standby; it has been published for long enough already\n/],
    [
      'a next key not matured',
      { rotation: { prePublish: '32h' } },
      {},
      NOW + 2 * HOUR,
      /long enough in 2 hours \(2026-06-01T14/,
    ],
    ['none yet', {}, { keys: [] }, NOW + 24 * HOUR, /the next key is made now; .* in 24 hours/],
    ['a next key of another algorithm', { algorithm: 'ES384' }, {}, NOW + 24 * HOUR, /the next key is made now/],
    ['pods to acknowledge', {}, {}, NOW, /until all pods, 3 now, have loaded it, but no longer than 24h more/],
    ['pods that it waits for, for ever', { rotation: { ackTimeout: '0s' } }, {}, NOW, /however long that takes/],
    ['no pods', {}, { pods: { matched: 0, current: 0, stale: 0 } }, NOW, /already\n$/],
  ];
  for (const [name, spec, status, earliest, says] of forecasts) {
    it(`is told of ${name}`, () => {
      const object = keySetObject({ ...spec }, status);
      const forecast = rotationForecast(decodeKeySet(object), object.status ?? {}, NOW);
      assert.equal(forecast.earliest, earliest);
      assert.match(`${forecast.lines.join('\n')}\n`, says);
    });
  }
});
