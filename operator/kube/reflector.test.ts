import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { connectKubeClient, type HttpsKubeClient } from './https-kube-client.ts';
import { KubeMetrics } from './kube-metrics.ts';
import type { KubeObject } from './objects.ts';
import { Reflector, type ReflectorOptions } from './reflector.ts';
import {
  FAKE_TYPE,
  type FakeApiServer,
  type RequestFault,
  startFakeApiServer,
  type WatchFault,
} from './testing/fake-api-server.ts';
import { until } from './testing/until.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 40), endOnFailure: true };
const TIMES = { watchMs: 60_000, stallMs: 60_000, firstBackoffMs: 2, mostBackoffMs: 10 };
/** For servers that fall silent; a busy machine may be taken for one. */
const IMPATIENT = { times: { ...TIMES, stallMs: 150 } };
const silent = pino({ level: 'silent' });

interface Rig {
  readonly server: FakeApiServer;
  readonly client: HttpsKubeClient;
  readonly reflector: Reflector<KubeObject>;
  readonly metrics: KubeMetrics;
  /** What a listener knows that only hears of changes. */
  readonly heard: Map<string, string>;
  /** Changes that did not fit what was heard before. */
  readonly wrong: string[];
  stop(): Promise<void>;
}

async function rig(options: Partial<ReflectorOptions<KubeObject>> = {}): Promise<Rig> {
  const server = await startFakeApiServer();
  const client = connectKubeClient(server.kubeConfig, {
    timeoutMs: options.times?.stallMs ?? 60_000,
    requestsPerSecond: 10_000,
    burst: 10_000,
  });
  const metrics = new KubeMetrics(new Registry());
  const reflector = new Reflector<KubeObject>({
    client,
    type: FAKE_TYPE,
    log: silent,
    metrics,
    times: TIMES,
    ...options,
  });
  const heard = new Map<string, string>();
  const wrong: string[] = [];
  reflector.onChange((now, before) => {
    const { namespace, name } = (now ?? before)?.metadata ?? { name: '' };
    const key = `${namespace}/${name}`;
    if (heard.get(key) !== (before && tag(before))) wrong.push(`${key} was not ${before && tag(before)}`);
    if (now && heard.get(key) === tag(now)) wrong.push(`${key} told twice`);
    if (now) heard.set(key, tag(now));
    else heard.delete(key);
  });
  const stop = async (): Promise<void> => {
    await reflector.stop();
    client.close();
    await server.stop();
  };
  return { server, client, reflector, metrics, heard, wrong, stop };
}

function tag({ metadata: { uid, resourceVersion } }: KubeObject): string {
  return `${uid}@${resourceVersion}`;
}

function tags(objects: Iterable<KubeObject>): readonly string[] {
  return [...objects].map((object) => `${object.metadata.namespace}/${object.metadata.name} ${tag(object)}`).sort();
}

/** Cache, listener and server agree. */
async function agree({ server, reflector, heard, wrong }: Rig): Promise<void> {
  await until('the cache holds what the server does', () => `${tags(reflector.all())}` === `${tags(server.objects())}`);
  assert.deepEqual([...heard].map(([key, value]) => `${key} ${value}`).sort(), tags(server.objects()));
  assert.deepEqual(wrong, []);
}

async function started(t: TestContext, options?: Partial<ReflectorOptions<KubeObject>>): Promise<Rig> {
  const made = await rig(options);
  t.after(() => made.stop());
  for (const name of ['a', 'b', 'c']) made.server.put({ namespace: 'x', name });
  made.reflector.start();
  await made.reflector.whenSynced();
  await until('it watches', () => made.server.openWatches === 1);
  return made;
}

const WATCH_FAULTS: readonly (readonly [name: string, fault: WatchFault])[] = [
  ['410 as an ERROR event', { errorCode: 410, reason: 'Expired' }],
  ['500 as an ERROR event', { errorCode: 500, reason: 'InternalError' }],
  ['a reset', 'Reset'],
  ['a connection cut in the middle of a change', 'Cut'],
  ['a half-open connection', 'Silence'],
  ['a line that is no JSON', 'Garbage'],
  ['the end of its time', 'End'],
];

const REQUEST_FAULTS: readonly (readonly [name: string, fault: RequestFault])[] = [
  ['410', { status: 410, reason: 'Expired' }],
  ['500', { status: 500, reason: 'InternalError' }],
  ['429 with Retry-After', { status: 429, reason: 'TooManyRequests', retryAfterSeconds: 0.02 }],
  ['401', { status: 401, reason: 'Unauthorized' }],
  ['a proxy’s 502', 'Html'],
  ['a reset', 'Reset'],
  ['an answer cut in the middle', 'Cut'],
  ['silence', 'Silence'],
  ['a slow answer', 'Slow'],
];

