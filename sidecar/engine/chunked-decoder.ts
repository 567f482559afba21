const MAX_LINE = 4096;
const CR = 13;
const LF = 10;

/** Where decoded bytes go. */
export interface ChunkSink {
  onChunk(data: Buffer): void;
}

/**
 * Decodes the chunked transfer coding (RFC 9112 §7.1), strictly: every line ends in CRLF, sizes are
 * 1 to 8 hex digits, extensions and trailers are dropped. Holds at most 4 KiB between calls.
 */
export class ChunkedDecoder {
  #state: 'size' | 'data' | 'data-end' | 'trailer' | 'done' = 'size';
  #line = '';
  #left = 0;
  #trailerBytes = 0;

  /** True when `push` failed because a line, most likely its chunk extensions, was too long. */
  overlong = false;

  get done(): boolean {
    return this.#state === 'done';
  }

  /** Consumes bytes; returns how many were used (fewer only when the body ended), or -1 when the coding is broken. */
  push(data: Buffer, sink: ChunkSink): number {
    let at = 0;
    while (at < data.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const take = Math.min(this.#left, data.length - at);
        sink.onChunk(at === 0 && take === data.length ? data : data.subarray(at, at + take));
        at += take;
        this.#left -= take;
        if (this.#left === 0) this.#state = 'data-end';
        continue;
      }
      const newline = data.indexOf(LF, at);
      const end = newline < 0 ? data.length : newline;
      if (this.#line.length + end - at > MAX_LINE) {
        this.overlong = true;
        return -1;
      }
      this.#line += data.toString('latin1', at, end);
      at = newline < 0 ? end : newline + 1;
      if (newline < 0) return at;
      if (this.#line.charCodeAt(this.#line.length - 1) !== CR) return -1;
      const line = this.#line.slice(0, -1);
      this.#line = '';
      if (!this.#onLine(line)) return -1;
    }
    return at;
  }

  #onLine(line: string): boolean {
    if (line.includes('\r')) return false;
    if (this.#state === 'data-end') {
      this.#state = 'size';
      return line === '';
    }
    if (this.#state === 'trailer') {
      this.#trailerBytes += line.length;
      if (line === '') this.#state = 'done';
      return this.#trailerBytes <= MAX_LINE;
    }
    const match = /^([0-9a-fA-F]{1,8})[\t ]*(?:;.*)?$/.exec(line);
    if (match === null) return false;
    this.#left = Number.parseInt(match[1] as string, 16);
    this.#state = this.#left === 0 ? 'trailer' : 'data';
    return true;
  }
}
