import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { type CheckedHead, checkHead } from './check-head.ts';
import { ChunkedDecoder } from './chunked-decoder.ts';
import type { CoarseClock } from './coarse-clock.ts';
import { MAX_HEAD_BYTES, overlongHead, parseRequestHead } from './request-head.ts';
import { type Cause, type ProtocolRefusal, problemBody, RESCUE } from './rescue.ts';

const EMPTY = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');
/** A CR or LF that is not part of a CRLF; a CR at the end may still become one. */
const BAD_LINE_END = /\r[^\n]|[^\r]\n/;
const HEAD_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 60_000;
const LINGER_MS = 2_000;
/** Bytes of the next requests that are held back while one is served; then the socket is paused. */
const MAX_PIPELINED = 64 * 1024;
/** Body bytes up to this are joined with the head into one string, which is cheaper than two writes, and are thereby copied. */
export const JOIN_BYTES = 4_096;
/** RFC-conforming clients are far faster; below it, after a grace, a body is a slow attack. */
const MIN_BODY_BYTES_PER_SECOND = 500;
const BODY_GRACE_MS = 10_000;
/** A refused client may still be sending its body: so much of it is read and thrown away. */
const MAX_DISCARD_BYTES = 1024 * 1024;

/** Serves one request at a time on a connection. */
export interface RequestHandler {
  /** A new request: the handler calls `begin`, or refuses it at once. It must end by `endAnswer`, `detach` or `destroy`. */
  onRequest(connection: ClientConnection, head: CheckedHead): void;
  /** Malformed HTTP that was answered by the connection itself. */
  onProtocolRefusal(cause: Cause, peer: string, requestId: string): void;
  nextRequestId(): string;
  onClosed(connection: ClientConnection): void;
}

/** What a request under way hears from its connection. */
export interface ClientRequest {
  onBody(data: Buffer): void;
  onBodyEnd(): void;
  /** The body is malformed or too slow: answer if that is still possible. */
  onBodyFailure(cause: ProtocolRefusal): void;
  onDrain(): void;
  onGone(): void;
}

/** How an answer's body is delimited. */
export type AnswerFraming = 'none' | 'length' | 'chunked' | 'until-close';

/** `flush`: the answer is complete, and the client has yet to read what the socket holds of it. */
type Phase = 'head' | 'body' | 'answer' | 'flush' | 'linger' | 'closed';

/**
 * One client connection: a strict HTTP/1.1 server on a socket (RFC 9112). Requests are served one after the other; what a client
 * pipelines waits, bounded. A client that closes its side has left: its request is given up.
 */
export class ClientConnection {
  readonly socket: Socket;
  /** The peer's address; IPv4 in its own notation when it came mapped into IPv6 (RFC 4291 §2.5.5.2). */
  readonly peer: string;
  readonly #handler: RequestHandler;
  readonly #clock: CoarseClock;
  #phase: Phase = 'head';
  #since: number;
  /** Bytes not yet parsed, in a buffer that grows by doubling: a client that drips costs no quadratic copying. */
  #pending: Buffer = EMPTY;
  #pendingLength = 0;
  #request: ClientRequest | null = null;
  #bodyLeft = 0;
  #chunks: ChunkedDecoder | null = null;
  /** Since `#since`. */
  #bodyBytes = 0;
  /** Of a body whose request has been answered already. */
  #discarded = 0;
  #bodyPaused = false;
  #keepAlive = true;
  #served = false;
  #emptyLine = false;
  /** What a client pipelined is looked at on the next turn. */
  #scheduled = false;
  #flushed = false;
  #minor: 0 | 1 = 1;
  #isHead = false;
  #answerHead: string | null = null;
  #answerChunked = false;
  #answerUntilClose = false;

