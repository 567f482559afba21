import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { test } from 'node:test';
import type { InjectedPod } from './pod-index.ts';
import { dialTcp, Protection, protectedCondition } from './protection.ts';
import { type ExamplePod, examplePod, exampleStatus, INJECTED } from './testing/example-pods.ts';
import type { FoundPodCondition } from './touch.ts';

test('what dialling says of a pod', async (t) => {
  const closed = { port: 8000, open: false };
  const table: readonly [string, FoundPodCondition, string, RegExp][] = [
    ['closed', protectedCondition('Takeover', [closed], true), 'True AppPortClosed', /^port 8000 was dialled/],
    [
      'one of two open',
      protectedCondition('Takeover', [closed, { port: 9000, open: true }], true),
      'False AppPortOpen',
      /^port 9000 .*127\.0\.0\.1.*network-policy: Generate/,
    ],
    [
      'open, while the sidecar is silent',
      protectedCondition('Takeover', [{ port: 9000, open: true }], false),
      'False AppPortOpen',
      /9000/,
    ],
    ['silent all over', protectedCondition('Takeover', [closed], false), 'Unknown Unreachable', /cannot reach/],
    ['Bind', protectedCondition('Bind', [], true), 'True Bind', /own/],
    ['Bind, silent', protectedCondition('Bind', [], false), 'Unknown Unreachable', /cannot reach/],
  ];
  for (const [name, found, is, message] of table) {
    await t.test(name, () => {
      assert.equal(`${found.status} ${found.reason}`, is);
      assert.match(found.message, message);
    });
  }
});

function world(example: ExamplePod, changes: Partial<InjectedPod> = {}, open: readonly number[] = []) {
  const pod = examplePod('a', example);
  const injected = { ...INJECTED, ...example.injected };
  const known = {
    name: 'shop/a',
    pod,
    injected,
    policies: [],
    counted: true,
    status: exampleStatus({ serial: 1, hash: '' }),
    silent: null,
  };
  const indexed: InjectedPod = { ...known, ...changes };
  const dialled: string[] = [];
  const found: string[] = [];
  const protection = new Protection({
    pod: () => indexed,
    podsOf: () => [indexed],
    dial: async (address, port) => {
      dialled.push(`${address}:${port}`);
      return open.includes(port);
    },
    random: () => 0.5,
    onFound: (_, { status }) => found.push(status),
  });
  const summary = () => protection.summary({ kind: 'Access', namespace: 'shop', name: 'orders' });
  return { protection, indexed, dialled, found, summary };
}

test('dials the captured ports of Ready pods, soon again while one is open', async () => {
  const { protection, indexed, dialled, found, summary } = world({ status: { podIP: '10.0.0.1' } }, {}, [8000]);
  assert.deepEqual(summary(), { protected: 0, exposed: [], unknown: ['a'] });
  assert.equal(protection.isDue(indexed), true);
  assert.deepEqual(await protection.reconcile('shop/a'), { afterMs: 60_000 });
  assert.deepEqual([dialled, found], [['10.0.0.1:8000'], ['False']]);
  assert.deepEqual(summary(), { protected: 0, exposed: ['a'], unknown: [] });
  assert.equal(protection.isDue(indexed), false);
});

test('is content for ten minutes with what is closed, and dials nothing of Bind', async () => {
  const closed = world({});
  assert.deepEqual(await closed.protection.reconcile('shop/a'), { afterMs: 600_000 });
  assert.deepEqual(closed.summary(), { protected: 1, exposed: [], unknown: [] });
  const bind = world({ injected: { capture: 'Bind' } }, {}, [8000]);
  assert.deepEqual(await bind.protection.reconcile('shop/a'), { afterMs: 600_000 });
  assert.deepEqual([bind.dialled, bind.found], [[], ['True']]);
});

test('says nothing of pods that are not Ready or not counted: their app may not listen yet', async () => {
  const pods = [world({ status: { conditions: [] } }), world({}, { counted: false })];
  for (const { protection, dialled, found } of pods) {
    assert.deepEqual(await protection.reconcile('shop/a'), { afterMs: null });
    assert.deepEqual([dialled, found], [[], []]);
  }
});

test('dials over TCP', async (t) => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  assert.equal(await dialTcp('127.0.0.1', (server.address() as AddressInfo).port), true);
  assert.equal(await dialTcp('127.0.0.1', 1), false);
});
