/** Far more than anybody logs out in the time that a token lives, and a hundredth of the revocations that a process holds. */
const MOST_TOKENS = 1_000;
const MOST_SUBJECTS = 10_000;

/** Counts access tokens that were revoked one by one, by subject, so that nobody fills up what all processes hold of revocations. */
export class LogoutTally {
  /** In the order in which their windows began. */
  readonly #counts = new Map<string, { count: number; readonly endsAt: number }>();

  /** Counts one more; whether it is too many for the `windowMs` since the first of them. `now`: epoch milliseconds. */
  isOneTooMany(sub: string, windowMs: number, now: number): boolean {
    const known = this.#counts.get(sub);
    if (known !== undefined && now < known.endsAt) return ++known.count > MOST_TOKENS;
    this.#counts.delete(sub);
    this.#counts.set(sub, { count: 1, endsAt: now + windowMs });
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > MOST_SUBJECTS && oldest !== undefined) this.#counts.delete(oldest);
    return false;
  }
}
