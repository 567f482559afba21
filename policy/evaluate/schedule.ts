import type { ParseResult } from './parse-result.ts';

/** When a rule lets requests in, as a policy writes it. */
export interface ScheduleConfig {
  /** IANA name, such as America/New_York. */
  readonly timezone: string;
  /** `Mon-Fri 09:30-16:00`: days, then from when and until just before when; past midnight belongs to the day it began on. */
  readonly open: readonly string[];
  /** Local dates, `2026-12-25`, on which nothing opens. */
  readonly closed: readonly string[];
}

/** Whether it is open at epoch milliseconds. */
export type Schedule = (now: number) => boolean;

/** One window on one or more days; minutes of the day, `until` above a day's when it ends on the next. */
interface OpeningWindow {
  readonly days: ReadonlySet<number>;
  readonly from: number;
  readonly until: number;
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const DAY_MINUTES = 24 * 60;
const DAY_MS = 86_400_000;
const WINDOW = /^([A-Z][a-z]{2}(?:[,-][A-Z][a-z]{2})*) (\d{2}):(\d{2})-(\d{2}):(\d{2})$/;
const WINDOW_HINT = 'write days and hours such as Mon-Fri 09:30-16:00, Sat,Sun 00:00-24:00 or Sun-Thu 18:00-17:00';

/** Compiles a schedule. What is asked within one minute is worked out once: offsets of zones are whole minutes. */
export function compileSchedule({ timezone, open, closed }: ScheduleConfig): ParseResult<Schedule> {
  const local = localClock(timezone);
  if (local === null) {
    return { ok: false, message: `"${timezone}" is no time zone; write an IANA name such as America/New_York or UTC` };
  }
  const windows: OpeningWindow[] = [];
  for (const text of open) {
    const window = parseWindow(text);
    if (window === null) return { ok: false, message: `"${text}": ${WINDOW_HINT}` };
    windows.push(window);
  }
  for (const date of closed) {
    if (!isDate(date)) return { ok: false, message: `"${date}" is no date; write one such as 2026-12-25` };
  }
  const holidays = new Set(closed);
  let minute = Number.NaN;
  let isOpen = false;
  return {
    ok: true,
    value: (now) => {
      const asked = Math.floor(now / 60_000);
      if (asked !== minute) {
        minute = asked;
        isOpen = opens(local(now), windows, holidays);
      }
      return isOpen;
    },
  };
}

/** A wall clock: the day as a count of days, and the minute of the day. */
interface LocalTime {
  readonly day: number;
  readonly minute: number;
}

function opens({ day, minute }: LocalTime, windows: readonly OpeningWindow[], holidays: ReadonlySet<string>): boolean {
  return windows.some(
    ({ days, from, until }) =>
      (minute >= from && minute < until && beginsOn(day, days, holidays)) ||
      (minute + DAY_MINUTES < until && beginsOn(day - 1, days, holidays)),
  );
}

function beginsOn(day: number, days: ReadonlySet<number>, holidays: ReadonlySet<string>): boolean {
  const date = new Date(day * DAY_MS);
  return days.has(date.getUTCDay()) && !holidays.has(date.toISOString().slice(0, 10));
}

function localClock(timeZone: string): ((now: number) => LocalTime) | null {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    });
  } catch {
    return null;
  }
  return (now) => {
    const parts: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
    for (const { type, value } of format.formatToParts(now)) parts[type] = Number(value);
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0 } = parts;
    return { day: Date.UTC(year, month - 1, day) / DAY_MS, minute: hour * 60 + minute };
  };
}

function parseWindow(text: string): OpeningWindow | null {
  const [, dayList = '', ...clock] = WINDOW.exec(text) ?? [];
  const [fromHour = 99, fromMinute = 99, untilHour = 99, untilMinute = 99] = clock.map(Number);
  const from = fromHour * 60 + fromMinute;
  const until = untilHour * 60 + untilMinute;
  if (fromMinute > 59 || untilMinute > 59 || from >= DAY_MINUTES || until > DAY_MINUTES || from === until) return null;
  const days = parseDays(dayList);
  return days && { days, from, until: until > from ? until : until + DAY_MINUTES };
}

function parseDays(list: string): ReadonlySet<number> | null {
  const days = new Set<number>();
  for (const range of list.split(',')) {
    const [first = -1, last = first, ...more] = range.split('-').map((name) => DAYS.indexOf(name));
    if (first < 0 || last < 0 || more.length > 0) return null;
    for (let day = first; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === last) break;
    }
  }
  return days;
}

function isDate(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const time = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}
