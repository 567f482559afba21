const SLOTS = 10;

/** Outcomes of the last `lengthMs` in ten slots: one counts for at least nine tenths of it and at most for all of it. */
export class OutcomeWindow {
  readonly #slotMs: number;
  readonly #totals = new Float64Array(SLOTS);
  readonly #failed = new Float64Array(SLOTS);
  /** Number of the newest slot since time 0. */
  #newest = 0;
  #total = 0;
  #failures = 0;

  constructor(lengthMs: number) {
    this.#slotMs = lengthMs / SLOTS;
  }

  /** Outcomes in the window, as of the last `add`. */
  get total(): number {
    return this.#total;
  }

  get failures(): number {
    return this.#failures;
  }

  /** `now` in milliseconds; one that steps back counts in the newest slot. */
  add(failed: boolean, now: number): void {
    const slot = Math.max(this.#newest, Math.floor(now / this.#slotMs));
    if (slot - this.#newest >= SLOTS) this.clear();
    else for (let passed = this.#newest + 1; passed <= slot; passed++) this.#drop(passed % SLOTS);
    this.#newest = slot;
    const at = slot % SLOTS;
    this.#totals[at] = (this.#totals[at] as number) + 1;
    this.#total++;
    if (!failed) return;
    this.#failed[at] = (this.#failed[at] as number) + 1;
    this.#failures++;
  }

  clear(): void {
    this.#totals.fill(0);
    this.#failed.fill(0);
    this.#total = 0;
    this.#failures = 0;
  }

  #drop(at: number): void {
    this.#total -= this.#totals[at] as number;
    this.#failures -= this.#failed[at] as number;
    this.#totals[at] = 0;
    this.#failed[at] = 0;
  }
}
