import type { LimitsBundle } from '../../policy/bundle/types.ts';
import type { Offence, Reason } from '../stores/blocks.ts';
import type { SecurityEvent } from './event-catalogue.ts';
import type { SecurityLog } from './security-log.ts';

/** The offences that a policy names. */
export type Offences = Readonly<Record<Reason, Offence | null>>;

const EVENTS: Readonly<Record<Reason, SecurityEvent>> = {
  penalties: 'rate_limit_penalty',
  bruteForce: 'multiple_failed_logins',
  scanning: 'suspicious_api_usage',
  abuse: 'suspicious_api_usage',
  exfiltration: 'data_exfiltration_attempt',
};

/** Compiles `penalties` and `threats`; `now`: epoch milliseconds. */
export function compileOffences(bundle: LimitsBundle, log: SecurityLog, now: () => number): Offences {
  const { namespace, name, penalties, threats = {} } = bundle;
  const { bruteForce, scanning, abuse, exfiltration } = threats;

  const offence = (
    reason: Reason,
    measure: Offence['measure'],
    threshold: number,
    windowMs: number,
    blockMs: number,
    { multiplier, maxMs } = { multiplier: 1, maxMs: blockMs },
  ): Offence => ({
    reason,
    measure,
    threshold,
    windowMs,
    blockMs,
    multiplier,
    maxMs,
    frequent: reason === 'abuse' || reason === 'exfiltration',
    onMeasure: (subject, measureMs) => {
      const seconds = Math.round(measureMs / 1000);
      log(EVENTS[reason], now(), { subject, reason, measure, seconds, policy: `${namespace}/${name}` });
    },
  });

  return {
    penalties: penalties
      ? offence('penalties', 'Block', penalties.after, penalties.withinMs, penalties.blockMs, penalties)
      : null,
    bruteForce: bruteForce
      ? offence('bruteForce', 'Block', bruteForce.failures, bruteForce.withinMs, bruteForce.blockMs)
      : null,
    scanning: scanning ? offence('scanning', 'Block', scanning.count, scanning.withinMs, scanning.blockMs) : null,
    abuse: abuse ? offence('abuse', 'Throttle', abuse.requests, abuse.withinMs, abuse.forMs) : null,
    exfiltration: exfiltration ? offence('exfiltration', 'Tell', exfiltration.bytes, exfiltration.withinMs, 0) : null,
  };
}
