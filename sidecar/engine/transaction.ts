import type { Socket } from 'node:net';
import type { Violation } from '../../policy/evaluate/body/body-config.ts';
import type { BodyRefusal, BodySource, Exchange } from '../pipeline/exchange.ts';
import type { Answer, Denial } from '../pipeline/filter.ts';
import { runFinish, runRequest, runResponse } from '../pipeline/run-pipeline.ts';
import { isAcceptedHandshake } from './accepted-handshake.ts';
import type { AnswerFraming } from './answer-writer.ts';
import { BodyCollector } from './body-collector.ts';
import type { CheckedHead } from './check-head.ts';
import type { ClientConnection } from './client-connection.ts';
import type { ClientRequest } from './client-request.ts';
import type { EngineContext, Pipeline } from './engine-context.ts';
import { openTunnel } from './open-tunnel.ts';
import { type Cause, type ProtocolRefusal, problemBody, RESCUE, type UpstreamFailure } from './rescue.ts';
import type { ResponseHead } from './response-head.ts';
import type { ResponseSink, UpstreamConnection } from './upstream-connection.ts';

/** RFC 9110 §9.2.2: only these may be sent again when a kept connection turned out to be closed. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/**
 * So long a connection is not read after a request of it was refused for want of time: answering the next one would take as much again.
 * Less than the Retry-After that it was told.
 */
const SHED_REST_MS = 500;

/** One request from its checked head to the end of its answer: decided on, forwarded, answered, counted. */
export class Transaction implements ResponseSink, ClientRequest, BodySource {
  readonly exchange: Exchange;
  readonly #context: EngineContext;
  readonly #pipeline: Pipeline;
  readonly #client: ClientConnection;
  readonly #head: CheckedHead;
  #upstream: UpstreamConnection | null = null;
  #collector: BodyCollector | null = null;
  #bodyRefusal: BodyRefusal | null = null;
  /** Set while the body is being collected. */
  #onCollected: ((body: Buffer | BodyRefusal) => void) | null = null;
  #answerStarted = false;
  #bodySent = false;
  #continued = false;
  #retried = false;
  #finished = false;

  constructor(
    context: EngineContext,
    pipeline: Pipeline,
    client: ClientConnection,
    head: CheckedHead,
    exchange: Exchange,
  ) {
    this.#context = context;
    this.#pipeline = pipeline;
    this.#client = client;
    this.#head = head;
    this.exchange = exchange;
    exchange.body = this;
    exchange.application = context.application;
    client.begin(this);
  }

