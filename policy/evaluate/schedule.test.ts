import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileSchedule, type ScheduleConfig } from './schedule.ts';

const NEW_YORK: ScheduleConfig = {
  timezone: 'America/New_York',
  open: ['Mon-Fri 09:30-16:00'],
  closed: ['2026-12-25'],
};

function schedule(config: Partial<ScheduleConfig>) {
  const compiled = compileSchedule({ ...NEW_YORK, ...config });
  assert(compiled.ok, JSON.stringify(compiled));
  return (instant: string): boolean => compiled.value(Date.parse(instant));
}

const cases: readonly [name: string, config: Partial<ScheduleConfig>, instant: string, open: boolean][] = [
  ['opens on the minute', {}, '2026-11-20T09:30:00-05:00', true],
  ['a moment before', {}, '2026-11-20T09:29:59.999-05:00', false],
  ['closes on the minute', {}, '2026-11-20T16:00:00-05:00', false],
  ['a moment before it closes', {}, '2026-11-20T15:59:59.999-05:00', true],
  ['on Saturday', {}, '2026-11-21T12:00:00-05:00', false],
  ['on a holiday', {}, '2026-12-25T12:00:00-05:00', false],
  ['on the same date elsewhere, which is the day before there', {}, '2026-12-25T00:30:00+09:00', true],
  ['in summer, by the local clock', {}, '2026-07-01T13:30:00Z', true],
  ['in winter, by the local clock', {}, '2026-01-05T13:30:00Z', false],
  ['on the day the clock is put forward', {}, '2026-03-09T13:30:00Z', true],
  ['around the clock', { open: ['Sun-Sat 00:00-24:00'], closed: [] }, '2026-03-08T06:59:00Z', true],
  ['past midnight, begun the day before', { open: ['Sun-Thu 18:00-17:00'] }, '2026-11-20T16:59:00-05:00', true],
  ['past midnight, begun on a holiday', { open: ['Fri 22:00-06:00'] }, '2026-12-26T01:00:00-05:00', false],
  ['past midnight, into a holiday', { open: ['Thu 22:00-06:00'] }, '2026-12-25T01:00:00-05:00', true],
  ['a week that goes over its end', { open: ['Sat-Mon 10:00-11:00'] }, '2026-11-22T10:30:00-05:00', true],
  ['two windows, the second', { open: ['Mon 08:00-09:00', 'Tue,Thu 10:00-11:00'] }, '2026-11-19T10:30:00-05:00', true],
  ['a zone of quarter hours', { timezone: 'Asia/Kathmandu', open: ['Fri 09:30-09:45'] }, '2026-11-20T03:45:00Z', true],
  ['nothing open', { open: [] }, '2026-11-20T12:00:00-05:00', false],
];

for (const [name, config, instant, open] of cases) {
  test(`${name}: ${open ? 'open' : 'closed'}`, () => assert.equal(schedule(config)(instant), open));
}

const broken: readonly [config: Partial<ScheduleConfig>, message: RegExp][] = [
  [{ timezone: 'New York' }, /"New York" is no time zone; write an IANA name/],
  [{ open: ['Mon-Fri 9:30-16:00'] }, /"Mon-Fri 9:30-16:00": write days and hours/],
  [{ open: ['Mon-Fri 09:30-24:01'] }, /write days and hours/],
  [{ open: ['Mon-Fri 24:00-09:00'] }, /write days and hours/],
  [{ open: ['Mon 10:00-10:00'] }, /write days and hours/],
  [{ open: ['Mon-Wed-Fri 10:00-11:00'] }, /write days and hours/],
  [{ open: ['Mo 10:00-11:00'] }, /write days and hours/],
  [{ open: ['Xyz 10:00-11:00'] }, /write days and hours/],
  [{ open: ['Mon 10:60-11:00'] }, /write days and hours/],
  [{ closed: ['2026-02-29'] }, /"2026-02-29" is no date/],
  [{ closed: ['25.12.2026'] }, /is no date/],
];

for (const [config, message] of broken) {
  test(`refuses ${JSON.stringify(config)}`, () => {
    const compiled = compileSchedule({ ...NEW_YORK, ...config });
    assert(!compiled.ok);
    assert.match(compiled.message, message);
  });
}

test('what is remembered of a minute is what a new schedule says', () => {
  const kept = compileSchedule(NEW_YORK);
  assert(kept.ok);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), (now) => {
      const fresh = compileSchedule(NEW_YORK);
      const laterInTheMinute = Math.floor(now / 60_000) * 60_000 + 59_999;
      return (
        fresh.ok &&
        kept.value(now) === fresh.value(laterInTheMinute) &&
        kept.value(laterInTheMinute) === kept.value(now)
      );
    }),
    { numRuns: 200 },
  );
});
