/** Waits that somebody else can end, those to come too. One at a time. */
export class Nap {
  #wake: (() => void) | null = null;
  #over = false;

  /** Resolves after `ms` milliseconds, or when `end` is called; at once when it was. */
  take(ms: number): Promise<void> {
    if (this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  end(): void {
    this.#over = true;
    this.#wake?.();
  }
}
