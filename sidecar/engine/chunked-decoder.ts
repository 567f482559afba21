const CR = 13;
const LF = 10;
const SEMICOLON = 0x3b;
const MAX_SIZE_DIGITS = 8;
/** Most bytes of chunk extensions and trailers in one body: nobody reads them, so they must not be a way to keep us busy. */
const MAX_IGNORED_BYTES = 16 * 1024;
/** RFC 9112 §7.1.1, without the blanks ("BWS") that it allows and nobody sends. */
const EXTENSIONS =
  /^(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t\x20-\x7e])*"))?)*$/;
/** A field line, but none that frames a message (RFC 9110 §6.5.1). */
const TRAILER_FIELD = /^(?!(?:content-length|transfer-encoding):)[!#$%&'*+\-.^_`|~0-9a-z]+:[\t\x20-\x7e\x80-\xff]*$/i;

/** Where decoded bytes go. */
export interface ChunkSink {
  onChunk(data: Buffer): void;
}

type State = 'size' | 'extensions' | 'size-lf' | 'data' | 'data-cr' | 'data-lf' | 'trailer' | 'trailer-lf' | 'done';

/**
 * Decodes the chunked transfer coding (RFC 9112 §7.1), strictly: every line ends in CRLF, sizes are
 * 1 to 8 hex digits, extensions and trailers are checked and dropped.
 */
export class ChunkedDecoder {
  #state: State = 'size';
  #digits = 0;
  #left = 0;
  /** Extensions or trailer line seen so far. */
  #text = '';
  #ignoredBytes = 0;

  /** True when `push` failed because extensions or trailers were too long. */
  overlong = false;

  get done(): boolean {
    return this.#state === 'done';
  }

  /**
   * Consumes bytes; returns how many were used (fewer only when the body ended), or -1 when the coding is broken. What was
   * decoded is moved together inside `data` and handed on in one call: a body of tiny chunks costs no more than its size.
   */
  push(data: Buffer, sink: ChunkSink): number {
    let from = 0;
    let to = 0;
    let at = 0;
    while (at < data.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const take = Math.min(this.#left, data.length - at);
        if (to === 0) from = at;
        else data.copyWithin(to, at, at + take);
        to = to === 0 ? at + take : to + take;
        at += take;
        this.#left -= take;
        if (this.#left === 0) this.#state = 'data-cr';
      } else if (this.#state === 'extensions' || this.#state === 'trailer') {
        at = this.#readText(data, at);
        if (at < 0) return -1;
      } else if (!this.#onByte(data[at++] as number)) return -1;
    }
    if (to > from) sink.onChunk(data.subarray(from, to));
    return at;
  }

  /** Reads up to the CR that ends the line; returns where to go on, or -1. */
  #readText(data: Buffer, at: number): number {
    const found = data.indexOf(CR, at);
    const end = found < 0 ? data.length : found;
    this.#ignoredBytes += end - at;
    if (this.#ignoredBytes > MAX_IGNORED_BYTES) {
      this.overlong = true;
      return -1;
    }
    this.#text += data.toString('latin1', at, end);
    if (found < 0) return end;
    this.#state = this.#state === 'trailer' ? 'trailer-lf' : 'size-lf';
    return found + 1;
  }

  /** One byte of the framing between data; false when it may not stand there. */
  #onByte(byte: number): boolean {
    switch (this.#state) {
      case 'size':
        return this.#onSize(byte);
      case 'data-cr':
        this.#state = 'data-lf';
        return byte === CR;
      case 'data-lf':
        this.#state = 'size';
        return byte === LF;
      case 'size-lf': {
        const valid = byte === LF && EXTENSIONS.test(this.#text);
        this.#text = '';
        this.#digits = 0;
        this.#state = this.#left === 0 ? 'trailer' : 'data';
        return valid;
      }
      case 'trailer-lf': {
        const valid = byte === LF && (this.#text === '' || TRAILER_FIELD.test(this.#text));
        this.#state = this.#text === '' ? 'done' : 'trailer';
        this.#text = '';
        return valid;
      }
      default:
        return false;
    }
  }

  #onSize(byte: number): boolean {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.#left = this.#left * 16 + digit;
      return ++this.#digits <= MAX_SIZE_DIGITS;
    }
    if (this.#digits === 0) return false;
    if (byte === SEMICOLON) {
      this.#state = 'extensions';
      this.#text = ';';
    } else this.#state = 'size-lf';
    return byte === SEMICOLON || byte === CR;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
