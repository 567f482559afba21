import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { type CoreEvent, KubeEventRecorder } from './events.ts';
import { type EventRecord, type KubeClient, KubeError } from './kube-client.ts';
import { KubeMetrics } from './kube-metrics.ts';
import type { ObjectKey } from './objects.ts';
import { FakeClock } from './testing/fake-clock.ts';

const ABOUT = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'x', name: 'web-0', uid: 'u1', resourceVersion: '7' },
};

function event(change: Partial<EventRecord> = {}): EventRecord {
  return { about: ABOUT, type: 'Warning', reason: 'Unprotected', message: 'no sidecar', ...change };
}

interface Rig {
  readonly recorder: KubeEventRecorder;
  readonly clock: FakeClock;
  readonly metrics: KubeMetrics;
  /** Events on the server by name. */
  readonly server: Map<string, CoreEvent>;
  /** What the next requests meet; undefined: they succeed. */
  readonly errors: (KubeError | undefined)[];
  requests(): number;
}

function rig(): Rig {
  const clock = new FakeClock();
  const metrics = new KubeMetrics(new Registry());
  const server = new Map<string, CoreEvent>();
  const errors: (KubeError | undefined)[] = [];
  let requests = 0;
  const meet = (): void => {
    requests++;
    const error = errors.shift();
    if (error) throw error;
  };
  const client = {
    async create(_type: unknown, made: CoreEvent) {
      meet();
      if (server.has(made.metadata.name)) throw new KubeError(409, 'AlreadyExists', 'fake');
      server.set(made.metadata.name, made);
      return made;
    },
    async patch(_type: unknown, key: ObjectKey, patch: Partial<CoreEvent>) {
      meet();
      const known = server.get(key.name);
      if (!known) throw new KubeError(404, 'NotFound', 'fake');
      server.set(key.name, { ...known, ...patch });
      return known;
    },
  } as unknown as Pick<KubeClient, 'create' | 'patch'>;
  const log = pino({ level: 'silent' });
  const recorder = new KubeEventRecorder({
    client,
    component: 'portcullis-operator',
    instance: 'pod-1',
    log,
    metrics,
    clock,
  });
  return { recorder, clock, metrics, server, errors, requests: () => requests };
}

