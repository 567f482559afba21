import type { Logger } from 'pino';
import type { CandidateKind, CandidateMetrics } from '../metrics/candidate-metrics.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Verdict } from './verdict.ts';

/** A slow candidate must not fill the memory: what comes while so many are under way is not tried. */
const MAX_UNDER_WAY = 64;
const MAX_LINES_PER_SECOND = 10;

/** What comparisons are made with. */
export interface ComparisonParts {
  readonly metrics: CandidateMetrics;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** Compares what live policies decided with what candidates would have; counts every request, and says of some what differs. */
export class Comparison {
  readonly #parts: ComparisonParts;
  #underWay = 0;
  #second = 0;
  #lines = 0;

  constructor(parts: ComparisonParts) {
    this.#parts = parts;
  }

  /** Never throws. `live` null: the live policy had nothing to say, and the candidate is not asked. */
  compare(kind: CandidateKind, exchange: Exchange, live: Verdict | null, decide: () => Promise<Verdict>): void {
    const { metrics } = this.#parts;
    if (live === null) metrics.tried(kind, 'not_compared');
    else if (this.#underWay >= MAX_UNDER_WAY) metrics.tried(kind, 'dropped');
    else {
      this.#underWay++;
      void this.#settle(kind, exchange, live, decide).finally(() => this.#underWay--);
    }
  }

  async #settle(kind: CandidateKind, exchange: Exchange, live: Verdict, decide: () => Promise<Verdict>): Promise<void> {
    const { metrics, log } = this.#parts;
    try {
      const candidate = await decide();
      if (candidate.decision === live.decision) metrics.tried(kind, 'same');
      else if (candidate.decision === 'body_not_read' && live.decision === 'allow')
        metrics.tried(kind, 'body_not_read');
      else {
        metrics.tried(kind, 'different');
        metrics.differs(kind, live, candidate);
        if (this.#mayWrite()) log.info({ kind, ...requestOf(exchange), live, candidate }, 'candidate policy differs');
      }
    } catch (error) {
      metrics.tried(kind, 'failed');
      if (this.#mayWrite()) log.warn({ kind, err: error }, 'candidate policy failed');
    }
  }

  #mayWrite(): boolean {
    const second = Math.floor(this.#parts.now() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#lines = 0;
    }
    return ++this.#lines <= MAX_LINES_PER_SECOND;
  }
}

function requestOf({ id, method, host, path, clientAddress, identity }: Exchange) {
  return { requestId: id, method, host, path, client: clientAddress, user: identity?.user ?? null };
}
