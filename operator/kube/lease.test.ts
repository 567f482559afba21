import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { KubeMetrics } from './kube-metrics.ts';
import { LeaderElection, type Lease } from './lease.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { FakeLeaseServer, type Journey } from './testing/fake-lease-client.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 300) };
const LEASE = { namespace: 'portcullis-system', name: 'portcullis-operator' };
const QUICK: Journey = { thereMs: 3, backMs: 4 };

interface Candidate {
  readonly election: LeaderElection;
  readonly metrics: KubeMetrics;
  /** What all its requests meet from now on. */
  journey: Journey;
  /** How often it began to lead. */
  began: number;
  lost: boolean;
}

/** Candidates for one Lease on one clock; `overlaps` says who began to lead while another did. */
class Rig {
  readonly clock = new FakeClock();
  readonly server = new FakeLeaseServer();
  readonly candidates = new Map<string, Candidate>();
  readonly overlaps: string[] = [];

  /** `skewMs`: by how much this one's wall clock is wrong. */
  start(identity: string, skewMs = 0): Candidate {
    const { clock } = this;
    const metrics = new KubeMetrics(new Registry());
    const election = new LeaderElection({
      client: this.server.client(clock, () => candidate.journey),
      lease: LEASE,
      identity,
      onLeading: () => {
        candidate.began++;
        this.overlaps.push(...this.leaders().filter((other) => other !== identity));
      },
      onLost: () => {
        candidate.lost = true;
      },
      log: pino({ level: 'silent' }),
      metrics,
      clock: { now: () => clock.now(), epoch: () => clock.epoch() + skewMs, after: (ms, run) => clock.after(ms, run) },
      random: () => 0.5,
    });
    const candidate: Candidate = { election, metrics, journey: QUICK, began: 0, lost: false };
    this.candidates.set(identity, candidate);
    election.start();
    return candidate;
  }

  leaders(): readonly string[] {
    return [...this.candidates].filter(([, { election }]) => election.leading).map(([identity]) => identity);
  }
}

