import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

/** Body bytes up to this are joined with the head into one string, which is cheaper than two writes, and are thereby copied. */
export const JOIN_BYTES = 4_096;

/** How an answer's body is delimited. */
export type AnswerFraming = 'none' | 'length' | 'chunked' | 'until-close';

/** Writes answers to a client, one after the other, in canonical form (RFC 9112 §4 to §7). */
export class AnswerWriter {
  readonly #socket: Socket;
  #head = '';
  #chunked = false;
  #untilClose = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** True while an answer is under way that has no other end than the connection's. */
  get untilClose(): boolean {
    return this.#untilClose;
  }

  /**
   * Begins an answer to HTTP/1.`minor`; it is sent with the first body bytes. `headers`: flat, without Content-Length for
   * `chunked`, without Connection. Returns whether the connection can stay open after it.
   */
  start(status: number, headers: readonly string[], framing: AnswerFraming, minor: 0 | 1, keepAlive: boolean): boolean {
    this.#chunked = framing === 'chunked' && minor === 1;
    this.#untilClose = framing === 'until-close' || (framing === 'chunked' && minor === 0);
    const staysOpen = keepAlive && minor === 1 && !this.#untilClose;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
    if (this.#chunked) head += 'transfer-encoding: chunked\r\n';
    this.#head = staysOpen ? `${head}\r\n` : `${head}connection: close\r\n\r\n`;
    return staysOpen;
  }

  /** Sends body bytes; false asks the caller to wait for the socket's `drain`. Up to JOIN_BYTES are copied before this returns. */
  write(chunk: Buffer): boolean {
    return this.#send(chunk, '');
  }

  /** Ends the answer, with its last bytes if there are any. */
  end(chunk: Buffer | null): void {
    const tail = this.#chunked ? '0\r\n\r\n' : '';
    if (chunk !== null && chunk.length > 0) this.#send(chunk, tail);
    else {
      const rest = this.#takeHead() + tail;
      if (rest !== '') this.#socket.write(rest, 'latin1');
    }
  }

  #send(chunk: Buffer, tail: string): boolean {
    const socket = this.#socket;
    let before = this.#takeHead();
    let after = tail;
    if (this.#chunked) {
      before += `${chunk.length.toString(16)}\r\n`;
      after = `\r\n${tail}`;
    }
    if (chunk.length <= JOIN_BYTES) return socket.write(before + chunk.toString('latin1') + after, 'latin1');
    socket.cork();
    if (before !== '') socket.write(before, 'latin1');
    let ready = socket.write(chunk);
    if (after !== '') ready = socket.write(after, 'latin1');
    socket.uncork();
    return ready;
  }

  #takeHead(): string {
    const head = this.#head;
    this.#head = '';
    return head;
  }
}
