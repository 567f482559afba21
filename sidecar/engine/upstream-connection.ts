import type { Socket } from 'node:net';
import type { LimitsBundle } from '../../policy/bundle/types.ts';
import { ChunkedDecoder } from './chunked-decoder.ts';
import type { CoarseClock } from './coarse-clock.ts';
import type { UpstreamFailure } from './rescue.ts';
import { parseResponseHead, type ResponseHead } from './response-head.ts';

const MAX_HEAD = 64 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');

/** Receives one upstream answer. After `onFailure` nothing more comes. */
export interface ResponseSink {
  onHead(head: ResponseHead): void;
  /** `last` comes with the last bytes; `chunk` is null when the body was already complete. */
  onAnswerBody(chunk: Buffer | null, last: boolean): void;
  /** A 101 answer: the socket is the sink's from here on, `rest` its first bytes. */
  onUpgrade(head: ResponseHead, socket: Socket, rest: Buffer): void;
  onFailure(cause: UpstreamFailure, error: Error | null): void;
  /** The sink paused us and did not go on for the idle time: whoever reads the answer stands still. Nothing more comes. */
  onStalled(): void;
  /** The upstream socket takes body bytes again. */
  onUpstreamDrain(): void;
}

/** What a connection is doing; decides which time-out applies. */
type Phase = 'connecting' | 'idle' | 'awaiting-head' | 'body' | 'closed';

/** Time limits, milliseconds. */
export interface UpstreamTimeouts {
  readonly connectMs: number;
  /** From the last byte of the request sent until the answer's head is complete. */
  readonly requestMs: number;
  /** Longest silence while bodies flow. */
  readonly idleMs: number;
}

/** The time limits where no policy says any. */
export const DEFAULT_UPSTREAM_TIMEOUTS: UpstreamTimeouts = { connectMs: 1_000, requestMs: 30_000, idleMs: 60_000 };

/** The time limits of a policy; in Shadow those that are tighter than none at all are not carried out. */
export function timeoutsOf({ mode, timeouts }: Pick<LimitsBundle, 'mode' | 'timeouts'>): UpstreamTimeouts {
  if (mode === 'Enforce') return timeouts;
  const { connectMs, requestMs, idleMs } = DEFAULT_UPSTREAM_TIMEOUTS;
  return {
    connectMs: Math.max(timeouts.connectMs, connectMs),
    requestMs: Math.max(timeouts.requestMs, requestMs),
    idleMs: Math.max(timeouts.idleMs, idleMs),
  };
}

/** Told when a connection can serve again or is gone. */
export interface ConnectionOwner {
  onIdle(connection: UpstreamConnection): void;
  onClosed(connection: UpstreamConnection): void;
}

/** One keep-alive HTTP/1.1 connection to the application: one request at a time, no pipelining. */
export class UpstreamConnection {
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #clock: CoarseClock;
  #phase: Phase = 'connecting';
  #since: number;
  #sink: ResponseSink | null = null;
  #method = '';
  #pendingHead: Buffer | null = null;
  #head: ResponseHead | null = null;
  #left = 0;
  #chunks: ChunkedDecoder | null = null;
  #requestDone = false;
  #responseDone = false;
  #served = false;
  #gotBytes = false;
  #idleLimitMs = 55_000;
  #paused = false;

  /** `socket`: one that is just connecting, or `connected` already; its owner passes what it reads to `receive`. */
  constructor(socket: Socket, owner: ConnectionOwner, clock: CoarseClock, connected = false) {
    if (connected) this.#phase = 'idle';
    this.#owner = owner;
    this.#clock = clock;
    this.#since = clock.now;
    this.#socket = socket;
    socket.on('connect', () => {
      if (this.#phase !== 'connecting') return;
      this.#phase = this.#sink === null ? 'idle' : 'awaiting-head';
      this.#since = this.#clock.now;
    });
    socket.on('drain', () => this.#sink?.onUpstreamDrain());
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error) =>
      this.#fail(this.#phase === 'connecting' ? 'upstream_connect' : 'upstream_reset', error),
    );
    socket.on('close', () => this.#fail('upstream_reset', null));
  }

  /** True when this connection served before and no byte of the present answer came: the race of RFC 9112 §9.3.1. */
  get failedStale(): boolean {
    return this.#served && !this.#gotBytes;
  }

  /** Sends a request head; the body follows by `write` and `finishRequest`. The connection must be idle or new. */
  start(sink: ResponseSink, method: string, head: string): void {
    this.#sink = sink;
    this.#method = method;
    this.#head = null;
    this.#requestDone = false;
    this.#responseDone = false;
    this.#gotBytes = false;
    if (this.#phase !== 'connecting') {
      this.#phase = 'awaiting-head';
      this.#since = this.#clock.now;
    }
    this.#socket.write(head, 'latin1');
  }

  /** Sends body bytes; false asks the caller to wait for `onUpstreamDrain`. */
  write(data: Buffer | string): boolean {
    this.#since = this.#clock.now;
    return this.#socket.write(data, 'latin1');
  }

  /** Sends body bytes as one chunk (RFC 9112 §7.1); false as for `write`. */
  writeChunk(data: Buffer): boolean {
    const socket = this.#socket;
    this.#since = this.#clock.now;
    socket.cork();
    socket.write(`${data.length.toString(16)}\r\n`, 'latin1');
    socket.write(data);
    const ready = socket.write('\r\n', 'latin1');
    socket.uncork();
    return ready;
  }

  /** The request, body included, has been sent. */
  finishRequest(): void {
    this.#requestDone = true;
    if (this.#responseDone) this.#release();
  }

  /** Stops reading from the application until `resume`. */
  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#since = this.#clock.now;
    this.#socket.resume();
  }

  /** Gives up the request in progress, or the idle connection. The sink hears nothing more. */
  destroy(): void {
    this.#sink = null;
    this.#phase = 'closed';
    this.#socket.destroy();
    this.#owner.onClosed(this);
  }

  /** Ends what has been waited for too long. Called by the owner every so often. */
  enforceTimeouts(now: number, timeouts: UpstreamTimeouts): void {
    const waited = now - this.#since;
    switch (this.#phase) {
      case 'connecting':
        if (waited > timeouts.connectMs) this.#fail('upstream_timeout', null);
        break;
      case 'awaiting-head':
        if (waited > timeouts.requestMs) this.#fail('upstream_timeout', null);
        break;
      case 'body':
        if (waited > timeouts.idleMs) this.#endSilence();
        break;
      case 'idle':
        if (waited > this.#idleLimitMs) this.destroy();
        break;
      case 'closed':
        break;
    }
  }

  #endSilence(): void {
    if (!this.#paused) {
      this.#fail('upstream_timeout', null);
      return;
    }
    const sink = this.#sink;
    this.destroy();
    sink?.onStalled();
  }

  #fail(cause: UpstreamFailure, error: Error | null): void {
    if (this.#phase === 'closed') return;
    const sink = this.#sink;
    this.destroy();
    sink?.onFailure(cause, error);
  }

  #onEnd(): void {
    if (this.#head?.framing === 'until-close' && !this.#responseDone) {
      const sink = this.#sink;
      this.destroy();
      sink?.onAnswerBody(null, true);
      return;
    }
    this.#fail('upstream_reset', null);
  }

