import type { Socket } from 'node:net';
import { type AnswerFraming, AnswerWriter } from './answer-writer.ts';
import { plainAddress } from './client-address.ts';
import type { ClientRequest, RequestHandler } from './client-request.ts';
import type { CoarseClock } from './coarse-clock.ts';
import { isTooSlow, overdue, type Phase, spareOf, type Waiting } from './connection-patience.ts';
import type { Spare, SpareConnection } from './connection-table.ts';
import { HeadReader } from './head-reader.ts';
import { HeldBytes } from './held-bytes.ts';
import { RequestBody } from './request-body.ts';
import { type Cause, type ProtocolRefusal, problemAnswer, RESCUE } from './rescue.ts';

/** Bytes of the next requests that are held back while one is served; then the socket is paused. */
const MAX_PIPELINED = 64 * 1024;
/** A refused client may still be sending its body: so much of it is read and thrown away. */
const MAX_DISCARD_BYTES = 1024 * 1024;

/**
 * One client connection: a strict HTTP/1.1 server on a socket (RFC 9112). Requests are served one after the other; what a client
 * pipelines waits, bounded. A client that closes its side has left: its request is given up.
 */
export class ClientConnection implements SpareConnection {
  readonly socket: Socket;
  /** The peer's address, as plainAddress writes it. */
  readonly peer: string;
  readonly #handler: RequestHandler;
  readonly #clock: CoarseClock;
  #phase: Phase = 'head';
  #since: number;
  readonly #heads = new HeadReader();
  /** Bytes not yet parsed. */
  readonly #held = new HeldBytes();
  readonly #answer: AnswerWriter;
  readonly #listeners: Readonly<Record<string, (data: Buffer) => void>>;
  #request: ClientRequest | null = null;
  #body: RequestBody | null = null;
  /** Since `#since`. */
  #bodyBytes = 0;
  /** Of a body whose request has been answered already. */
  #discarded = 0;
  #bodyPaused = false;
  #keepAlive = true;
  #served = false;
  /** What a client pipelined is looked at on the next turn. */
  #scheduled = false;
  #flushed = false;
  #restMs = 0;