describe('KubeEventRecorder', () => {
  it('writes what kubectl describe shows', async () => {
    const { recorder, server } = rig();
    recorder.record(event());
    await recorder.flush();
    const [[name, made]] = [...server] as [[string, CoreEvent]];
    assert.match(name, /^web-0\.[0-9a-f]{16}$/);
    assert.deepEqual(made, {
      metadata: { namespace: 'x', name },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: 'x', name: 'web-0', uid: 'u1', resourceVersion: '7' },
      type: 'Warning',
      reason: 'Unprotected',
      message: 'no sidecar',
      count: 1,
      firstTimestamp: '2030-01-01T00:00:00Z',
      lastTimestamp: '2030-01-01T00:00:00Z',
      source: { component: 'portcullis-operator' },
      reportingComponent: 'portcullis-operator',
      reportingInstance: 'pod-1',
    });
  });

  it('folds the same about the same object, also while it waits to be written', async () => {
    const { recorder, clock, server, requests } = rig();
    for (let i = 0; i < 3; i++) recorder.record(event());
    await recorder.flush();
    await clock.advance(90_000);
    recorder.record(event());
    await recorder.flush();
    assert.equal(server.size, 1);
    const [made] = server.values();
    assert.equal(made?.count, 4);
    assert.equal(made?.firstTimestamp, '2030-01-01T00:00:00Z');
    assert.equal(made?.lastTimestamp, '2030-01-01T00:01:30Z');
    assert.ok(requests() <= 3, `${requests()} requests`);
  });

  const DIFFERENT: readonly (readonly [name: string, other: EventRecord])[] = [
    ['type', event({ type: 'Normal' })],
    ['reason', event({ reason: 'Other' })],
    ['message', event({ message: 'other' })],
    ['object', event({ about: { ...ABOUT, metadata: { ...ABOUT.metadata, uid: 'u2' } } })],
  ];
  for (const [name, other] of DIFFERENT) {
    it(`does not fold another ${name}`, async () => {
      const { recorder, server } = rig();
      recorder.record(event());
      recorder.record(other);
      await recorder.flush();
      assert.equal(server.size, 2);
    });
  }

  it('writes an Event again that has expired', async () => {
    const { recorder, server } = rig();
    recorder.record(event());
    await recorder.flush();
    server.clear();
    recorder.record(event());
    await recorder.flush();
    assert.equal([...server.values()][0]?.count, 2);
  });

  it('writes once where an answer was lost', async () => {
    const { recorder, clock, server, errors } = rig();
    recorder.record(event());
    await recorder.flush();
    const [name] = server.keys();
    errors.push(new KubeError(404, 'NotFound', 'expired, and made again by a request whose answer was lost'));
    recorder.record(event());
    await clock.advance(60_000);
    await recorder.flush();
    assert.deepEqual([...server.keys()], [name]);
    assert.equal(server.get(name as string)?.count, 2);
  });

  it('tries again where the server may be back, and gives up where it refuses', async () => {
    const { recorder, clock, server, errors, metrics } = rig();
    errors.push(new KubeError(0, 'NoAnswer', 'fake'), new KubeError(503, '', 'fake'));
    recorder.record(event());
    await clock.advance(60_000);
    await recorder.flush();
    assert.equal(server.size, 1);
    errors.push(new KubeError(403, 'Forbidden', 'the namespace is being terminated'));
    recorder.record(event({ reason: 'Other' }));
    await clock.advance(60_000);
    await recorder.flush();
    assert.equal(server.size, 1);
    assert.deepEqual((await metrics.eventsDropped.get()).values[0]?.labels, { reason: 'refused' });
  });

  it('records 25 about an object, and one more every 5 minutes', async () => {
    const { recorder, clock, server } = rig();
    for (let i = 0; i < 40; i++) recorder.record(event({ message: String(i) }));
    await recorder.flush();
    assert.equal(server.size, 25);
    recorder.record(event({ about: { ...ABOUT, metadata: { ...ABOUT.metadata, uid: 'u2' } } }));
    await recorder.flush();
    assert.equal(server.size, 26);
    await clock.advance(600_000);
    for (let i = 40; i < 50; i++) recorder.record(event({ message: String(i) }));
    await recorder.flush();
    assert.equal(server.size, 28);
  });

  it('holds a bounded number while the server is away', async () => {
    const { recorder, clock, metrics, errors, server } = rig();
    errors.push(new KubeError(0, 'NoAnswer', 'fake'));
    for (let i = 0; i < 1500; i++) {
      recorder.record(event({ about: { ...ABOUT, metadata: { ...ABOUT.metadata, uid: `u${i}` } } }));
    }
    await clock.advance(60_000);
    await recorder.flush();
    assert.equal(server.size, 1001);
    const [dropped] = (await metrics.eventsDropped.get()).values;
    assert.deepEqual(dropped, { labels: { reason: 'queue' }, value: 499 });
  });

  it('puts Events about what has no namespace into default, cuts long names and messages', async () => {
    const { recorder, server } = rig();
    recorder.record(
      event({ about: { kind: 'Namespace', metadata: { name: 'n'.repeat(253) } }, message: 'm'.repeat(5000) }),
    );
    await recorder.flush();
    const [made] = server.values();
    assert.equal(made?.metadata.namespace, 'default');
    assert.ok((made?.metadata.name.length ?? 999) <= 253);
    assert.equal(made?.message.length, 1024);
  });

  it('folds messages that differ only where they are cut', async () => {
    const { recorder, server } = rig();
    for (const end of ['a', 'b']) recorder.record(event({ message: `${'m'.repeat(5000)}${end}` }));
    await recorder.flush();
    assert.equal(server.size, 1);
  });
});
