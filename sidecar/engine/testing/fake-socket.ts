import { Socket } from 'node:net';

/** For tests: a socket without a network. What is fed in comes out as 'data' events, at once unless it is paused. */
export class FakeSocket extends Socket {
  /** What was written, one character a byte. */
  written = '';
  /** FIN was sent. */
  ended = false;
  /** The peer has seen RST. */
  wasReset = false;
  #paused = false;
  #fed: Buffer[] = [];

  constructor(remoteAddress = '192.0.2.1') {
    super();
    Object.defineProperty(this, 'remoteAddress', { value: remoteAddress });
  }

  /** Delivers bytes from the peer. */
  feed(bytes: Buffer): void {
    if (this.#paused) this.#fed.push(bytes);
    else if (!this.destroyed) this.emit('data', bytes);
  }

  /** Delivers the peer's FIN. */
  feedEnd(): void {
    if (!this.destroyed) this.emit('end');
  }

  override write(data: string | Uint8Array): boolean {
    this.written += typeof data === 'string' ? data : Buffer.from(data).toString('latin1');
    return true;
  }

  override end(last?: unknown): this {
    if (typeof last === 'string' || last instanceof Uint8Array) this.write(last);
    this.ended = true;
    if (typeof last === 'function') last();
    return this;
  }

  override pause(): this {
    this.#paused = true;
    return this;
  }

  override isPaused(): boolean {
    return this.#paused;
  }

  override resume(): this {
    this.#paused = false;
    process.nextTick(() => {
      const fed = this.#fed;
      this.#fed = [];
      for (const bytes of fed) this.feed(bytes);
    });
    return this;
  }

  override resetAndDestroy(): this {
    this.wasReset = true;
    return this.destroy();
  }

  override destroySoon(): void {
    this.destroy();
  }
}