describe('Reflector', () => {
  it('holds what a paged list says, then each change', async (t) => {
    const made = await rig();
    t.after(() => made.stop());
    for (let i = 0; i < 1201; i++) made.server.put({ namespace: `n${i % 3}`, name: `s${i}` });
    assert.equal(made.reflector.synced, false);
    made.reflector.start();
    await made.reflector.whenSynced();
    assert.equal(made.reflector.synced, true);
    await agree(made);
    assert.equal(made.server.requests.filter(({ verb }) => verb === 'list').length, 3);
    made.server.put({ namespace: 'n0', name: 's0' });
    made.server.remove({ namespace: 'n1', name: 's1' });
    made.server.put({ namespace: 'new', name: 'new' });
    await agree(made);
    assert.equal([...made.reflector.inNamespace('n0')].length, 401);
    assert.equal(made.reflector.get({ namespace: 'new', name: 'new' })?.metadata.name, 'new');
    assert.equal(made.reflector.get({ namespace: 'n1', name: 's1' }), undefined);
  });

  for (const [name, fault] of WATCH_FAULTS) {
    it(`recovers when a watch meets ${name}`, async (t) => {
      const made = await started(t, fault === 'Silence' ? IMPATIENT : {});
      made.server.put({ namespace: 'x', name: 'before' });
      await agree(made);
      made.server.breakWatches(fault);
      made.server.put({ namespace: 'x', name: 'a' });
      made.server.remove({ namespace: 'x', name: 'b' });
      made.server.put({ namespace: 'x', name: 'after' });
      await agree(made);
      const expired = typeof fault === 'object' && fault.errorCode === 410;
      const lists = made.server.requests.filter(({ verb }) => verb === 'list').length;
      assert.equal(lists, expired ? 2 : 1, 'a list is repeated only when history is lost');
    });
  }

  for (const verb of ['list', 'watch'] as const) {
    for (const [name, fault] of REQUEST_FAULTS) {
      it(`recovers when a ${verb} is answered with ${name}, several times in a row`, async (t) => {
        const made = await rig(fault === 'Silence' ? IMPATIENT : {});
        t.after(() => made.stop());
        for (const key of ['a', 'b', 'c']) made.server.put({ namespace: 'x', name: key });
        for (let i = 0; i < 4; i++) made.server.failNext(verb, fault);
        made.reflector.start();
        await made.reflector.whenSynced();
        made.server.put({ namespace: 'x', name: 'later' });
        await agree(made);
        await until('it watches again', () => made.server.openWatches === 1);
        made.server.remove({ namespace: 'x', name: 'a' });
        await agree(made);
      });
    }
  }

  it('begins a list again, once, whose second page has expired', async (t) => {
    const made = await rig();
    t.after(() => made.stop());
    for (let i = 0; i < 700; i++) made.server.put({ namespace: 'x', name: `s${i}` });
    made.server.failNext('list', 'Slow');
    const listed = made.client.list(FAKE_TYPE);
    await until('the first page is asked for', () => made.server.requests.length === 1);
    await sleep(0);
    made.server.failNext('list', { status: 410, reason: 'Expired' });
    assert.equal((await listed).items.length, 700);
    assert.equal(made.server.requests.length, 4);
  });

  it('takes an object that was deleted and made again unseen for another', async (t) => {
    const made = await started(t, IMPATIENT);
    const seen: string[] = [];
    made.reflector.onChange((now, before) => seen.push(`${before?.metadata.uid ?? ''}>${now?.metadata.uid ?? ''}`));
    const before = made.reflector.get({ namespace: 'x', name: 'a' })?.metadata.uid ?? '';
    made.server.breakWatches('Silence');
    made.server.remove({ namespace: 'x', name: 'a' });
    made.server.put({ namespace: 'x', name: 'a' });
    made.server.compact();
    await agree(made);
    const after = made.reflector.get({ namespace: 'x', name: 'a' })?.metadata.uid ?? '';
    assert.notEqual(after, before);
    assert.deepEqual(seen, [`${before}>`, `>${after}`]);
  });

  it('goes on when a listener throws, and calls the others', async (t) => {
    const made = await started(t);
    let calls = 0;
    made.reflector.onChange(() => {
      calls++;
      throw new Error('a bug');
    });
    const others: string[] = [];
    made.reflector.onChange((now) => others.push(now?.metadata.name ?? ''));
    made.server.put({ namespace: 'x', name: 'd' });
    made.server.put({ namespace: 'x', name: 'e' });
    await agree(made);
    assert.equal(calls, 2);
    assert.deepEqual(others, ['d', 'e']);
    const counted = await made.metrics.listenerErrors.get();
    assert.equal(counted.values[0]?.value, 2);
    assert.equal(made.server.requests.length, 2);
  });

  it('keeps what it is told to keep', async (t) => {
    const keep = ({ metadata }: KubeObject): KubeObject => ({ metadata });
    const made = await started(t, { keep });
    made.server.put({ namespace: 'x', name: 'd' });
    await agree(made);
    for (const object of made.reflector.all()) assert.deepEqual(Object.keys(object), ['metadata']);
  });

  it('reads a change that comes in pieces', async (t) => {
    const made = await started(t);
    made.server.put({ namespace: 'x', name: 'large' }, { text: 'é'.repeat(300_000) });
    await agree(made);
    assert.equal(made.reflector.get({ namespace: 'x', name: 'large' })?.metadata.labels?.['text']?.length, 300_000);
    assert.equal(made.server.requests.length, 2);
  });

  it('stays on a watch for as long as bookmarks come', async (t) => {
    const made = await started(t, { times: { ...TIMES, stallMs: 600 } });
    for (let i = 0; i < 8; i++) {
      made.server.bookmark();
      await sleep(100);
    }
    made.server.put({ namespace: 'x', name: 'd' });
    await agree(made);
    assert.equal(made.server.requests.length, 2);
  });

  it('goes on from a bookmark', async (t) => {
    const made = await started(t);
    made.server.compact();
    made.server.bookmark();
    await sleep(20);
    made.server.breakWatches('End');
    made.server.put({ namespace: 'x', name: 'd' });
    await agree(made);
    assert.equal(made.server.requests.filter(({ verb }) => verb === 'list').length, 1);
  });

  it('says when it last heard of the server, and not later when nothing comes', async (t) => {
    const made = await started(t);
    const { lastContact } = made.reflector;
    assert.ok(lastContact > 0);
    made.server.breakWatches('Silence');
    made.server.put({ namespace: 'x', name: 'd' });
    await sleep(30);
    assert.equal(made.reflector.lastContact, lastContact);
  });

  it('lists again where the server knows less than it did: restored from a backup', async (t) => {
    const made = await started(t);
    for (let i = 0; i < 3; i++) made.server.failNext('watch', { status: 504, reason: 'Timeout' });
    made.server.breakWatches('End');
    await until('it lists again', () => made.server.requests.filter(({ verb }) => verb === 'list').length === 2);
    await agree(made);
  });

  it('does not ask again at once where watches end as they begin', async (t) => {
    const made = await started(t, { times: { ...TIMES, firstBackoffMs: 60_000, mostBackoffMs: 60_000 } });
    made.server.breakWatches('End');
    await until('the failure is counted', async () => (await made.metrics.watchFailures.get()).values.length === 1);
    assert.equal((await made.metrics.watchFailures.get()).values[0]?.labels.reason, 'ShortWatch');
    assert.equal(made.server.requests.length, 2);
  });

  it('ends at stop, whatever it waits for', async (t) => {
    const made = await started(t, { times: { ...TIMES, firstBackoffMs: 60_000, mostBackoffMs: 60_000 } });
    made.server.breakWatches('Reset');
    await sleep(10);
    await made.reflector.stop();
    assert.equal([...made.reflector.all()].length, 3);
  });

  it('ends with exactly the server’s objects after any mix of changes and faults', async () => {
    const key = fc.record({ namespace: fc.constantFrom('x', 'y'), name: fc.constantFrom('a', 'b', 'c', 'd') });
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), key }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), key }) },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant('break' as const), with: fc.constantFrom(...WATCH_FAULTS) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant('fail' as const),
          verb: fc.constantFrom('list' as const, 'watch' as const),
          with: fc.constantFrom(...REQUEST_FAULTS),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constantFrom('compact' as const, 'bookmark' as const, 'wait' as const) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const made = await rig(IMPATIENT);
        try {
          made.reflector.start();
          for (const next of steps) {
            if (next.do === 'put') made.server.put(next.key);
            else if (next.do === 'remove') made.server.remove(next.key);
            else if (next.do === 'break') made.server.breakWatches(next.with[1]);
            else if (next.do === 'fail') made.server.failNext(next.verb, next.with[1]);
            else if (next.do === 'wait') await sleep(15);
            else made.server[next.do]();
          }
          await agree(made);
        } finally {
          await made.stop();
        }
      }),
      RUNS,
    );
  });
});
