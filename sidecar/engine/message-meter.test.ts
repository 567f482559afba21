import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type MessageLimits, MessageMeter } from './message-meter.ts';

/** Opcode, whether it is the last of its message, bytes of payload. */
type Frame = readonly [opcode: number, fin: boolean, length: number];
const TEXT = 1;
const BINARY = 2;
const MORE = 0;
const PING = 9;

describe('MessageMeter', () => {
  const limits: MessageLimits = { messagesPerSecond: 3, maxMessageBytes: 1_000 };
  const cases: readonly (readonly [name: string, frames: readonly Frame[], refused: string | null])[] = [
    ['the largest message', [[TEXT, true, 1_000]], null],
    ['one byte more', [[TEXT, true, 1_001]], 'message_too_big'],
    [
      'fragments that are too much together',
      [
        [BINARY, false, 600],
        [MORE, true, 401],
      ],
      'message_too_big',
    ],
    [
      'fragments that are just not',
      [
        [BINARY, false, 600],
        [MORE, true, 400],
      ],
      null,
    ],
    [
      'two messages that would be too much together',
      [
        [TEXT, true, 600],
        [TEXT, true, 600],
      ],
      null,
    ],
    [
      'a ping between fragments adds nothing',
      [
        [TEXT, false, 600],
        [PING, true, 125],
        [MORE, true, 400],
      ],
      null,
    ],
    ['a control frame that pretends', [[PING, true, 126]], 'message_too_big'],
    ['2^53 bytes', [[TEXT, true, 2 ** 53]], 'message_too_big'],
    [
      'three messages at once',
      [
        [TEXT, true, 1],
        [TEXT, true, 1],
        [TEXT, true, 1],
      ],
      null,
    ],
    [
      'a fourth',
      [
        [TEXT, true, 1],
        [TEXT, true, 1],
        [TEXT, true, 1],
        [TEXT, true, 1],
      ],
      'too_many_messages',
    ],
    [
      'a hundred fragments are one message',
      [[TEXT, false, 1], ...Array<Frame>(99).fill([MORE, false, 1]), [MORE, true, 0]],
      null,
    ],
    [
      'control frames count',
      [
        [PING, true, 0],
        [PING, true, 0],
        [PING, true, 0],
        [PING, true, 0],
      ],
      'too_many_messages',
    ],
    [
      'empty fragments count',
      [
        [TEXT, false, 1],
        [MORE, false, 0],
        [MORE, false, 0],
        [MORE, false, 0],
      ],
      'too_many_messages',
    ],
  ];
  for (const [name, frames, refused] of cases) {
    it(`${name}: ${refused ?? 'passes'}`, () => {
      const meter = new MessageMeter(limits);
      const admitted = frames.map(([opcode, fin, length]) => meter.admits(opcode, fin, length, 1_000));
      assert.deepEqual(admitted, [...Array<boolean>(frames.length - 1).fill(true), refused === null]);
      assert.equal(meter.refusal, refused);

      const shadow = new MessageMeter(limits, true);
      assert.ok(frames.every(([opcode, fin, length]) => shadow.admits(opcode, fin, length, 1_000)));
      assert.equal(shadow.refusal, refused, 'in Shadow it is only said');
    });
  }

  it('never admits more than the rate and the rate times the time, and all of a steady rate', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 200 }),
        (rate, waits) => {
          const meter = new MessageMeter({ messagesPerSecond: rate });
          const admitted: number[] = [];
          let now = 5_000;
          for (const wait of waits) {
            now += wait;
            if (meter.admits(TEXT, true, 1, now)) admitted.push(now);
          }
          for (const [i, from] of admitted.entries()) {
            for (const [j, to] of admitted.entries()) {
              if (j >= i) assert.ok(j - i + 1 <= rate + (rate * (to - from)) / 1_000 + 1e-6);
            }
          }
          const steady = new MessageMeter({ messagesPerSecond: rate });
          for (let i = 0; i < 100; i++) assert.ok(steady.admits(TEXT, true, 1, 1_000 + (i * 1_000) / rate));
        },
      ),
    );
  });
});