  /** Bytes from the application. They are only lent: after this call they may change. */
  receive(incoming: Buffer): void {
    let data = incoming;
    this.#gotBytes = true;
    if (this.#sink === null || this.#responseDone) {
      this.#fail('upstream_protocol', null);
      return;
    }
    if (this.#head === null) {
      const rest = this.#readHead(data);
      if (rest === null) return;
      data = rest;
    }
    // Not before: a head that drips, or 1xx without end, does not put the time-out off.
    this.#since = this.#clock.now;
    this.#readBody(data);
  }

  /** Returns what follows the final head, or null when there is nothing to go on with. */
  #readHead(incoming: Buffer): Buffer | null {
    let data = this.#pendingHead === null ? incoming : Buffer.concat([this.#pendingHead, incoming]);
    this.#pendingHead = null;
    for (;;) {
      const end = data.indexOf(HEAD_END);
      if (end < 0 || end > MAX_HEAD) {
        if (data.length > MAX_HEAD) this.#fail('upstream_protocol', null);
        else this.#pendingHead = Buffer.from(data);
        return null;
      }
      const head = parseResponseHead(data.toString('latin1', 0, end), this.#method);
      if (head === null) {
        this.#fail('upstream_protocol', null);
        return null;
      }
      data = data.subarray(end + 4);
      if (head.status === 101) {
        this.#handOver(head, data);
        return null;
      }
      if (head.status >= 200) {
        this.#acceptHead(head);
        return this.#sink === null ? null : data;
      }
      if (data.length === 0) return null; // 100 and 103 are ours to swallow
    }
  }

  #acceptHead(head: ResponseHead): void {
    this.#head = head;
    this.#phase = 'body';
    this.#left = head.length;
    this.#chunks = head.framing === 'chunked' ? new ChunkedDecoder() : null;
    if (head.keepAliveTimeout >= 0) this.#idleLimitMs = Math.max(0, head.keepAliveTimeout * 1000 - 1000);
    this.#sink?.onHead(head);
  }

  #handOver(head: ResponseHead, rest: Buffer): void {
    const sink = this.#sink;
    this.#sink = null;
    this.#phase = 'closed';
    this.#socket.removeAllListeners();
    this.#owner.onClosed(this);
    sink?.onUpgrade(head, this.#socket, rest);
  }

  #readBody(data: Buffer): void {
    switch ((this.#head as ResponseHead).framing) {
      case 'none':
        this.#finishResponse(null, data.length > 0);
        break;
      case 'length':
        if (data.length < this.#left) {
          this.#left -= data.length;
          if (data.length > 0) this.#sink?.onAnswerBody(data, false);
        } else {
          this.#finishResponse(
            data.length === this.#left ? data : data.subarray(0, this.#left),
            data.length > this.#left,
          );
        }
        break;
      case 'chunked': {
        const decoder = this.#chunks as ChunkedDecoder;
        const used = decoder.push(data, this);
        if (used < 0) this.#fail('upstream_protocol', null);
        else if (decoder.done && this.#sink !== null) this.#finishResponse(null, used < data.length);
        break;
      }
      case 'until-close':
        if (data.length > 0) this.#sink?.onAnswerBody(data, false);
        break;
    }
  }

  /** For the chunked decoder. */
  onChunk(data: Buffer): void {
    this.#sink?.onAnswerBody(data, false);
  }

  #finishResponse(last: Buffer | null, surplus: boolean): void {
    this.#responseDone = true;
    const sink = this.#sink;
    const reusable = (this.#head as ResponseHead).keepAlive && !surplus;
    if (!reusable) this.destroy();
    else if (this.#requestDone) this.#release();
    sink?.onAnswerBody(last, true);
  }

  #release(): void {
    this.#sink = null;
    this.#served = true;
    this.#phase = 'idle';
    this.#since = this.#clock.now;
    if (this.#paused) this.resume();
    if (this.#idleLimitMs === 0) this.destroy();
    else this.#owner.onIdle(this);
  }
}