  /** Runs the policy, then forwards or answers. */
  run(): void {
    const decision = runRequest(this.#pipeline.filters, this.exchange, this.#context.onFilterFault);
    if (decision instanceof Promise) {
      if (this.#head.body !== 'none' && this.#onCollected === null) this.#client.pauseBody();
      void decision.then((settled) => this.#decided(settled));
    } else this.#decided(decision);
  }

  async readBody(maxBytes: number): Promise<Buffer | BodyRefusal> {
    const { body, contentLength } = this.#head;
    if (body === 'none') return Buffer.alloc(0);
    if (this.#bodyRefusal !== null) return this.#bodyRefusal;
    if (body === 'length' && contentLength > maxBytes) return 'body_too_large';
    if (this.#collector !== null) {
      const whole = this.#collector.body;
      return whole.length > maxBytes ? 'body_too_large' : whole;
    }
    this.#collector = new BodyCollector(maxBytes, this.#context.bodies);
    const collected = new Promise<Buffer | BodyRefusal>((resolve) => {
      this.#onCollected = resolve;
    });
    this.#takeBody();
    return collected;
  }

  #collected(result: Buffer | BodyRefusal): void {
    const resolve = this.#onCollected;
    this.#onCollected = null;
    resolve?.(result);
  }

  #takeBody(): void {
    if (this.#head.expectsContinue && !this.#continued) {
      this.#continued = true;
      this.#client.sendContinue();
    }
    this.#client.resumeBody();
  }

  #decided(decision: Denial | Answer | undefined): void {
    if (this.#finished) return;
    this.exchange.decision = decision;
    if (decision !== undefined) this.exchange.decidedBy = this.#pipeline.filters[this.exchange.entered - 1]?.name ?? '';
    if (decision === undefined) this.#forward();
    else if (decision.kind === 'answer') this.#answer(decision.status, [...decision.headers], decision.body, true);
    else {
      if (decision.layer === 'shed') this.#client.rest(SHED_REST_MS);
      this.exchange.refusalReason = decision.reason;
      this.refuse(decision.code, decision.headers, decision.violations);
    }
  }

  /** Answers with the problem document of a cause (RFC 9457), or cuts the connection when an answer has begun. */
  refuse(cause: Cause, extra: readonly string[] = [], violations?: readonly Violation[]): void {
    if (this.#finished) return;
    this.#upstream?.destroy();
    this.#upstream = null;
    this.exchange.refusal = cause;
    if (this.#answerStarted) {
      this.#client.destroy(); // what has begun and cannot be completed must not look complete; onGone finishes
      return;
    }
    const rescue = RESCUE[cause];
    const headers = ['content-type', 'application/problem+json', 'cache-control', 'no-store', ...extra];
    this.#answer(rescue.status, headers, problemBody(cause, this.exchange.id, violations), !rescue.close);
  }

  #answer(status: number, headers: string[], body: string, keepAlive: boolean): void {
    this.exchange.status = status;
    runResponse(this.#pipeline.filters, this.exchange, headers, this.#context.onFilterFault);
    headers.push('x-request-id', this.exchange.id);
    if (status !== 204 && status !== 304) headers.push('content-length', String(body.length));
    const bytes = body === '' || this.exchange.method === 'HEAD' ? null : Buffer.from(body, 'latin1');
    this.#start(status, headers, 'length', keepAlive);
    this.#client.endAnswer(bytes);
    this.exchange.bytesSent = bytes?.length ?? 0;
    this.#finish();
  }

  #start(status: number, headers: string[], framing: AnswerFraming, keepAlive: boolean): void {
    this.#answerStarted = true;
    // Refused without 100: whether its body or its next request comes now, only the client knows.
    const uncertain = this.#head.expectsContinue && !this.#continued;
    const close = this.#context.draining || this.exchange.upgrade || uncertain;
    this.#client.startAnswer(status, headers, framing, keepAlive && !close);
  }

  #forward(fresh = false): void {
    const { exchange } = this;
    const head = this.#head;
    const { upstreams } = this.#context;
    const upstream = exchange.upgrade ? upstreams.acquireForUpgrade() : upstreams.acquire(fresh);
    this.#upstream = upstream;
    const ours = this.#pipeline.forwardLines(exchange, this.#client.peer, head);
    upstream.start(
      this,
      exchange.method,
      `${exchange.method} ${exchange.path}${exchange.query} HTTP/1.1\r\nhost: ${head.authority}\r\n${head.forwardLines}${ours}\r\n`,
    );
    if (head.body === 'none') {
      this.#bodySent = true;
      upstream.finishRequest();
    } else {
      if (this.#collector !== null) this.#sendBody(upstream, this.#collector.body);
      if (this.#bodySent) this.#endBody(upstream);
      else this.#takeBody();
    }
  }

  #sendBody(upstream: UpstreamConnection, data: Buffer): boolean {
    if (this.#head.body !== 'chunked') return upstream.write(data);
    return data.length === 0 || upstream.writeChunk(data);
  }

  #endBody(upstream: UpstreamConnection): void {
    if (this.#head.body === 'chunked') upstream.write('0\r\n\r\n');
    upstream.finishRequest();
  }

  // ---- what the client sends -----------------------------------------------------------------------------------------

  onBody(data: Buffer): void {
    if (this.#onCollected !== null) {
      this.#bodyRefusal = this.#collector?.push(data) ?? null;
      if (this.#bodyRefusal === null) return;
      this.#client.pauseBody();
      this.#collected(this.#bodyRefusal);
      return;
    }
    const upstream = this.#upstream;
    if (upstream !== null && !this.#sendBody(upstream, data)) this.#client.pauseBody();
  }

  onBodyEnd(): void {
    this.#bodySent = true;
    if (this.#onCollected !== null) this.#collected(this.#collector?.body ?? 'aborted');
    else if (this.#upstream !== null) this.#endBody(this.#upstream);
  }

  onBodyFailure(cause: ProtocolRefusal): void {
    this.refuse(cause);
  }

  onDrain(): void {
    this.#upstream?.resume();
  }

  onGone(): void {
    if (this.#finished) return;
    this.#upstream?.destroy();
    this.#upstream = null;
    if (this.exchange.status === 0) this.exchange.status = 499;
    this.#finish();
  }

  // ---- what the application answers ----------------------------------------------------------------------------------

  onUpstreamDrain(): void {
    this.#client.resumeBody();
  }

  onHead(head: ResponseHead): void {
    this.exchange.status = head.status;
    const headers = this.#ownHeaders(head);
    const framing = head.framing === 'until-close' ? 'chunked' : head.framing;
    this.#start(head.status, headers, framing, this.#bodySent);
  }

  onAnswerBody(chunk: Buffer | null, last: boolean): void {
    if (chunk !== null) this.exchange.bytesSent += chunk.length;
    if (last) {
      if (!this.#bodySent) this.#upstream?.destroy();
      this.#upstream = null;
      this.#client.endAnswer(chunk);
      this.#finish();
    } else if (chunk !== null && !this.#client.writeAnswer(chunk)) this.#upstream?.pause();
  }

  onUpgrade(head: ResponseHead, socket: Socket, rest: Buffer): void {
    this.#upstream = null;
    if (!this.exchange.upgrade || !isAcceptedHandshake(head, this.#head.websocketKey)) {
      socket.destroy();
      this.refuse('upstream_protocol');
      return;
    }
    this.exchange.status = 101;
    const headers = this.#ownHeaders(head);
    const ends = { client: this.#client.socket, early: this.#client.detach(), upstream: socket, rest };
    openTunnel(this.#context, this.#pipeline, this.exchange, ends, headers, () => this.#finish());
  }

  onFailure(cause: UpstreamFailure, error: Error | null): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    const stale = cause === 'upstream_reset' && upstream?.failedStale === true;
    const repeatable = this.#head.body === 'none' || (this.#collector !== null && this.#bodySent);
    if (stale && !this.#retried && repeatable && IDEMPOTENT.has(this.exchange.method)) {
      this.#retried = true;
      this.#forward(true);
      return;
    }
    this.exchange.refusalReason = error?.message ?? '';
    this.refuse(cause);
  }

  onStalled(): void {
    this.#upstream = null;
    this.#client.destroy(); // as when it leaves: onGone finishes
  }

  /** The application's headers without those that the policy decides alone, and ours. */
  #ownHeaders({ headers: received }: ResponseHead): string[] {
    const owned = this.#pipeline.ownedAnswerHeaders;
    const headers: string[] = [];
    for (let i = 0; i < received.length; i += 2) {
      const name = received[i] as string;
      if (!owned.has(name)) headers.push(name, received[i + 1] as string);
    }
    runResponse(this.#pipeline.filters, this.exchange, headers, this.#context.onFilterFault);
    headers.push('x-request-id', this.exchange.id);
    return headers;
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#bodyRefusal ??= 'aborted';
    this.#collected('aborted');
    this.#collector?.release();
    runFinish(this.#pipeline.filters, this.exchange, this.#context.onFilterFault);
  }
}
