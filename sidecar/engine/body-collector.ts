import type { BodyRefusal } from '../pipeline/exchange.ts';

/** Bytes of bodies that all requests of a port may hold at one time, so that many of them cannot take all its memory. */
export class BodyBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Takes that much; false when it was not left. */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  give(bytes: number): void {
    this.#left += bytes;
  }
}

/** Collects one request body up to `maxBytes`, as it comes: what a client only announces takes nothing of the budget. */
export class BodyCollector {
  readonly #maxBytes: number;
  readonly #budget: BodyBudget;
  #chunks: Buffer[] = [];
  #length = 0;

  constructor(maxBytes: number, budget: BodyBudget) {
    this.#maxBytes = maxBytes;
    this.#budget = budget;
  }

  /** Keeps a copy of `data`, and says whether it was one too many: who forwards it all the same has lost nothing. */
  push(data: Buffer): BodyRefusal | null {
    this.#length += data.length;
    // A view would keep the whole of what was read with it.
    this.#chunks.push(Buffer.from(data));
    if (!this.#budget.take(data.length)) return 'overloaded';
    return this.#length > this.#maxBytes ? 'body_too_large' : null;
  }

  /** All that came so far. It counts against the budget until `release`. */
  get body(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks, this.#length)];
    return this.#chunks[0] as Buffer;
  }

  /** Gives the room back. */
  release(): void {
    this.#budget.give(this.#length);
    this.#length = 0;
    this.#chunks = [];
  }
}
