import { PortcullisError } from '../../policy/errors.ts';
import type { ClientConnection } from '../engine/client-connection.ts';
import type { ClientRequest } from '../engine/client-request.ts';
import { type Cause, type ProtocolRefusal, problemAnswer, RESCUE, type UpstreamFailure } from '../engine/rescue.ts';
import type { ResponseHead } from '../engine/response-head.ts';
import type { ResponseSink, UpstreamConnection } from '../engine/upstream-connection.ts';
import { awaitTurn } from './await-turn.ts';
import type { BrokerRequest, EgressRequestContext } from './broker-request.ts';
import { Nap } from './nap.ts';
import { brokerHead } from './request-head.ts';
import { type Again, Tries } from './tries.ts';
import { TryPermit } from './try-permit.ts';

/** A body of at most so many bytes is held, so that it can be sent again. */
const MOST_HELD_BYTES = 65_536;
/** RFC 9110 §9.2.2: what may be sent again when it is not known whether it arrived. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);
const FAILURES: Readonly<Record<UpstreamFailure, Cause>> = {
  upstream_connect: 'egress_connect',
  upstream_timeout: 'egress_timeout',
  upstream_reset: 'egress_reset',
  upstream_protocol: 'egress_protocol',
};

/** One request of the application to a broker: counted, sent, tried again where that is safe, answered. */
export class EgressRequest implements ClientRequest, ResponseSink {
  readonly request: BrokerRequest;
  /** Status of the answer; 0 until there is one, 499 when the application left first. */
  status = 0;
  readonly tries: Tries;
  /** Why there is no answer of the broker's, and what exactly was wrong; empty: there is one. */
  refusal = '';
  refusalReason = '';
  readonly #context: EgressRequestContext;
  readonly #client: ClientConnection;
  readonly #permit: TryPermit;
  /** Over as soon as the application leaves. */
  readonly #nap = new Nap();
  #upstream: UpstreamConnection | null = null;
  /** The body, where it is held to be sent again. */
  #held: Buffer[] | null = null;
  #bodySent = false;
  #continued = false;
  #answerStarted = false;
  #discarding = false;
  #fresh = false;
  #finished = false;
  /** Settles the try under way: null when nothing more is to be done. */
  #settle: ((again: Again | null) => void) | null = null;

  constructor(context: EgressRequestContext, client: ClientConnection, request: BrokerRequest) {
    this.#context = context;
    this.#client = client;
    this.request = request;
    this.#permit = new TryPermit(request.breaker);
    this.tries = new Tries(request.broker.retry, context.random);
    client.begin(this);
  }

  run(): void {
    const { head } = this.request;
    if (head.body === 'none') void this.#go();
    else if (IDEMPOTENT.has(head.method) && head.contentLength <= MOST_HELD_BYTES && !isChunked(head)) {
      this.#held = [];
      this.#takeBody();
    } else {
      this.#client.pauseBody(); // untouched until there is a connection
      void this.#go();
    }
  }

  /** Whether it may be sent once more when it may have arrived. */
  get #repeatable(): boolean {
    const { method, body } = this.request.head;
    return IDEMPOTENT.has(method) && (body === 'none' || this.#held !== null);
  }

