import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { KubeError } from '../kube/kube-client.ts';
import { FakeClock } from '../kube/testing/fake-clock.ts';
import { examplePod } from './testing/example-pods.ts';
import { createPodPatcher } from './touch.ts';

interface Sent {
  readonly at: number;
  readonly name: string;
  readonly body: {
    metadata: { uid?: string; annotations?: Record<string, string> };
    status?: { conditions: { type: string; status: string; lastTransitionTime: string }[] };
  };
  readonly options: unknown;
}

function setUp(t: TestContext, perSecond = 200) {
  const clock = new FakeClock();
  const sent: Sent[] = [];
  const faults: string[] = [];
  const world = { clock, sent, faults, needed: true, fail: (): KubeError | null => null };
  const patcher = createPodPatcher({
    client: {
      async patch(_type, { name }, body, options) {
        sent.push({ at: clock.now(), name, body: body as Sent['body'], options });
        const error = world.fail();
        if (error) throw error;
        return {} as never;
      },
    },
    clock,
    perSecond,
    isTouchNeeded: () => world.needed,
    onFault: (pod) => faults.push(pod),
  });
  t.after(() => patcher.stop());
  return { ...world, world, patcher };
}

const condition = (status: 'True' | 'False', message = 'm') => ({
  type: 'portcullis.dev/Enforced',
  status,
  reason: 'R',
  message,
});

test('touches one annotation, and conditions, through pods/status of this very pod', async (t) => {
  const { clock, sent, patcher } = setUp(t);
  const pod = examplePod('a');
  patcher.touch(pod);
  patcher.setCondition(pod, condition('False'));
  await clock.advance(1_000);
  assert.equal(sent.length, 1);
  const time = new Date(clock.epoch() - 980).toISOString();
  assert.deepEqual(sent[0]?.body, {
    metadata: { uid: 'uid-of-a', annotations: { 'portcullis.dev/touched': time } },
    status: { conditions: [{ ...condition('False'), lastTransitionTime: `${time.slice(0, 19)}Z` }] },
  });
  assert.deepEqual(sent[0]?.options, { subresource: 'status', strategic: true });
});

test('sends no more than so many a second, touches first, each pod once', async (t) => {
  const { clock, sent, patcher } = setUp(t, 200);
  const pods = Array.from({ length: 500 }, (_, i) => examplePod(`p${i}`));
  for (const pod of pods) patcher.setCondition(pod, condition('True'));
  for (const pod of pods.slice(400)) patcher.touch(pod);
  for (const pod of pods.slice(400)) patcher.touch(pod);
  await clock.advance(1_000);
  assert.ok(sent.length <= 211 && sent.length >= 190, `${sent.length} in the first second`);
  assert.ok(
    sent.slice(0, 100).every(({ body }) => body.metadata.annotations),
    'touches first',
  );
  await clock.advance(2_000);
  assert.equal(sent.length, 500);
  assert.equal(new Set(sent.map(({ name }) => name)).size, 500);
});

test('a touch that is not needed any more is not sent', async (t) => {
  const { clock, sent, patcher, world } = setUp(t);
  patcher.touch(examplePod('a'));
  world.needed = false;
  await clock.advance(1_000);
  assert.equal(sent.length, 0);
});

test('writes a condition only when it says something else, and keeps since when it has been so', async (t) => {
  const { clock, sent, patcher } = setUp(t);
  const had = { ...condition('False', 'old'), lastTransitionTime: '2029-01-01T00:00:00Z' };
  const pod = examplePod('a', { status: { conditions: [had] } });
  patcher.setCondition(pod, condition('False', 'old'));
  await clock.advance(1_000);
  assert.equal(sent.length, 0);
  patcher.setCondition(pod, condition('False', 'new'));
  await clock.advance(1_000);
  patcher.setCondition(pod, condition('False', 'new'));
  await clock.advance(1_000);
  patcher.setCondition(pod, condition('True', 'new'));
  await clock.advance(1_000);
  const times = sent.map(({ body }) => body.status?.conditions[0]?.lastTransitionTime);
  assert.deepEqual(times, ['2029-01-01T00:00:00Z', '2030-01-01T00:00:03Z']);
});

test('tries again what may go through later, and nothing else', async (t) => {
  const table = [
    { name: 'busy', error: new KubeError(429, 'TooManyRequests', '', { retryAfterMs: 3_000 }), times: 6, faults: 6 },
    { name: 'away', error: new KubeError(0, '', ''), times: 6, faults: 6 },
    { name: 'gone', error: new KubeError(404, 'NotFound', ''), times: 1, faults: 0 },
    { name: 'another of that name', error: new KubeError(409, 'Conflict', ''), times: 1, faults: 0 },
    { name: 'not allowed', error: new KubeError(403, 'Forbidden', ''), times: 1, faults: 1 },
  ];
  for (const { name, error, times, faults } of table) {
    await t.test(name, async (t) => {
      const { clock, sent, patcher, world, faults: seen } = setUp(t);
      world.fail = () => error;
      patcher.touch(examplePod('a'));
      await clock.advance(600_000);
      assert.deepEqual([sent.length, seen.length], [times, faults]);
    });
  }
  await t.test('not before it was told to', async (t) => {
    const { clock, sent, patcher, world } = setUp(t);
    world.fail = () => new KubeError(429, 'TooManyRequests', '', { retryAfterMs: 3_000 });
    patcher.touch(examplePod('a'));
    await clock.advance(2_900);
    assert.equal(sent.length, 1);
    await clock.advance(200);
    assert.equal(sent.length, 2);
  });
  await t.test('but what was said meanwhile is newer', async (t) => {
    const { clock, sent, patcher, world } = setUp(t);
    const pod = examplePod('a');
    world.fail = () => {
      world.fail = () => null;
      patcher.setCondition(pod, condition('True'));
      return new KubeError(500, 'InternalError', '');
    };
    patcher.setCondition(pod, condition('False'));
    await clock.advance(60_000);
    assert.deepEqual(
      sent.map(({ body }) => body.status?.conditions[0]?.status),
      ['False', 'True'],
    );
  });
});