  constructor(socket: Socket, handler: RequestHandler, clock: CoarseClock) {
    this.socket = socket;
    this.peer = plainAddress(socket.remoteAddress);
    this.#handler = handler;
    this.#answer = new AnswerWriter(socket);
    this.#clock = clock;
    this.#since = clock.now;
    this.#listeners = {
      data: (data: Buffer) => this.#onData(data),
      drain: () => {
        if (this.#phase === 'flush') this.#afterAnswer();
        else this.#request?.onDrain();
      },
      end: () => {
        if (this.#phase === 'linger') socket.destroySoon();
        else this.#gone();
      },
      error: () => {}, // 'close' follows
      close: () => this.#gone(),
    };
    for (const [event, listener] of Object.entries(this.#listeners)) socket.on(event, listener);
  }

  /** True while no request is under way. */
  get idle(): boolean {
    return this.#phase === 'head' && this.#held.length === 0;
  }

  // ---- the request -------------------------------------------------------------------------------------------------

  #onData(data: Buffer): void {
    switch (this.#phase) {
      case 'head':
        if (this.#held.length === 0) {
          this.#since = this.#clock.now;
          this.#readHead(data);
        } else {
          const before = this.#held.length;
          this.#held.add(data);
          if (!this.#scheduled && this.#headComplete(before)) this.#readHead(this.#held.take());
        }
        break;
      case 'body':
        if (this.#bodyPaused) this.#held.add(data);
        else this.#readBody(data);
        break;
      case 'answer':
      case 'flush':
        this.#held.add(data);
        if (this.#held.length > MAX_PIPELINED) this.socket.pause();
        break;
      case 'linger':
      case 'closed':
        break;
    }
  }

  /** Whether the held bytes have a whole head; `known` of them were looked at before. Refuses what can never become one. */
  #headComplete(known: number): boolean {
    const complete = this.#heads.complete(this.#held.view, known);
    if (typeof complete === 'boolean') return complete;
    this.refuse(complete);
    return false;
  }

  /** Reads one head from the front of `data`; what follows it belongs to its body or waits. */
  #readHead(incoming: Buffer): void {
    const data = this.#heads.withoutEmptyLine(incoming);
    const checked = this.#heads.read(data);
    if (checked === null) {
      this.#held.add(data);
      if (this.socket.isPaused()) this.socket.resume();
      this.#headComplete(0);
      return;
    }
    if (typeof checked === 'string') {
      this.refuse(checked);
      return;
    }
    this.#keepAlive = checked.keepAlive;
    this.#since = this.#clock.now;
    this.#bodyBytes = 0;
    this.#discarded = 0;
    this.#body = checked.body === 'none' ? null : new RequestBody(checked);
    this.#phase = checked.body === 'none' ? 'answer' : 'body';
    const { length } = this.#heads;
    const rest = data.length === length ? null : data.subarray(length);
    if (rest !== null && checked.body === 'none') this.#held.add(rest);
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
    const body = this.#body as RequestBody;
    const used = body.push(data, this);
    if (typeof used === 'string') {
      this.#bodyFailed(used);
      return;
    }
    if (!body.done) return;
    if (this.#phase !== 'body') return; // ended by what onBody did
    if (used < data.length) this.#held.add(data.subarray(used));
    if (this.#request === null) {
      this.#afterAnswer(); // the answer is long gone
      return;
    }
    this.#phase = 'answer';
    this.#request.onBodyEnd();
  }

  /** For the body. */
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
    if (this.#phase === 'body' && this.#held.length > 0) this.#readBody(this.#held.take());
  }

  // ---- the answer --------------------------------------------------------------------------------------------------

  /** Begins an answer; see AnswerWriter. */
  startAnswer(status: number, headers: readonly string[], framing: AnswerFraming, keepAlive: boolean): void {
    this.#keepAlive = this.#answer.start(status, headers, framing, this.#heads.minor, keepAlive && this.#keepAlive);
  }

  /** Sends body bytes; false asks the caller to wait for `onDrain`. */
  writeAnswer(chunk: Buffer): boolean {
    return this.#answer.write(chunk);
  }

  /** Ends the answer, with its last bytes if there are any, and goes on with the next request. */
  endAnswer(chunk: Buffer | null): void {
    this.#answer.end(chunk);
    this.#request = null;
    if (this.#phase === 'answer') this.#afterAnswer();
    else if (this.#phase === 'body') {
      this.#bodyBytes = 0;
      this.#since = this.#clock.now;
      if (this.#keepAlive) this.resumeBody();
      else this.#linger();
    }
  }

  /** RFC 9110 §10.1.1: the client may send its body now. */
  sendContinue(): void {
    this.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
  }

  /** Answers malformed HTTP, which has no request to answer for, and closes: the two sides may not agree where the next one begins. */
  refuse(cause: Cause): void {
    const id = this.#handler.nextRequestId();
    const { headers, body } = problemAnswer(cause, id);
    this.startAnswer(RESCUE[cause].status, headers, 'length', false);
    this.endAnswer(this.#phase !== 'head' && this.#heads.isHead ? null : body);
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

  /** Reads nothing for a while after the present answer. */
  rest(ms: number): void {
    this.#restMs = ms;
  }

  #next(): void {
    this.#served = true;
    this.#phase = 'head';
    this.#since = this.#clock.now;
    if (this.#restMs > 0) {
      setTimeout(() => {
        if (this.#phase === 'head') this.#next();
      }, this.#restMs).unref();
      this.#restMs = 0;
      this.socket.pause();
      return;
    }
    if (this.#bodyPaused) this.resumeBody();
    // With more waiting, the socket stays as it is: what was read ahead is served first.
    if (this.#held.length === 0) {
      if (this.socket.isPaused()) this.socket.resume();
    } else {
      // Not from within the previous answer: a client that pipelines could make the stack as deep as it likes.
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        if (this.#phase === 'head' && this.#held.length > 0) this.#readHead(this.#held.take());
      });
    }
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  /** Hands the socket over to a tunnel; returns bytes that came early. Nothing of this connection acts on it any more. */
  detach(): Buffer {
    const early = this.#held.take();
    // Not all listeners: TLS lives by its own.
    for (const [event, listener] of Object.entries(this.#listeners)) this.socket.off(event, listener);
    this.#phase = 'closed';
    this.#request = null;
    this.#handler.onClosed(this);
    return early;
  }

  /** Cuts the connection: an answer that cannot be completed must not look complete. A request under way hears that it is gone. */
  destroy(): void {
    // A FIN would end a body that has no other end.
    if (this.#answer.untilClose) this.socket.resetAndDestroy();
    this.#gone();
  }

  spare(now: number): Spare {
    return spareOf(this.#waiting(now));
  }

  /** Closes once idle: at once when no request is under way, else after its answer. */
  closeWhenIdle(): void {
    if (this.idle) this.#linger();
    else this.#keepAlive = false;
  }

  /** Ends what has been waited for too long. Called every so often. */
  enforceTimeouts(now: number): void {
    const waiting = this.#waiting(now);
    switch (overdue(waiting)) {
      case 'refuse':
        this.refuse('request_timeout');
        break;
      case 'linger':
        this.#linger();
        break;
      case 'destroy':
        this.socket.destroy();
        break;
      case 'weigh':
        if (isTooSlow(this.#bodyBytes, waiting.waitedMs)) this.#bodyFailed('request_timeout');
        this.#bodyBytes = 0;
        this.#since = now;
    }
  }

  #waiting(now: number): Waiting {
    return {
      phase: this.#phase,
      waitedMs: now - this.#since,
      served: this.#served,
      begun: this.#held.length > 0,
      bodyPaused: this.#bodyPaused,
      unread: this.socket.writableNeedDrain,
      flushed: this.#flushed,
    };
  }

  /** Sends FIN and reads on for a moment: closing with unread bytes would reset the connection under our answer. */
  #linger(): void {
    if (this.#phase === 'closed' || this.#phase === 'linger') return;
    this.#phase = 'linger';
    this.#held.clear();
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