  #takeBody(): void {
    if (this.request.head.expectsContinue && !this.#continued) {
      this.#continued = true;
      this.#client.sendContinue();
    }
    this.#client.resumeBody();
  }

  async #go(): Promise<void> {
    try {
      while (
        !this.#finished &&
        this.#isLetThrough(this.#permit.isOpen(performance.now())) &&
        (await this.#isAdmitted())
      ) {
        this.tries.count++;
        const again = await this.#try();
        if (again === null) return;
        this.#context.onRetry(this.request.broker, again.reason);
        await this.#nap.take(again.delayMs);
        if (this.#discarding) this.#dropUpstream();
      }
    } catch (error) {
      this.#context.onFault(error);
      this.refuse('internal_error');
    }
  }

  /** Goes on unless the circuit breaker refuses; answers 503 then. */
  #isLetThrough(refused: boolean): boolean {
    const { broker } = this.request;
    if (!refused) return true;
    this.#context.onCircuitOpen(broker);
    if (this.#context.shadow) return true;
    this.refuse(broker.circuitOpen.code, ['retry-after', this.#permit.retryAfter(performance.now())]);
    return false;
  }

  /** Whether the rate leaves room for a try now, or within the time that the request may wait; answers 429 when not. */
  async #isAdmitted(): Promise<boolean> {
    const { broker } = this.request;
    const { limiter, shadow, now, onThrottled } = this.#context;
    if (broker.demand === null) return true;
    const retryAfterMs = await awaitTurn(broker.demand, shadow ? 0 : broker.waitMs, {
      limiter,
      now,
      sleep: (ms) => this.#nap.take(ms).then(() => !this.#finished),
      onThrottled: () => onThrottled(broker),
    });
    if (this.#finished) return false;
    if (retryAfterMs === 0 || shadow) return true;
    this.refuse(broker.overRate.code, ['retry-after', String(Math.ceil(retryAfterMs / 1_000))]);
    return false;
  }

  /** One try. Resolves when its answer has begun, or cannot come any more. */
  async #try(): Promise<Again | null> {
    const { connections, head } = this.request;
    if (!this.#isLetThrough(!this.#permit.admit(performance.now()))) return null;
    let upstream: UpstreamConnection;
    try {
      upstream = await (this.#fresh ? connections.open() : connections.acquire());
    } catch (error) {
      if (!(error instanceof PortcullisError)) throw error;
      if (error.code === 'outbound_failed') this.#permit.settle(true);
      if (this.#finished) return null;
      const again = error.code === 'outbound_failed' ? this.tries.after('connect') : null;
      if (again !== null) return again;
      this.refusalReason = error.message;
      this.refuse(error.code === 'outbound_failed' ? 'egress_connect' : 'egress_refused');
      return null;
    }
    if (this.#finished) {
      connections.onIdle(upstream);
      return null;
    }
    this.#upstream = upstream;
    const settled = new Promise<Again | null>((resolve) => {
      this.#settle = resolve;
    });
    upstream.start(this, head.method, brokerHead(this.request));
    if (head.body === 'none' || this.#held !== null) {
      for (const chunk of this.#held ?? []) upstream.write(chunk);
      this.#bodySent = true;
      upstream.finishRequest();
    } else this.#takeBody();
    return settled;
  }

  #end(again: Again | null): void {
    const settle = this.#settle;
    this.#settle = null;
    settle?.(again);
  }

  // ---- what the application sends ------------------------------------------------------------------------------------

  onBody(data: Buffer): void {
    // A view would keep the whole of what was read with it.
    if (this.#held !== null) this.#held.push(Buffer.from(data));
    else if (this.#upstream !== null) {
      const ready = isChunked(this.request.head)
        ? data.length === 0 || this.#upstream.writeChunk(data)
        : this.#upstream.write(data);
      if (!ready) this.#client.pauseBody();
    }
  }

  onBodyEnd(): void {
    if (this.#held !== null) void this.#go();
    else if (this.#upstream !== null) {
      this.#bodySent = true;
      if (isChunked(this.request.head)) this.#upstream.write('0\r\n\r\n');
      this.#upstream.finishRequest();
    }
  }

  onBodyFailure(cause: ProtocolRefusal): void {
    this.refuse(cause);
  }

  onDrain(): void {
    this.#upstream?.resume();
  }

  onGone(): void {
    if (this.status === 0) this.status = 499;
    this.#finish();
  }

  // ---- what the broker answers ---------------------------------------------------------------------------------------

  onUpstreamDrain(): void {
    this.#client.resumeBody();
  }

  onHead({ status, headers, framing }: ResponseHead): void {
    this.#permit.settle(status >= 500);
    const again = this.#repeatable ? this.tries.afterAnswer(status, headers, this.#context.now()) : null;
    if (again !== null) {
      this.#discarding = true;
      this.#end(again);
      return;
    }
    const ours = ['x-request-id', this.request.id];
    this.#start(status, [...headers, ...ours], framing === 'until-close' ? 'chunked' : framing, this.#bodySent);
  }

  onAnswerBody(chunk: Buffer | null, last: boolean): void {
    if (this.#discarding) {
      if (!last) return;
      this.#discarding = false;
      this.#upstream = null;
    } else if (last) {
      if (!this.#bodySent) this.#upstream?.destroy();
      this.#upstream = null;
      this.#client.endAnswer(chunk);
      this.#finish();
    } else if (chunk !== null && !this.#client.writeAnswer(chunk)) this.#upstream?.pause();
  }

  onUpgrade(_head: ResponseHead, socket: { destroy(): unknown }): void {
    this.#upstream = null;
    socket.destroy();
    this.refuse('egress_protocol');
  }

  onFailure(cause: UpstreamFailure, error: Error | null): void {
    const stale = cause === 'upstream_reset' && this.#upstream?.failedStale === true;
    this.#upstream = null;
    if (this.#discarding) {
      this.#discarding = false;
      return;
    }
    if (stale && !this.#fresh && this.#repeatable) {
      this.#fresh = true;
      this.tries.count--; // what a kept connection lost was no try
      this.#permit.cancel();
      this.#end({ reason: 'stale', delayMs: 0 });
      return;
    }
    if (!this.#answerStarted) this.#permit.settle(true);
    const canRepeat = !this.#answerStarted && this.#repeatable && cause !== 'upstream_protocol';
    const again = canRepeat ? this.tries.after('5xx') : null;
    if (again !== null) {
      this.#end(again);
      return;
    }
    this.refusalReason = error?.message ?? '';
    this.refuse(FAILURES[cause]);
  }

  onStalled(): void {
    this.#upstream = null;
    this.#client.destroy();
  }

  // ---- the answer ----------------------------------------------------------------------------------------------------

  #start(status: number, headers: readonly string[], framing: 'none' | 'length' | 'chunked', keepAlive: boolean): void {
    this.#answerStarted = true;
    this.status = status;
    // Refused without 100: whether its body or its next request comes now, only the application knows.
    const uncertain = this.request.head.expectsContinue && !this.#continued;
    this.#client.startAnswer(status, headers, framing, keepAlive && !uncertain);
  }

  /** Answers with the problem document of a cause, or cuts the connection when an answer has begun. */
  refuse(cause: Cause, extra: readonly string[] = []): void {
    if (this.#finished) return;
    this.refusal = cause;
    if (this.#answerStarted) {
      this.#client.destroy(); // onGone finishes
      return;
    }
    const { id, head } = this.request;
    const { headers, body } = problemAnswer(cause, id, extra);
    this.#start(RESCUE[cause].status, headers, 'length', !RESCUE[cause].close);
    this.#client.endAnswer(head.method === 'HEAD' ? null : body);
    this.#finish();
  }

  #dropUpstream(): void {
    this.#discarding = false;
    this.#upstream?.destroy();
    this.#upstream = null;
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#dropUpstream();
    this.#nap.end();
    this.#permit.cancel();
    this.#end(null);
    this.#context.onFinish(this);
  }
}

function isChunked({ body }: BrokerRequest['head']): boolean {
  return body === 'chunked';
}
