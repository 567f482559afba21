import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FrameTracker } from './frame-tracker.ts';

/** A frame as RFC 6455 §5.2 draws it. */
function frame(payload: number, masked: boolean, lengthForm: 7 | 16 | 64): Buffer {
  const mask = masked ? 0x80 : 0;
  let header: Buffer;
  if (lengthForm === 7) header = Buffer.from([0x82, mask | payload]);
  else if (lengthForm === 16) {
    header = Buffer.from([0x82, mask | 126, 0, 0]);
    header.writeUInt16BE(payload, 2);
  } else {
    header = Buffer.from([0x82, mask | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.writeUInt32BE(payload, 6);
  }
  return Buffer.concat([header, Buffer.alloc(masked ? 4 : 0, 1), Buffer.alloc(payload, 0x88)]);
}

describe('FrameTracker', () => {
  const frames: readonly (readonly [name: string, bytes: Buffer])[] = [
    ['empty', frame(0, false, 7)],
    ['empty and masked', frame(0, true, 7)],
    ['125 bytes', frame(125, false, 7)],
    ['126 bytes, 16 bits of length', frame(126, false, 16)],
    ['65535 bytes and masked', frame(65_535, true, 16)],
    ['70000 bytes, 64 bits of length', frame(70_000, false, 64)],
    ['5 bytes in 64 bits of length', frame(5, true, 64)],
  ];
  for (const [name, bytes] of frames) {
    it(`${name}: a boundary at the end and nowhere before`, () => {
      const tracker = new FrameTracker();
      assert.ok(tracker.atBoundary);
      for (let at = 0; at < bytes.length; at++) {
        tracker.push(bytes.subarray(at, at + 1));
        assert.equal(tracker.atBoundary, at === bytes.length - 1, `after ${at + 1} bytes`);
      }
    });
  }

  it('a payload above 4 GiB is counted in full', () => {
    const tracker = new FrameTracker();
    const header = Buffer.from([0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0]); // 2^32
    tracker.push(header);
    const part = Buffer.alloc(2 ** 24);
    for (let i = 0; i < 256; i++) {
      assert.equal(tracker.atBoundary, false, `after ${i} of 256 parts`);
      tracker.push(part);
    }
    assert.equal(tracker.atBoundary, true);
  });

  it('finds the same boundaries however the bytes are split', () => {
    const sizes = fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.boolean()), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(
        sizes,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 200 }),
        (shapes, steps) => {
          const parts = shapes.map(([payload, masked]) => frame(payload, masked, payload < 126 ? 7 : 16));
          const ends = new Set<number>([0]);
          let sum = 0;
          for (const { length } of parts) {
            sum += length;
            ends.add(sum);
          }
          const bytes = Buffer.concat(parts);
          const tracker = new FrameTracker();
          let at = 0;
          for (let i = 0; at < bytes.length; i++) {
            const next = Math.min(bytes.length, at + (steps[i % steps.length] as number));
            tracker.push(bytes.subarray(at, next));
            at = next;
            assert.equal(tracker.atBoundary, ends.has(at));
          }
        },
      ),
      { numRuns: Number(process.env['FC_RUNS'] ?? 1_000) },
    );
  });

  it('with a judge, passes every byte on once, never part of a header, and stops before what is refused', () => {
    const shapes = fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.boolean()), { minLength: 1, maxLength: 6 });
    const steps = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(shapes, steps, fc.integer({ min: 0, max: 8 }), (frames, cuts, refused) => {
        const parts = frames.map(([payload, masked]) => frame(payload, masked, payload < 126 ? 7 : 16));
        const bytes = Buffer.concat(parts);
        const tracker = new FrameTracker();
        const seen: number[] = [];
        const judge = {
          admits: (_opcode: number, _fin: boolean, length: number) => seen.push(length) <= refused,
        };
        const passed: Buffer[] = [];
        let held = Buffer.alloc(0);
        for (let at = 0, i = 0; at < bytes.length && seen.length <= refused; i++) {
          const next = Math.min(bytes.length, at + (cuts[i % cuts.length] as number));
          const data = Buffer.concat([held, bytes.subarray(at, next)]);
          const count = tracker.push(data, judge);
          passed.push(data.subarray(0, count));
          held = data.subarray(count);
          at = next;
          assert.ok(held.length < 14 || seen.length > refused);
        }
        assert.deepEqual(Buffer.concat(passed), Buffer.concat(parts.slice(0, refused)));
        assert.deepEqual(
          seen,
          frames.slice(0, refused + 1).map(([payload]) => payload),
        );
        assert.ok(tracker.atBoundary);
      }),
      { numRuns: Number(process.env['FC_RUNS'] ?? 1_000) },
    );
  });
});