  constructor(socket: Socket, handler: RequestHandler, clock: CoarseClock) {
    this.socket = socket;
    const address = socket.remoteAddress ?? '';
    this.peer = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
    this.#handler = handler;
    this.#clock = clock;
    this.#since = clock.now;
    socket.on('data', (data: Buffer) => this.#onData(data));
    socket.on('drain', () => {
      if (this.#phase === 'flush') this.#afterAnswer();
      else this.#request?.onDrain();
    });
    socket.on('end', () => {
      if (this.#phase === 'linger') socket.destroySoon();
      else this.#gone();
    });
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => this.#gone());
  }

  /** True while no request is under way. */
  get idle(): boolean {
    return this.#phase === 'head' && this.#pendingLength === 0;
  }

  // ---- the request -------------------------------------------------------------------------------------------------

  #onData(data: Buffer): void {
    switch (this.#phase) {
      case 'head':
        if (this.#pendingLength === 0) {
          this.#since = this.#clock.now;
          this.#readHead(data);
        } else {
          const before = this.#pendingLength;
          this.#hold(data);
          if (!this.#scheduled && this.#headComplete(before)) this.#readHead(this.#takeHeld());
        }
        break;
      case 'body':
        if (this.#bodyPaused) this.#hold(data);
        else this.#readBody(data);
        break;
      case 'answer':
      case 'flush':
        this.#hold(data);
        if (this.#pendingLength > MAX_PIPELINED) this.socket.pause();
        break;
      case 'linger':
      case 'closed':
        break;
    }
  }

  /** Takes what was held back; parts of it may go on to wait in a socket's queue, so the buffer is given away. */
  #takeHeld(): Buffer {
    const held = this.#pending.subarray(0, this.#pendingLength);
    this.#pendingLength = 0;
    this.#pending = EMPTY;
    return held;
  }

  /** Whether the held bytes have a whole head; `known` of them were looked at before. Refuses what can never become one. */
  #headComplete(known: number): boolean {
    const held = this.#pending.subarray(0, this.#pendingLength);
    if (held.indexOf(HEAD_END, Math.max(0, known - HEAD_END.length)) >= 0) return true;
    const fresh = held.toString('latin1', Math.max(0, known - 1));
    if (BAD_LINE_END.test(fresh) || (known === 0 && fresh.charCodeAt(0) === 10)) this.refuse('malformed_request');
    else if (held.length > MAX_HEAD_BYTES) this.refuse(overlongHead(held.toString('latin1')));
    return false;
  }

  /** Reads one head from the front of `data`; what follows it belongs to its body or waits. */
  #readHead(incoming: Buffer): void {
    let data = incoming;
    // RFC 9112 §2.2: one empty line before a request is forgiven.
    if (!this.#emptyLine && data.length >= 2 && data[0] === 13 && data[1] === 10) {
      this.#emptyLine = true;
      data = data.subarray(2);
    }
    const end = data.indexOf(HEAD_END);
    if (end < 0) {
      this.#hold(data);
      if (this.socket.isPaused()) this.socket.resume();
      this.#headComplete(0);
      return;
    }
    if (end > MAX_HEAD_BYTES) {
      this.refuse(overlongHead(data.toString('latin1', 0, end)));
      return;
    }
    const head = parseRequestHead(data.toString('latin1', 0, end));
    if (typeof head === 'string') {
      this.refuse(head);
      return;
    }
    const checked = checkHead(head);
    if (typeof checked === 'string') {
      this.refuse(checked);
      return;
    }
    this.#minor = head.minor;
    this.#isHead = head.method === 'HEAD';
    this.#keepAlive = checked.keepAlive;
    this.#since = this.#clock.now;
    this.#emptyLine = false;
    this.#bodyBytes = 0;
    this.#discarded = 0;
    this.#bodyLeft = checked.contentLength;
    this.#chunks = checked.body === 'chunked' ? new ChunkedDecoder() : null;
    this.#phase = checked.body === 'none' ? 'answer' : 'body';
    const rest = data.length === end + 4 ? null : data.subarray(end + 4);
    if (rest !== null && checked.body === 'none') this.#hold(rest);
    if (this.#phase === 'body' && this.socket.isPaused()) this.socket.resume();
    this.#handler.onRequest(this, checked);
    if (rest !== null && checked.body !== 'none') this.#onData(rest);
  }

  /** The request that from now on hears what happens. */
  begin(request: ClientRequest): void {
    this.#request = request;
  }

  #readBody(data: Buffer): void {
    this.#bodyBytes += data.length;
    if (this.#request === null) {
      this.#discarded += data.length;
      if (this.#discarded > MAX_DISCARD_BYTES) {
        this.#linger();
        return;
      }
    }
    let used: number;
    if (this.#chunks === null) {
      used = Math.min(this.#bodyLeft, data.length);
      this.#bodyLeft -= used;
      this.#request?.onBody(used === data.length ? data : data.subarray(0, used));
      if (this.#bodyLeft > 0) return;
    } else {
      used = this.#chunks.push(data, this);
      if (used < 0) {
        this.#bodyFailed(this.#chunks.overlong ? 'chunk_extensions_too_large' : 'bad_framing');
        return;
      }
      if (!this.#chunks.done) return;
    }
    if (this.#phase !== 'body') return; // ended by what onBody did
    if (used < data.length) this.#hold(data.subarray(used));
    if (this.#request === null) {
      this.#afterAnswer();
      return;
    } // the answer is long gone
    this.#phase = 'answer';
    this.#request.onBodyEnd();
  }

  /** For the chunked decoder. */
  onChunk(data: Buffer): void {
    this.#request?.onBody(data);
  }

  #bodyFailed(cause: ProtocolRefusal): void {
    this.#keepAlive = false;
    if (this.#request === null) this.#linger();
    else this.#request.onBodyFailure(cause);
  }

  /** Stops the request body until `resumeBody`: it is not decided yet, or the application is slower than the client. */
  pauseBody(): void {
    this.#bodyPaused = true;
    this.socket.pause();
  }

  resumeBody(): void {
    if (!this.#bodyPaused) return;
    this.#bodyPaused = false;
    this.#bodyBytes = 0;
    this.#since = this.#clock.now;
    this.socket.resume();
    if (this.#phase === 'body' && this.#pendingLength > 0) this.#readBody(this.#takeHeld());
  }

  #hold(data: Buffer): void {
    // As it is: behind each request of a long pipeline waits nearly all of it, and copying that would cost its square.
    if (this.#pendingLength === 0) {
      this.#pending = data;
      this.#pendingLength = data.length;
      return;
    }
    const needed = this.#pendingLength + data.length;
    if (needed > this.#pending.length) {
      const grown = Buffer.allocUnsafe(Math.max(1024, needed, this.#pending.length * 2));
      this.#pending.copy(grown, 0, 0, this.#pendingLength);
      this.#pending = grown;
    }
    data.copy(this.#pending, this.#pendingLength);
    this.#pendingLength = needed;
  }

  // ---- the answer --------------------------------------------------------------------------------------------------

  /** Begins an answer. `headers`: flat, without Content-Length for `chunked`, without Connection. Sent with the first body bytes. */
  startAnswer(status: number, headers: readonly string[], framing: AnswerFraming, keepAlive: boolean): void {
    this.#answerChunked = framing === 'chunked' && this.#minor === 1;
    this.#answerUntilClose = framing === 'until-close' || (framing === 'chunked' && this.#minor === 0);
    if (!keepAlive || this.#minor === 0 || framing === 'until-close') this.#keepAlive = false;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
    if (this.#answerChunked) head += 'transfer-encoding: chunked\r\n';
    this.#answerHead = this.#keepAlive ? `${head}\r\n` : `${head}connection: close\r\n\r\n`;
  }

  /** Sends body bytes; false asks the caller to wait for `onDrain`. Up to JOIN_BYTES are copied before this returns. */
  writeAnswer(chunk: Buffer): boolean {
    return this.#send(chunk, '');
  }

  #send(chunk: Buffer, tail: string): boolean {
    const { socket } = this;
    let before = this.#takeHead();
    let after = tail;
    if (this.#answerChunked) {
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

  /** Ends the answer, with its last bytes if there are any, and goes on with the next request. */
  endAnswer(chunk: Buffer | null): void {
    const tail = this.#answerChunked ? '0\r\n\r\n' : '';
    if (chunk !== null && chunk.length > 0) this.#send(chunk, tail);
    else {
      const rest = this.#takeHead() + tail;
      if (rest !== '') this.socket.write(rest, 'latin1');
    }
    this.#request = null;
    if (this.#phase === 'answer') this.#afterAnswer();
    else if (this.#phase === 'body') {
      this.#bodyBytes = 0;
      this.#since = this.#clock.now;
      if (this.#keepAlive) this.resumeBody();
      else this.#linger();
    }
  }

  #takeHead(): string {
    const head = this.#answerHead ?? '';
    this.#answerHead = null;
    return head;
  }

  /** RFC 9110 §10.1.1: the client may send its body now. */
  sendContinue(): void {
    this.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
  }

  /** Answers malformed HTTP, which has no request to answer for, and closes: the two sides may not agree where the next one begins. */
  refuse(cause: Cause): void {
    const id = this.#handler.nextRequestId();
    const body = problemBody(cause, id);
    const headers = ['content-type', 'application/problem+json', 'cache-control', 'no-store', 'x-request-id', id];
    headers.push('content-length', String(body.length));
    this.startAnswer(RESCUE[cause].status, headers, 'length', false);
    this.endAnswer(this.#phase !== 'head' && this.#isHead ? null : Buffer.from(body, 'latin1'));
    if (this.#phase === 'head') this.#linger();
    this.#handler.onProtocolRefusal(cause, this.peer, id);
  }

  /** Goes on with the next request, but not while the client leaves answers unread: they would pile up here. */
  #afterAnswer(): void {
    if (!this.#keepAlive) this.#linger();
    else if (this.socket.writableNeedDrain) {
      this.#phase = 'flush';
      this.#since = this.#clock.now;
    } else this.#next();
  }

  #next(): void {
    this.#served = true;
    this.#phase = 'head';
    this.#since = this.#clock.now;
    if (this.#bodyPaused) this.resumeBody();
    // With more waiting, the socket stays as it is: what was read ahead is served first.
    if (this.#pendingLength === 0) {
      if (this.socket.isPaused()) this.socket.resume();
    } else {
      // Not from within the previous answer: a client that pipelines could make the stack as deep as it likes.
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        if (this.#phase === 'head' && this.#pendingLength > 0) this.#readHead(this.#takeHeld());
      });
    }
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  /** Hands the socket over to a tunnel; returns bytes that came early. Nothing of this connection acts on it any more. */
  detach(): Buffer {
    const early = Buffer.from(this.#pending.subarray(0, this.#pendingLength));
    this.socket.removeAllListeners();
    this.#phase = 'closed';
    this.#request = null;
    this.#handler.onClosed(this);
    return early;
  }

  /** Cuts the connection: an answer that cannot be completed must not look complete. */
  destroy(): void {
    this.#request = null;
    // A FIN would end a body that has no other end.
    if (this.#answerUntilClose) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  /** Closes once idle: at once when no request is under way, else after its answer. */
  closeWhenIdle(): void {
    if (this.idle) this.#linger();
    else this.#keepAlive = false;
  }

  /** Ends what has been waited for too long. Called every so often. */
  enforceTimeouts(now: number): void {
    const waited = now - this.#since;
    if (this.#phase === 'head' && this.#pendingLength > 0 && waited > HEAD_TIMEOUT_MS) this.refuse('request_timeout');
    else if (this.#phase === 'head' && waited > (this.#served ? KEEP_ALIVE_MS : HEAD_TIMEOUT_MS)) this.#linger();
    else if (this.#phase === 'flush' && waited > KEEP_ALIVE_MS) this.socket.destroy();
    else if (this.#phase === 'linger' && waited > (this.#flushed ? LINGER_MS : KEEP_ALIVE_MS)) this.socket.destroy();
    else if (this.#phase === 'body' && !this.#bodyPaused && waited > BODY_GRACE_MS) {
      if (this.#bodyBytes < (waited / 1_000) * MIN_BODY_BYTES_PER_SECOND) this.#bodyFailed('request_timeout');
      this.#bodyBytes = 0;
      this.#since = now;
    }
  }

  /** Sends FIN and reads on for a moment: closing with unread bytes would reset the connection under our answer. */
  #linger(): void {
    if (this.#phase === 'closed' || this.#phase === 'linger') return;
    this.#phase = 'linger';
    this.#pendingLength = 0;
    this.#since = this.#clock.now;
    this.socket.resume();
    this.socket.end(() => {
      this.#flushed = true; // a slow reader has had the whole answer
      this.#since = this.#clock.now;
    });
  }

  #gone(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    const request = this.#request;
    this.#request = null;
    this.socket.destroy();
    this.#handler.onClosed(this);
    request?.onGone();
  }
}
