/**
 * Follows the boundaries of WebSocket frames (RFC 6455 §5.2) in a byte stream without touching it, so that a close frame of
 * ours is never put into the middle of somebody's message.
 */
export class FrameTracker {
  /** Bytes of the frame header seen so far, at most 14. */
  readonly #header = Buffer.alloc(14);
  #headerLength = 0;
  #payloadLeft = 0;

  /** True between two frames. */
  get atBoundary(): boolean {
    return this.#headerLength === 0 && this.#payloadLeft === 0;
  }

  push(data: Buffer): void {
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
      this.#payloadLeft = this.#payloadLength();
      this.#headerLength = 0;
    }
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
