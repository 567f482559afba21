import { isIPv4, isIPv6 } from 'node:net';

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const TIME = /^([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/;
const DURATION = /^P(?!$)(\d+Y)?(\d+M)?(\d+D)?(T(?!$)(\d+H)?(\d+M)?(\d+S)?)?$|^P\d+W$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;
const LOCAL_PART = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}){0,31}$/i;
const URI = /^[a-z][a-z0-9+.-]*:[!#$&-;=?-Z[\]_a-z~%]+$/i;
const BAD_PERCENT = /%(?![0-9a-f]{2})/i;

/**
 * The values of `format` that are checked, by name (JSON Schema validation 2020-12 §7.3). Each takes time linear in the text, of
 * which no more than 8,192 characters are looked at: longer texts have no format.
 */
export const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  date: isDate,
  time: (text) => TIME.test(text),
  'date-time': isDateTime,
  duration: (text) => text.length <= 64 && DURATION.test(text),
  email: isEmail,
  hostname: isHostname,
  ipv4: isIPv4,
  ipv6: (text) => isIPv6(text) && !text.includes('%'),
  uri: (text) => text.length <= 8192 && URI.test(text) && !BAD_PERCENT.test(text) && URL.canParse(text),
  uuid: (text) => text.length === 36 && UUID.test(text),
};

/** RFC 3339 §5.6 full-date, the day within its month. */
function isDate(text: string): boolean {
  const match = text.length === 10 ? DATE.exec(text) : null;
  if (match === null) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const last = month === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31;
  return month >= 1 && month <= 12 && day >= 1 && day <= last;
}

/** RFC 3339 §5.6 date-time. */
function isDateTime(text: string): boolean {
  return text.length <= 35 && /^[Tt]$/.test(text.charAt(10)) && isDate(text.slice(0, 10)) && TIME.test(text.slice(11));
}

/** RFC 5321 §4.1.2 Mailbox with a Dot-string and a domain name. */
function isEmail(text: string): boolean {
  const at = text.lastIndexOf('@');
  return at > 0 && at <= 64 && LOCAL_PART.test(text.slice(0, at)) && isHostname(text.slice(at + 1));
}

/** RFC 1123 §2.1. */
function isHostname(text: string): boolean {
  return text.length <= 253 && text.split('.').every((label) => LABEL.test(label));
}
