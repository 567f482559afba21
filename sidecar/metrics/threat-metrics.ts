import { Counter, type Registry } from 'prom-client';
import {
  SECURITY_EVENTS,
  type SecurityEvent,
  type Severity,
  SUSPICIONS,
  type Suspicion,
} from '../threats/event-catalogue.ts';

/** Counts security events and suspicious requests, under the names of docs/metrics.md. */
export class ThreatMetrics {
  readonly #events: Counter<'event_type' | 'severity'>;
  readonly #suspicious: Counter<'kind'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#events = new Counter({
      name: 'portcullis_security_events_total',
      help: 'Security events by type and severity; docs/events.md says when each is told.',
      labelNames: ['event_type', 'severity'],
      registers,
    });
    this.#suspicious = new Counter({
      name: 'portcullis_suspicious_requests_total',
      help: 'Requests that look like an attack, by kind; docs/events.md says what each means.',
      labelNames: ['kind'],
      registers,
    });
    // From 0 on, so that `increase` sees the first of each, too.
    for (const event of Object.keys(SECURITY_EVENTS) as SecurityEvent[]) {
      this.#events.inc({ event_type: event, severity: SECURITY_EVENTS[event] }, 0);
    }
    for (const kind of SUSPICIONS) this.#suspicious.inc({ kind }, 0);
  }

  event(event_type: SecurityEvent, severity: Severity): void {
    this.#events.inc({ event_type, severity });
  }

  suspicious(kind: Suspicion): void {
    this.#suspicious.inc({ kind });
  }
}
