import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConnectionTable, type Spare } from './connection-table.ts';
import { FakeSocket } from './testing/fake-socket.ts';

const CAPS = { perPod: 8, perAddress: 4 };

/** A table with connections of many addresses, each at work unless said otherwise. */
class Scene {
  readonly table = new ConnectionTable();
  now = 10_000;

  /** True: it was let in. */
  open(address: string, spare: Spare = null, proxy = false): FakeSocket | null {
    const socket = new FakeSocket(address);
    this.now += 200;
    if (!this.table.admit(socket, proxy, CAPS, this.now)) return null;
    this.table.attach(socket, { spare: () => spare, destroy: () => socket.destroy() });
    return socket;
  }

  many(count: number, address: (i: number) => string, spare: Spare = null): (FakeSocket | null)[] {
    return Array.from({ length: count }, (_, i) => this.open(address(i), spare));
  }
}

const alone = (i: number): string => `192.0.2.${i}`;
const greedy = (): string => '198.51.100.1';

describe('ConnectionTable', () => {
  const atTheCap: readonly (readonly [name: string, others: Spare, newcomer: string, letIn: boolean])[] = [
    ['all at work: nobody makes room', null, '203.0.113.1', false],
    ['idle ones make room', 'idle', '203.0.113.1', true],
    ['ones that never send their request make room', 'waiting', '203.0.113.1', true],
    ['slow ones of addresses with no more than the newcomer do not', 'slow', '203.0.113.1', false],
    ['nor do those that came a moment ago', 'young', '203.0.113.1', false],
  ];
  for (const [name, spare, newcomer, letIn] of atTheCap) {
    it(`the pod is full, ${name}`, () => {
      const scene = new Scene();
      scene.many(CAPS.perPod, alone, spare);
      assert.equal(scene.open(newcomer) !== null, letIn);
      assert.equal(scene.table.size, CAPS.perPod);
      assert.deepEqual([scene.table.spared, scene.table.refused.per_pod], letIn ? [1, 0] : [0, 1]);
    });
  }

  for (const spare of ['idle', 'waiting', 'slow', 'young'] as const) {
    it(`the address with the most makes room first: ${spare}`, () => {
      const scene = new Scene();
      const honest = scene.many(CAPS.perPod - 3, alone, 'idle');
      const crowd = scene.many(3, greedy, spare);
      assert.ok(scene.open('203.0.113.1') !== null);
      assert.ok(honest.every((socket) => socket?.destroyed === false));
      assert.equal(crowd.filter((socket) => socket?.destroyed).length, 1);
      assert.equal(crowd[0]?.destroyed, true, 'the oldest');
    });
  }

  it('of the greediest, what is idle goes before what waits', () => {
    const scene = new Scene();
    scene.many(CAPS.perPod - 3, alone);
    const [waiting, idle, busy] = [scene.open(greedy(), 'waiting'), scene.open(greedy(), 'idle'), scene.open(greedy())];
    scene.open('203.0.113.1');
    assert.deepEqual([waiting?.destroyed, idle?.destroyed, busy?.destroyed], [false, true, false]);
  });

  it('an address that has many gets no room from one that has few', () => {
    const scene = new Scene();
    scene.many(CAPS.perPod - 3, alone, 'idle');
    scene.many(3, greedy);
    assert.equal(scene.open(greedy()), null);
  });

  it('an address at its own cap gives up what it does not use, and else gets no more', () => {
    const scene = new Scene();
    const [first] = scene.many(CAPS.perAddress, greedy, 'idle');
    assert.ok(scene.open(greedy()) !== null);
    assert.ok(first?.destroyed);
    const busy = new Scene();
    busy.many(CAPS.perAddress, greedy);
    assert.equal(busy.open(greedy()), null);
    assert.equal(busy.table.refused.per_address, 1);
    assert.ok(busy.open('203.0.113.1') !== null, 'another is not touched by it');
  });

  it('a trusted proxy has no cap of its own', () => {
    const scene = new Scene();
    for (let i = 0; i < CAPS.perPod; i++) assert.ok(scene.open(greedy(), null, true) !== null);
  });

  it('an IPv6 client counts by its /64, a mapped IPv4 address as itself', () => {
    const scene = new Scene();
    for (let i = 0; i < CAPS.perAddress; i++) assert.ok(scene.open(`2001:db8::${i}`) !== null);
    assert.equal(scene.open('2001:db8::ffff'), null);
    assert.ok(scene.open('2001:db8:0:1::1') !== null);
  });

  it('what closes is forgotten', async () => {
    const scene = new Scene();
    const sockets = scene.many(CAPS.perAddress, greedy);
    for (const socket of sockets) socket?.destroy();
    await new Promise(setImmediate);
    assert.equal(scene.table.size, 0);
    assert.ok(scene.open(greedy()) !== null);
  });

  it('whoever keeps coming in vain at the cap does not shut out one who has none', () => {
    const table = new ConnectionTable();
    const open = (address: string, now: number): boolean => {
      const socket = new FakeSocket(address);
      const admitted = table.admit(socket, false, CAPS, now);
      if (admitted) table.attach(socket, { spare: () => 'slow', destroy: () => socket.destroy() });
      return admitted;
    };
    for (let i = 0; i < CAPS.perPod; i++) assert.ok(open(`198.51.100.${i % 3}`, 10_000));
    for (let i = 0; i < 3; i++) assert.ok(!open(`198.51.100.${i}`, 20_000), 'each has about as many as the others');
    assert.ok(open('203.0.113.1', 20_000));
  });

  it('what is spared and closes later takes nothing from the count of its address', async () => {
    const table = new ConnectionTable();
    const caps = { perPod: 2, perAddress: 1 };
    const open = (address: string, spare: Spare): boolean => {
      const socket = new FakeSocket(address);
      if (!table.admit(socket, false, caps, 10_000)) return false;
      table.attach(socket, { spare: () => spare, destroy: () => socket.destroy() });
      return true;
    };
    assert.ok(open(greedy(), 'idle'));
    assert.ok(open('192.0.2.1', 'waiting'));
    assert.ok(open('203.0.113.1', null), 'in place of the idle one');
    assert.ok(open(greedy(), null), 'again, before it has heard that the first is closed');
    await new Promise(setImmediate);
    assert.ok(!open(greedy(), null));
    assert.equal(table.refused.per_address, 1);
  });

  it('a TLS handshake that does not end can be spared', () => {
    const table = new ConnectionTable();
    const stuck = new FakeSocket(greedy());
    assert.ok(table.admit(stuck, false, { perPod: 1, perAddress: 1 }, 0));
    assert.ok(!table.admit(new FakeSocket('203.0.113.1'), false, { perPod: 1, perAddress: 1 }, 500));
    assert.ok(table.admit(new FakeSocket('203.0.113.1'), false, { perPod: 1, perAddress: 1 }, 1_500));
    assert.ok(stuck.destroyed);
  });
});
