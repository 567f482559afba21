import { createHash } from 'node:crypto';

/** Entries that a process holds when nothing else is said. */
export const DEFAULT_MAX_REVOCATIONS = 100_000;

const MAX_ID_LENGTH = 128;
const PRUNE_MS = 60_000;

/** One revocation; `notBefore` null: of a token by its jti, else of the tokens of a subject issued before. Epoch milliseconds. */
export interface Revocation {
  /** As `revocationId` gives it. */
  readonly id: string;
  readonly until: number;
  readonly notBefore: number | null;
}

interface Subject {
  readonly notBefore: number;
  readonly until: number;
}

/** A jti or sub as it is stored: itself, or when it is long its SHA-256, so that a bound in entries is one in bytes. */
export function revocationId(claim: string): string {
  return claim.length <= MAX_ID_LENGTH ? claim : `\0${createHash('sha256').update(claim).digest('base64url')}`;
}

/**
 * Revocations in memory, bounded. Ended ones are dropped now and then; when the view is full a new one is not kept,
 * `overflowed` says so until `forgetOverflow`, and from then on what is not found is not known.
 */
export class RevocationView {
  readonly #max: number;
  readonly #tokens = new Map<string, number>();
  readonly #subjects = new Map<string, Subject>();
  #prunedAt = 0;
  #overflowed = false;

  constructor(max = DEFAULT_MAX_REVOCATIONS) {
    this.#max = max;
  }

  get size(): number {
    return this.#tokens.size + this.#subjects.size;
  }

  get overflowed(): boolean {
    return this.#overflowed;
  }

  add({ id, until, notBefore }: Revocation, now: number): void {
    if (until <= now) return;
    this.prune(now);
    const known = notBefore === null ? this.#tokens.has(id) : this.#subjects.has(id);
    if (!known && this.size >= this.#max) {
      this.#overflowed = true;
      return;
    }
    if (notBefore === null) {
      this.#tokens.set(id, Math.max(until, this.#tokens.get(id) ?? 0));
    } else {
      const before = this.#subjects.get(id) ?? { notBefore, until };
      this.#subjects.set(id, {
        notBefore: Math.max(notBefore, before.notBefore),
        until: Math.max(until, before.until),
      });
    }
  }

  isRevoked(jti: string | null, sub: string | null, iatMs: number): boolean {
    if (jti !== null && this.#tokens.size > 0 && this.#tokens.has(revocationId(jti))) return true;
    if (sub === null || this.#subjects.size === 0) return false;
    const subject = this.#subjects.get(revocationId(sub));
    return subject !== undefined && iatMs < subject.notBefore;
  }

  /** Whether this view says all that `revocation` says. */
  covers({ id, until, notBefore }: Revocation): boolean {
    if (notBefore === null) return (this.#tokens.get(id) ?? 0) >= until;
    const subject = this.#subjects.get(id);
    return subject !== undefined && subject.notBefore >= notBefore && subject.until >= until;
  }

  *entries(): Generator<Revocation> {
    for (const [id, until] of this.#tokens) yield { id, until, notBefore: null };
    for (const [id, { until, notBefore }] of this.#subjects) yield { id, until, notBefore };
  }

  /** Drops what has ended; looks at most once a minute, since it looks at all. True when that made room in a view that had overflowed. */
  prune(now: number): boolean {
    if (Math.abs(now - this.#prunedAt) < PRUNE_MS) return false;
    this.#prunedAt = now;
    for (const [id, until] of this.#tokens) if (until <= now) this.#tokens.delete(id);
    for (const [id, { until }] of this.#subjects) if (until <= now) this.#subjects.delete(id);
    return this.#overflowed && this.size < this.#max;
  }

  /** The caller is about to add again what did not fit. */
  forgetOverflow(): void {
    this.#overflowed = false;
  }
}
