/** Ends a call: with a reply, or with the error that the server answered; undefined when no answer came. */
export type Settle = (error: Error | null | undefined, reply: unknown) => void;

/** What a PendingCalls tells its owner. */
export interface PendingCallsListener {
  /** The oldest call is out of time; runs before the calls are settled. */
  onTimeout(): void;
  /** A call that was settled as unanswered has been answered after all. */
  onLateAnswer(): void;
}

/** A timer this late means that the event loop was busy; then the calls may have been sent only now. */
const BUSY_MS = 2;
/** So long, once, calls made by a busy event loop wait beyond their time-out: its slowness is not the store's. */
const BUSY_GRACE_MS = 10;

interface PendingCall {
  deadline: number;
  graced: boolean;
  settle: Settle | null;
}

/**
 * Calls that wait for an answer, all with the same time-out, so that one timer serves them all. When the oldest is out of time every
 * one of them is settled as unanswered: a request never waits behind a store that does not answer.
 */
export class PendingCalls {
  readonly #timeoutMs: number;
  readonly #listener: PendingCallsListener;
  #calls: PendingCall[] = [];
  #head = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(timeoutMs: number, listener: PendingCallsListener) {
    this.#timeoutMs = timeoutMs;
    this.#listener = listener;
  }

  /** Registers a call; what it returns is to be given the answer, and does nothing after the call was settled. */
  add(settle: Settle): Settle {
    const call: PendingCall = { deadline: performance.now() + this.#timeoutMs, graced: false, settle };
    this.#calls.push(call);
    if (this.#timer === null) this.#arm(this.#timeoutMs);
    return (error, reply) => {
      const waiting = call.settle;
      call.settle = null;
      this.#dropSettled();
      if (waiting !== null) waiting(error, reply);
      else if (!(error instanceof Error)) this.#listener.onLateAnswer();
    };
  }

  /** Settles every call as unanswered. */
  settleAll(): void {
    const calls = this.#calls;
    this.#calls = [];
    this.#head = 0;
    for (const call of calls) {
      const waiting = call.settle;
      call.settle = null;
      waiting?.(undefined, undefined);
    }
  }

  #arm(delayMs: number): void {
    const due = performance.now() + delayMs;
    this.#timer = setTimeout(() => {
      if (performance.now() - due > BUSY_MS) this.#grantGrace();
      // What has arrived already is read before anything is called late.
      setImmediate(() => this.#expire());
    }, delayMs);
    this.#timer.unref();
  }

  #grantGrace(): void {
    const deadline = performance.now() + BUSY_GRACE_MS;
    for (let i = this.#head; i < this.#calls.length; i++) {
      const call = this.#calls[i]!;
      if (!call.graced) call.deadline = Math.max(call.deadline, deadline);
      call.graced = true;
    }
  }

  #expire(): void {
    this.#timer = null;
    const oldest = this.#calls[this.#head];
    if (oldest === undefined) return;
    const leftMs = oldest.deadline - performance.now();
    if (leftMs > 0) {
      this.#arm(leftMs);
      return;
    }
    this.#listener.onTimeout();
    this.settleAll();
  }

  #dropSettled(): void {
    while (this.#head < this.#calls.length && this.#calls[this.#head]!.settle === null) this.#head++;
    if (this.#head === this.#calls.length) {
      this.#calls.length = 0;
      this.#head = 0;
    } else if (this.#head >= 1024) {
      this.#calls = this.#calls.slice(this.#head);
      this.#head = 0;
    }
  }
}
