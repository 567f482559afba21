import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { CoarseClock } from './coarse-clock.ts';
import { FrameTracker } from './frame-tracker.ts';
import type { MessageMeter, MessageRefusal } from './message-meter.ts';

/** Why we end a WebSocket. */
export type TunnelEnd = MessageRefusal | 'no_longer_allowed' | 'idle' | 'draining';

/** Status codes of RFC 6455 §7.4.1: 1001 going away, 1008 policy violation, 1009 message too big. */
const CLOSE_CODES: Readonly<Record<TunnelEnd, number>> = {
  too_many_messages: 1008,
  message_too_big: 1009,
  no_longer_allowed: 1008,
  idle: 1001,
  draining: 1001,
};

/** How long the second side of a tunnel may take to close after the first. */
const HALF_CLOSED_MS = 10_000;
/** How long the two sides may take to close after our close frames. */
const CLOSING_MS = 1_000;
/** How long whoever is in the middle of a frame may take over the rest of it. */
const HALF_FRAME_MS = 5_000;

/** What holds for one tunnel. */
export interface TunnelOptions {
  readonly clock: CoarseClock;
  /** Null: the client's messages are not counted. */
  readonly meter: MessageMeter | null;
  /** What the meter and the idle time-out decide is told once and not carried out. */
  readonly shadow: boolean;
  /** Longest silence of both sides, in milliseconds; Infinity: as long as they like. */
  readonly idleTimeoutMs: number;
  /** Whether what the client was let in by still holds; `now` in epoch milliseconds. Null: for ever. */
  readonly stillValid: ((now: number) => boolean) | null;
  /** We end the tunnel or, in Shadow, would. */
  readonly onEnd: (end: TunnelEnd) => void;
  /** Called once, when both sides are closed. */
  readonly onClosed: () => void;
}

/** An open WebSocket: bytes pass untouched in both directions with backpressure. */
export class Tunnel {
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #options: TunnelOptions;
  readonly #fromUpstream = new FrameTracker();
  readonly #fromClient = new FrameTracker();
  #bytes = 0;
  #since: number;
  #open = 2;
  #ending: number | null = null;
  /** A frame of the client was refused: nothing more of it goes on. */
  #refused = false;
  /** Shadow has told already. */
  #told = false;
  #clientClosed = false;
  #upstreamClosed = false;
  /** Of the client: a frame header that is not complete, kept back while messages are counted. */
  #header: Buffer | null = null;

