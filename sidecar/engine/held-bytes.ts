const EMPTY = Buffer.alloc(0);

/** Bytes that wait for their turn: half a head, a paused body, pipelined requests. */
export class HeldBytes {
  #buffer: Buffer = EMPTY;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What is held, still held. */
  get view(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  add(data: Buffer): void {
    // As it is: behind each request of a long pipeline waits nearly all of it, and copying that would cost its square.
    if (this.#length === 0) {
      this.#buffer = data;
      this.#length = data.length;
      return;
    }
    // Doubling: a client that drips costs no quadratic copying either.
    const needed = this.#length + data.length;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(1024, needed, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    data.copy(this.#buffer, this.#length);
    this.#length = needed;
  }

  /** Takes everything; parts of it may go on to wait in a socket's queue, so the buffer is given away. */
  take(): Buffer {
    const held = this.view;
    this.clear();
    return held;
  }

  clear(): void {
    this.#buffer = EMPTY;
    this.#length = 0;
  }
}