describe('LeaderElection', () => {
  it('makes the first candidate leader and keeps it, by one write every 2 seconds', async () => {
    const all = new Rig();
    const a = all.start('a');
    await all.clock.advance(100);
    const b = all.start('b');
    await all.clock.advance(60_000);
    assert.deepEqual(all.leaders(), ['a']);
    assert.equal((await a.metrics.leader.get()).values[0]?.value, 1);
    assert.equal((await b.metrics.leader.get()).values[0]?.value, 0);
    assert.deepEqual(
      { ...all.server.lease?.spec, renewTime: undefined },
      {
        holderIdentity: 'a',
        leaseDurationSeconds: 15,
        acquireTime: '2030-01-01T00:00:00.007000Z',
        renewTime: undefined,
        leaseTransitions: 0,
      },
    );
    const writes = Number(all.server.lease?.metadata.resourceVersion);
    assert.ok(writes >= 29 && writes <= 31, String(writes));
  });

  /** What the leader's requests meet, or who is written into the Lease instead. */
  const FAULTS: readonly (readonly [name: string, fault: Journey | string])[] = [
    ['its requests are lost', { ...QUICK, lost: 'Request' }],
    ['answers to it are lost', { ...QUICK, lost: 'Answer' }],
    ['its requests hang', { thereMs: 100_000, backMs: 0 }],
    ['answers to it take longer than it may lead', { thereMs: 1, backMs: 11_000 }],
    ['its requests arrive when it may not lead any more', { thereMs: 12_000, backMs: 1 }],
    ['another takes the Lease', 'thief'],
    ['somebody takes its name out', ''],
  ];
  for (const [name, fault] of FAULTS) {
    it(`ends the leader before another leads when ${name}`, async () => {
      const rig = new Rig();
      const leader = rig.start('a');
      await rig.clock.advance(100);
      rig.start('b');
      await rig.clock.advance(30_000);
      if (typeof fault === 'string') rig.server.write(held(rig, fault));
      else leader.journey = fault;
      await rig.clock.advance(60_000);
      assert.equal(leader.lost, true);
      assert.deepEqual(rig.leaders(), ['b']);
      assert.deepEqual(rig.overlaps, []);
      assert.equal(rig.server.lease?.spec?.leaseTransitions, 1);
    });
  }

  it('counts a renewal from when it was sent, whenever its answer comes', async () => {
    for (let offset = 0; offset < 4000; offset += 400) {
      const rig = new Rig();
      const leader = rig.start('a');
      await rig.clock.advance(100 + offset);
      rig.start('b');
      await rig.clock.advance(30_000);
      leader.journey = { thereMs: 1, backMs: 7900 };
      await rig.clock.advance(2100);
      leader.journey = { ...QUICK, lost: 'Request' };
      await rig.clock.advance(30_000);
      assert.deepEqual(rig.leaders(), ['b']);
      assert.deepEqual(rig.overlaps, []);
    }
  });

  it('does not lead on an answer that came too late, but on the next', async () => {
    const rig = new Rig();
    const slow = rig.start('a');
    slow.journey = { thereMs: 1, backMs: 11_000 };
    await rig.clock.advance(22_010);
    assert.equal(slow.election.leading, false);
    assert.equal(slow.began, 0);
    slow.journey = QUICK;
    await rig.clock.advance(15_000);
    assert.equal(slow.election.leading, true);
    assert.equal(slow.lost, false);
  });

  it('does not lead when it was released while its request was on the way, and gives back what that got', async () => {
    const rig = new Rig();
    const candidate = rig.start('a');
    candidate.journey = { thereMs: 10, backMs: 1000 };
    await rig.clock.advance(500);
    assert.equal(rig.server.lease?.spec?.holderIdentity, 'a');
    const released = candidate.election.release();
    await rig.clock.advance(10_000);
    await released;
    assert.equal(candidate.began, 0);
    assert.deepEqual(rig.server.lease?.spec, { leaseTransitions: 0 });
  });

  it('waits for the old leader where somebody deletes the Lease', async () => {
    const rig = new Rig();
    const leader = rig.start('a');
    await rig.clock.advance(100);
    rig.start('b');
    await rig.clock.advance(30_000);
    leader.journey = { ...QUICK, lost: 'Request' };
    rig.server.lease = null;
    await rig.clock.advance(60_000);
    assert.deepEqual(rig.leaders(), ['b']);
    assert.deepEqual(rig.overlaps, []);
  });

  it('makes its Lease again where somebody deletes it', async () => {
    const rig = new Rig();
    const leader = rig.start('a');
    await rig.clock.advance(100);
    rig.start('b');
    await rig.clock.advance(30_000);
    rig.server.lease = null;
    await rig.clock.advance(60_000);
    assert.deepEqual(rig.leaders(), ['a']);
    assert.equal(leader.lost, false);
    assert.deepEqual(rig.overlaps, []);
  });

  it('never believes other clocks: a Lease of the past or the future lasts as long as any', async () => {
    for (const skewMs of [-86_400_000, 86_400_000]) {
      const rig = new Rig();
      const first = rig.start('a', skewMs);
      await rig.clock.advance(100);
      rig.start('b');
      await rig.clock.advance(60_000);
      assert.deepEqual(rig.leaders(), ['a']);
      first.journey = { ...QUICK, lost: 'Request' };
      await rig.clock.advance(30_000);
      assert.deepEqual(rig.leaders(), ['b']);
      assert.deepEqual(rig.overlaps, []);
    }
  });

  it('gives the Lease back: the next leads within seconds', async () => {
    const rig = new Rig();
    const first = rig.start('a');
    await rig.clock.advance(100);
    rig.start('b');
    await rig.clock.advance(10_000);
    const released = first.election.release();
    await rig.clock.advance(20);
    await released;
    assert.deepEqual(rig.server.lease?.spec, { leaseTransitions: 0 });
    await rig.clock.advance(4000);
    assert.deepEqual(rig.leaders(), ['b']);
    assert.equal(first.lost, false);
    assert.deepEqual(rig.overlaps, []);
  });

  it('gives back nothing that it does not hold', async () => {
    const rig = new Rig();
    rig.start('a');
    await rig.clock.advance(100);
    const second = rig.start('b');
    await rig.clock.advance(10_000);
    const released = second.election.release();
    await rig.clock.advance(100);
    await released;
    await rig.clock.advance(60_000);
    assert.deepEqual(rig.leaders(), ['a']);
  });

  it('never has two leaders, and always gets one again, whatever happens to requests and processes', async () => {
    const who = fc.constantFrom('a', 'b', 'c');
    const journey = fc.record({
      thereMs: fc.oneof(fc.nat(50), fc.nat(20_000)),
      backMs: fc.oneof(fc.nat(50), fc.nat(20_000)),
      lost: fc.constantFrom<Journey['lost']>(undefined, undefined, 'Request', 'Answer'),
    });
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(20_000) }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('travel' as const), who, journey }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('heal' as const), who }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), who }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('clear' as const, 'steal' as const), who }) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.integer({ min: -1e9, max: 1e9 }),
        async (steps, skewMs) => {
          const rig = new Rig();
          /** Who stands for each name now: one that ended is started again as another. */
          const current = new Map<string, Candidate>();
          let processes = 0;
          const restart = (name: string): void =>
            void current.set(name, rig.start(`${name}_${++processes}`, name === 'a' ? skewMs : 0));
          for (const name of ['a', 'b', 'c']) restart(name);
          for (const next of steps) {
            if (next.do === 'wait') await rig.clock.advance(next.ms);
            else if (next.do === 'clear' || next.do === 'steal') {
              if (rig.server.lease) rig.server.write(held(rig, next.do === 'clear' ? '' : 'thief'));
            } else {
              const candidate = current.get(next.who) as Candidate;
              if (next.do === 'travel') candidate.journey = next.journey as Journey;
              else if (next.do === 'heal') candidate.journey = QUICK;
              else {
                void candidate.election.release();
                restart(next.who);
              }
            }
            await rig.clock.advance(0);
            for (const [name, candidate] of current) if (candidate.lost) restart(name);
            assert.ok(rig.leaders().length <= 1, rig.leaders().join(' and '));
          }
          for (const candidate of current.values()) candidate.journey = QUICK;
          for (let i = 0; i < 4; i++) {
            await rig.clock.advance(25_000);
            for (const [name, candidate] of current) if (candidate.lost) restart(name);
          }
          assert.deepEqual(rig.overlaps, []);
          assert.equal(rig.leaders().length, 1);
        },
      ),
      RUNS,
    );
  });
});

/** The Lease under another name. */
function held({ server }: Rig, holderIdentity: string): Lease {
  const { lease } = server;
  assert.ok(lease?.spec);
  return { ...lease, spec: { ...lease.spec, holderIdentity } };
}
