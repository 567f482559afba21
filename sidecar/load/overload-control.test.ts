import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OverloadControl } from './overload-control.ts';

/** Observes the same sequence of latenesses again and again, one each 25 ms, with so many requests in between. */
function after(ms: number, lateness: readonly number[], requests = 10): OverloadControl {
  const control = new OverloadControl();
  for (let now = 25, i = 0; now <= ms; now += 25, i++) {
    for (let request = 0; request < requests; request++) control.admits();
    control.observe(lateness[i % lateness.length] as number, now);
  }
  return control;
}

describe('OverloadControl', () => {
  const cases: readonly (readonly [name: string, control: OverloadControl, part: number])[] = [
    ['on time', after(10_000, [0, 1, 2]), 1],
    ['one long pause now and then', after(10_000, [300, ...Array<number>(19).fill(0)]), 1],
    ['late all the time, not too late', after(10_000, [95, 100]), 1],
    ['too late, but not for long enough', after(475, [200]), 1],
    ['too late with few requests: it is not they', after(10_000, [900], 4), 1],
    ['too late for a window: by as much as it is too late', after(500, [120, 200]), 100 / 120],
    ['far too late: by half', after(500, [900]), 0.5],
    ['for ever: something is let in always', after(10_000, [900]), 0.05],
  ];
  for (const [name, control, part] of cases) {
    it(`${name}: ${part.toFixed(2)}`, () => assert.equal(control.part, part));
  }

  it('lets in more again once the queue is gone, up to all', () => {
    const control = after(10_000, [900]);
    let before = control.part;
    for (let now = 10_500; control.part < 1; now += 500) {
      control.observe(0, now);
      assert.ok(control.part > before);
      before = control.part;
      assert.ok(now < 40_000);
    }
    assert.ok(control.admits() && control.admits());
  });

  it('holds between half the target and the target', () => {
    const control = after(1_000, [900]);
    for (let now = 1_025; now < 9_000; now += 25) {
      for (let request = 0; request < 10; request++) control.admits();
      control.observe(80, now);
    }
    assert.equal(control.part, 0.25);
  });

  it('lets in its part, evenly', () => {
    const control = after(1_000, [900]); // a quarter
    const admitted = Array.from({ length: 40 }, () => control.admits());
    assert.equal(admitted.filter(Boolean).length, 10);
    assert.ok(!admitted.join().includes('true,true'));
  });

  it('comes to rest where the load fits: a queue that is twice too long ends near half', () => {
    const control = new OverloadControl();
    let waiting = 0;
    const admitted: number[] = [];
    // Each 25 ms the loop can serve 25 requests of 1 ms, 50 come, and what waits makes it late.
    for (let now = 25; now < 40_000; now += 25) {
      for (let i = 0; i < 50; i++) if (control.admits()) waiting++;
      waiting = Math.max(0, waiting - 25);
      control.observe(waiting, now);
      if (now > 20_000) admitted.push(control.part);
    }
    const mean = admitted.reduce((sum, part) => sum + part, 0) / admitted.length;
    assert.ok(mean > 0.3 && mean < 0.6, `${mean}`);
  });
});
