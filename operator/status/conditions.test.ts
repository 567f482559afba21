import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KubeError } from '../kube/kube-client.ts';
import type { KubeObject, ResourceType } from '../kube/objects.ts';
import { ACCESS_POLICIES, type CommonStatus, type CustomResource } from '../resources.ts';
import { setCondition, writeStatus } from './conditions.ts';

const NOON = Date.parse('2030-01-01T12:00:00.900Z');
const READY = { type: 'Ready', status: 'True', reason: 'Written', message: '' } as const;

test('a condition keeps its time while its status stays, and its place among the others', () => {
  const first = setCondition([], READY, NOON);
  assert.deepEqual(first, [{ ...READY, lastTransitionTime: '2030-01-01T12:00:00Z' }]);
  const both = setCondition(first, { ...READY, type: 'Enforced' }, NOON + 5_000);
  const reworded = setCondition(both, { ...READY, message: 'again' }, NOON + 10_000);
  assert.deepEqual(
    reworded.map(({ type, message, lastTransitionTime }) => [type, message, lastTransitionTime]),
    [
      ['Ready', 'again', '2030-01-01T12:00:00Z'],
      ['Enforced', '', '2030-01-01T12:00:05Z'],
    ],
  );
  assert.equal(
    setCondition(reworded, { ...READY, status: 'False' }, NOON + 60_000)[0]?.lastTransitionTime,
    '2030-01-01T12:01:00Z',
  );
  assert.equal(first.length, 1, 'what was given is not changed');
});

/** Applies as the API server does: what is applied becomes the status. */
class FakeClient {
  readonly applied: unknown[] = [];
  failure: KubeError | null = null;

  async apply<T extends KubeObject>(_: ResourceType<T>, object: T): Promise<T> {
    if (this.failure !== null) throw this.failure;
    this.applied.push(JSON.parse(JSON.stringify(object)));
    return object;
  }
}

const policy = (status?: CommonStatus, generation = 3): CustomResource => ({
  metadata: { namespace: 'orders', name: 'orders', uid: 'u', generation, labels: { not: 'ours to apply' } },
  ...(status && { status }),
});

const found = { conditions: [READY], pods: { matched: 2, current: 2, stale: 0 } };

test('a status is written with everything in it, and not again while it says the same', async () => {
  const client = new FakeClient();
  assert.equal(await writeStatus(client, ACCESS_POLICIES, policy(), found, NOON), true);
  const status = {
    conditions: [{ ...READY, observedGeneration: 3, lastTransitionTime: '2030-01-01T12:00:00Z' }],
    pods: { matched: 2, current: 2, stale: 0 },
    observedGeneration: 3,
  };
  assert.deepEqual(client.applied, [
    {
      apiVersion: 'portcullis.dev/v1alpha1',
      kind: 'AccessPolicy',
      metadata: { namespace: 'orders', name: 'orders' },
      status,
    },
  ]);
  assert.equal(await writeStatus(client, ACCESS_POLICIES, policy(status), found, NOON + 60_000), false);
  assert.equal(client.applied.length, 1);
  for (const change of [
    { conditions: [{ ...READY, message: 'else' }], pods: found.pods },
    { conditions: [READY], pods: { matched: 3, current: 2, stale: 1 } },
    { conditions: [READY] },
  ]) {
    assert.equal(await writeStatus(client, ACCESS_POLICIES, policy(status), change, NOON), true);
  }
  assert.equal(await writeStatus(client, ACCESS_POLICIES, policy(status, 4), found, NOON), true, 'another generation');
});

test('conditions that were not looked at stay', async () => {
  const client = new FakeClient();
  const other = { ...READY, type: 'Protected', lastTransitionTime: '2029-01-01T00:00:00Z' };
  await writeStatus(client, ACCESS_POLICIES, policy({ conditions: [other] }), found, NOON);
  const { status } = client.applied[0] as { status: CommonStatus };
  assert.deepEqual(
    status.conditions?.map(({ type }) => type),
    ['Protected', 'Ready'],
  );
});

test('an object that is gone is left alone; any other failure is thrown', async () => {
  const client = new FakeClient();
  client.failure = new KubeError(404, 'NotFound', 'gone');
  assert.equal(await writeStatus(client, ACCESS_POLICIES, policy(), found, NOON), false);
  client.failure = new KubeError(403, 'Forbidden', 'no');
  await assert.rejects(writeStatus(client, ACCESS_POLICIES, policy(), found, NOON), { reason: 'Forbidden' });
});
