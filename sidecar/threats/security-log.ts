import type { LogSink } from '../../runtime/log.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import { SECURITY_EVENTS, type SecurityEvent, type Severity } from './event-catalogue.ts';

/** pino's levels. */
const LEVELS: Readonly<Record<Severity, number>> = { info: 30, warning: 40, critical: 50 };

/** What an event tells besides its type: nothing secret. */
export type EventFields = Readonly<Record<string, string | number | boolean>>;

/** Tells security events: a counter and a line of the log with `type: security_event`. */
export type SecurityLog = (event: SecurityEvent, now: number, fields: EventFields) => void;

/** A SecurityLog; `shadow`: the policy decides and changes no answer, and the lines say so. */
export function securityLog(sink: LogSink, metrics: PolicyMetrics, shadow: boolean): SecurityLog {
  return (event, now, fields) => {
    const severity = SECURITY_EVENTS[event];
    metrics.securityEvent(event, severity);
    const line = {
      level: LEVELS[severity],
      time: Math.round(now),
      msg: 'security event',
      type: 'security_event',
      event_type: event,
      severity,
      ...fields,
      ...(shadow && { shadow }),
    };
    sink.write(`${JSON.stringify(line)}\n`);
  };
}
