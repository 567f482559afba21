import { Counter, type Registry } from 'prom-client';

/** Which live policy a candidate stands beside. */
export type CandidateKind = 'access' | 'limits';

/**
 * What became of one comparison. `different`, `same`; `body_not_read`: the same but for a body that the live policy did not read;
 * `not_compared`: something else decided before the live policy could; `dropped`: too many were under way; `failed`: the candidate did.
 */
export type CandidateOutcome = 'same' | 'different' | 'body_not_read' | 'not_compared' | 'dropped' | 'failed';

/** How often candidates were tried, and where they differ from the live policy. */
export class CandidateMetrics {
  readonly #requests: Counter<'kind' | 'outcome'>;
  readonly #differences: Counter<'kind' | 'live_rule' | 'live' | 'candidate_rule' | 'candidate'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#requests = new Counter({
      name: 'portcullis_candidate_requests_total',
      help: 'Requests that a candidate policy was tried on, by its kind and what became of the comparison.',
      labelNames: ['kind', 'outcome'],
      registers,
    });
    this.#differences = new Counter({
      name: 'portcullis_candidate_differences_total',
      help: 'Requests that a candidate policy would decide otherwise than the live one, by the rules (or limits) and the decisions of both.',
      labelNames: ['kind', 'live_rule', 'live', 'candidate_rule', 'candidate'],
      registers,
    });
  }

  tried(kind: CandidateKind, outcome: CandidateOutcome): void {
    this.#requests.inc({ kind, outcome });
  }

  /** The rules are names of the policies', the decisions codes. */
  differs(
    kind: CandidateKind,
    live: { rule: string; decision: string },
    candidate: { rule: string; decision: string },
  ): void {
    this.#differences.inc({
      kind,
      live_rule: live.rule,
      live: live.decision,
      candidate_rule: candidate.rule,
      candidate: candidate.decision,
    });
  }
}