  /** `head`: of the 101 answer, as it is sent. `rest` and `early`: bytes that came with the heads. */
  constructor(client: Socket, upstream: Socket, head: string, rest: Buffer, early: Buffer, options: TunnelOptions) {
    this.#client = client;
    this.#upstream = upstream;
    this.#options = options;
    this.#since = options.clock.now;
    client.write(head, 'latin1');
    if (rest.length > 0) this.#toClient(rest);
    if (early.length > 0) this.#toUpstream(early);

    upstream.on('data', (data: Buffer) => this.#toClient(data));
    client.on('drain', () => upstream.resume());
    client.on('data', (data: Buffer) => this.#toUpstream(data));
    upstream.on('drain', () => client.resume());
    upstream.on('end', () => this.#endOther(client));
    client.on('end', () => {
      if (this.#header !== null && !this.#refused && !this.#upstreamClosed) upstream.write(this.#header);
      this.#endOther(upstream);
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.setTimeout(0);
      socket.setKeepAlive(true, 30_000);
      socket.on('error', () => {}); // 'close' follows
      socket.on('close', () => {
        other.destroySoon(); // what was read before is still delivered
        if (--this.#open === 0) options.onClosed();
      });
    }
    client.resume();
    upstream.resume();
  }

  /** Bytes sent to the client after the head. */
  get bytesToClient(): number {
    return this.#bytes;
  }

  /** Ends what has been silent for too long, or whose credentials have ended. Called every so often; `epochMs`: now. */
  check(epochMs: number): void {
    const { clock, idleTimeoutMs, stillValid } = this.#options;
    if (stillValid?.(epochMs) === false) this.end('no_longer_allowed');
    else if (clock.now - this.#since > idleTimeoutMs) this.#limit('idle');
  }

  /** Ends the tunnel with a close frame to both sides as soon as no frame is half sent, at the latest after `graceMs`. */
  end(why: TunnelEnd, graceMs = HALF_FRAME_MS): void {
    if (this.#ending !== null || this.#open < 2) return;
    this.#ending = CLOSE_CODES[why];
    this.#options.onEnd(why);
    this.#proceed();
    if (!this.#clientClosed) setTimeout(() => this.destroy(), graceMs).unref();
  }

  /** Cuts both sides. */
  destroy(): void {
    this.#client.destroy();
    this.#upstream.destroy();
  }

  #toClient(data: Buffer): void {
    if (this.#clientClosed) return;
    this.#bytes += data.length;
    this.#since = this.#options.clock.now;
    this.#fromUpstream.push(data);
    if (!this.#client.write(data)) this.#upstream.pause();
    if (this.#ending !== null) this.#proceed();
  }

  #toUpstream(data: Buffer): void {
    if (this.#upstreamClosed || this.#refused) return;
    this.#since = this.#options.clock.now;
    const { meter } = this.#options;
    if (meter === null) this.#fromClient.push(data);
    const passed = meter === null ? data : this.#judged(data, meter);
    if (passed.length > 0 && !this.#upstream.write(passed)) this.#client.pause();
    const refusal = meter?.refusal ?? null;
    if (refusal !== null) this.#limit(refusal);
    if (this.#ending !== null) this.#proceed();
  }

  #judged(data: Buffer, meter: MessageMeter): Buffer {
    const whole = this.#header === null ? data : Buffer.concat([this.#header, data]);
    const passed = this.#fromClient.push(whole, meter, performance.now());
    this.#header = passed === whole.length ? null : whole.subarray(passed);
    return passed === whole.length ? whole : whole.subarray(0, passed);
  }

  #limit(why: MessageRefusal | 'idle'): void {
    if (!this.#options.shadow) {
      this.#refused = why !== 'idle';
      this.end(why);
    } else if (!this.#told) {
      this.#told = true;
      this.#options.onEnd(why);
    }
  }

  /** First the client, whose close frame must not wait for the application's to be answered; then the application. */
  #proceed(): void {
    const code = this.#ending as number;
    if (!this.#clientClosed) {
      if (!this.#fromUpstream.atBoundary) return;
      this.#clientClosed = true;
      if (this.#fromUpstream.closed) this.#client.end();
      else this.#client.end(closeFrame(code, null));
      this.#upstream.resume(); // what still comes is dropped
      setTimeout(() => this.destroy(), CLOSING_MS).unref();
    }
    if (this.#upstreamClosed || !this.#fromClient.atBoundary) return;
    this.#upstreamClosed = true;
    if (this.#fromClient.closed) this.#upstream.end();
    else this.#upstream.end(closeFrame(code, randomBytes(4)));
    this.#client.resume();
  }

  #endOther(other: Socket): void {
    other.end();
    setTimeout(() => this.destroy(), HALF_CLOSED_MS).unref(); // a WebSocket has no use for one direction (RFC 6455 §7.1.1)
  }
}

/** A Close frame with a status code (RFC 6455 §5.5.1), masked as a client must (§5.3) when there is a mask. */
function closeFrame(code: number, mask: Buffer | null): Buffer {
  const [high, low] = [code >> 8, code & 0xff];
  if (mask === null) return Buffer.from([0x88, 0x02, high, low]);
  return Buffer.from([0x88, 0x82, ...mask, high ^ (mask[0] as number), low ^ (mask[1] as number)]);
}
