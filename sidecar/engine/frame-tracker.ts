/** Is asked about each frame before any byte of it goes on. */
export interface FrameJudge {
  /** Whether a frame may pass. `length`: bytes of its payload; `now`: as `push` was told. */
  admits(opcode: number, fin: boolean, length: number, now: number): boolean;
}

const OPCODE_CLOSE = 8;

/**
 * Follows the boundaries of WebSocket frames (RFC 6455 §5.2) in a byte stream without touching it, so that a close frame of
 * ours is never put into the middle of somebody's message, and frames can be counted.
 */
export class FrameTracker {
  /** Bytes of the frame header seen so far, at most 14. */
  readonly #header = Buffer.alloc(14);
  #headerLength = 0;
  #payloadLeft = 0;
  #closed = false;

  /** True between two frames. */
  get atBoundary(): boolean {
    return this.#headerLength === 0 && this.#payloadLeft === 0;
  }

  /** A Close frame has begun: after it nothing more may be sent (§5.5.1). */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Reads the next bytes and returns how many of them may go on. Without a judge that is all. With one, they end before the first frame
   * that it refused, or before a header that is not complete: what is left of `data` must then be pushed again, with more behind it.
   */
  push(data: Buffer, judge: FrameJudge | null = null, now = 0): number {
    let at = 0;
    while (at < data.length) {
      if (this.#payloadLeft > 0) {
        const take = Math.min(this.#payloadLeft, data.length - at);
        this.#payloadLeft -= take;
        at += take;
        continue;
      }
      this.#header[this.#headerLength++] = data[at++] as number;
      const length = this.#neededHeader();
      if (this.#headerLength < length) continue;
      const payload = this.#payloadLength();
      this.#headerLength = 0;
      const first = this.#header[0] as number;
      if (judge?.admits(first & 0x0f, first >= 0x80, payload, now) === false) return at - length;
      this.#payloadLeft = payload;
      if ((first & 0x0f) === OPCODE_CLOSE) this.#closed = true;
    }
    if (judge === null) return at;
    const incomplete = this.#headerLength;
    this.#headerLength = 0;
    return at - incomplete;
  }

  #neededHeader(): number {
    if (this.#headerLength < 2) return 2;
    const second = this.#header[1] as number;
    const short = second & 0x7f;
    return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + ((second & 0x80) === 0 ? 0 : 4);
  }

  #payloadLength(): number {
    const short = (this.#header[1] as number) & 0x7f;
    if (short < 126) return short;
    if (short === 126) return this.#header.readUInt16BE(2);
    return this.#header.readUInt32BE(2) * 2 ** 32 + this.#header.readUInt32BE(6);
  }
}
