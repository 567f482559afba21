import Type from 'typebox';
import { setOf, text } from './field.ts';

/** When a rule lets requests in; compiling its days, hours and dates is the compiler's work. */
export const ruleSchedule = Type.Object(
  {
    timezone: text({ description: 'IANA name, such as America/New_York.', maxLength: 64, default: 'UTC' }),
    open: setOf(text({ description: 'Days and hours.', maxLength: 64 }), {
      description:
        'Days and hours, such as Mon-Fri 09:30-16:00 or Sat,Sun 00:00-24:00. Sun-Thu 18:00-17:00 ends on the next day.',
      minItems: 1,
      maxItems: 16,
    }),
    closed: setOf(text({ description: 'A date.', maxLength: 10 }), {
      description: 'Dates, such as 2026-12-25, on which nothing opens; what opened the day before still ends on them.',
      maxItems: 64,
      default: [],
    }),
  },
  {
    description: 'Lets in only requests that arrive while it is open, by the clock of its time zone.',
    defaultText: 'always',
  },
);
