import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import express, { type Response } from 'express';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { limitPerAddress } from '../../runtime/limit-per-address.ts';
import type { ServerCertificate } from './certificates-secret.ts';
import {
  type AdmissionAnswer,
  type AdmissionHandler,
  type AdmissionRequest,
  readReview,
  reviewResponse,
} from './review.ts';
import { within } from './review-deadline.ts';
import { MAX_HELD_BYTES, MAX_REVIEW_BYTES, readReviewBody, SMALL_REVIEW_BYTES, uidIn } from './webhook-body.ts';
import { WebhookMetrics } from './webhook-metrics.ts';

/** What webhooks are served from. */
export interface WebhookServerOptions {
  /** By path. */
  readonly handlers: Readonly<Record<string, AdmissionHandler>>;
  readonly registry: Registry;
  readonly log: Logger;
  /** How long a decision may take before the request is refused. Default 4000: the API server waits for 5 s. */
  readonly deadlineMs?: number;
}

/** Less than the 5 s after which the API server speaks for us. */
const DEADLINE_MS = 4_000;
const STOP_MS = 5_000;
const MAX_CONNECTIONS = 1_024;
/** Any pod reaches the port; an API server uses one connection for each review that it waits for. */
const MAX_CONNECTIONS_PER_ADDRESS = 256;

const SERVER_OPTIONS = {
  minVersion: 'TLSv1.2',
  handshakeTimeout: 5_000,
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  // Longer than the 90 s of Go's clients: who closes an idle connection first must be the one who sends on it.
  keepAliveTimeout: 120_000,
} as const;

/** The HTTPS server that API servers send admission requests to. It refuses what it cannot decide on. */
export class WebhookServer {
  readonly #server: Server;
  readonly #options: WebhookServerOptions;
  readonly #metrics: WebhookMetrics;
  #heldBytes = 0;
  #hasCertificate = false;

  constructor(options: WebhookServerOptions) {
    this.#options = options;
    this.#metrics = new WebhookMetrics(options.registry);
    const app = express();
    app.disable('x-powered-by');
    app.set('etag', false);
    app.get('/healthz', (_req, res) => {
      res.type('text/plain').send('ok\n');
    });
    for (const [path, handler] of Object.entries(options.handlers)) {
      this.#metrics.inFlight.set({ webhook: path }, 0);
      app.post(path, (req, res) => this.#serve(path, handler, req, res));
    }
    app.use((_req, res) => {
      res.status(404).type('text/plain').send('not found\n');
    });
    this.#server = createServer(SERVER_OPTIONS, app);
    this.#server.maxConnections = MAX_CONNECTIONS;
    limitPerAddress(this.#server, MAX_CONNECTIONS_PER_ADDRESS);
  }

  /** Serves with this certificate from the next connection on. */
  use({ certificate, privateKey, notAfter }: ServerCertificate): void {
    this.#server.setSecureContext({ cert: certificate, key: privateKey, minVersion: SERVER_OPTIONS.minVersion });
    this.#metrics.certificateExpiry.set(notAfter / 1000);
    this.#hasCertificate = true;
  }

  /** Whether there is a certificate to serve with; without one every handshake fails. */
  get hasCertificate(): boolean {
    return this.#hasCertificate;
  }

  /** Rejects with the system's error when the address cannot be had. */
  listen(host: string | undefined, port: number): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  /** Answers what has begun, for 5 s at most, and nothing new. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const timer = setTimeout(() => this.#server.closeAllConnections(), STOP_MS);
    await closed;
    clearTimeout(timer);
  }

  async #serve(path: string, handler: AdmissionHandler, req: IncomingMessage, res: Response): Promise<void> {
    const { inFlight, latency, requests } = this.#metrics;
    inFlight.inc({ webhook: path });
    const stopTimer = latency.startTimer({ webhook: path });
    res.on('close', () => {
      inFlight.dec({ webhook: path });
      stopTimer();
      requests.inc({ webhook: path, code: String(res.statusCode) });
    });
    const bytes = Number(req.headers['content-length']);
    if (!Number.isSafeInteger(bytes)) return refuse(res, 411, 'a Content-Length is needed');
    const tooMuch = this.#tooMuch(bytes);
    const held = tooMuch === null && bytes > SMALL_REVIEW_BYTES ? bytes : 0;
    this.#heldBytes += held;
    try {
      const { head, text } = await readReviewBody(req, tooMuch === null);
      if (tooMuch === null) return await this.#review(path, handler, text, res);
      const uid = uidIn(head);
      if (uid === null) return refuse(res, 413, 'too large');
      res.json(reviewResponse(uid, { allowed: false, message: tooMuch }));
    } catch (error) {
      this.#options.log.warn({ path, err: error }, 'webhook request broken off');
      res.destroy();
    } finally {
      this.#heldBytes -= held;
    }
  }

  /** Why a request of that length is not to be kept in memory; null: it is. */
  #tooMuch(bytes: number): string | null {
    const [is, limit] = [bytes, MAX_REVIEW_BYTES].map((count) => (count / 2 ** 20).toFixed(1));
    if (bytes > MAX_REVIEW_BYTES)
      return `the request has ${is} MiB, and Portcullis reads at most ${limit} MiB; make the object smaller`;
    return bytes > SMALL_REVIEW_BYTES && this.#heldBytes + bytes > MAX_HELD_BYTES
      ? 'Portcullis reads too many large requests at this time; try again'
      : null;
  }

  async #review(path: string, handler: AdmissionHandler, text: string, res: Response): Promise<void> {
    const request = parsed(text);
    if (request === null) return refuse(res, 400, 'not an AdmissionReview of admission.k8s.io/v1');
    res.json(reviewResponse(request.uid, await this.#decide(path, handler, request)));
  }

  async #decide(path: string, handler: AdmissionHandler, request: AdmissionRequest): Promise<AdmissionAnswer> {
    const { log, deadlineMs = DEADLINE_MS } = this.#options;
    const { uid, namespace } = request;
    const decided = (async () => handler(request))().catch((error: unknown) => {
      log.error({ path, uid, namespace, err: error }, 'webhook failed');
      return undecided('could not decide', uid);
    });
    return within(deadlineMs, decided, () => {
      log.error({ path, uid, namespace }, 'webhook was late');
      return undecided(`did not decide within ${deadlineMs / 1000} s`, uid);
    });
  }
}

function undecided(what: string, uid: string): AdmissionAnswer {
  return {
    allowed: false,
    message: `Portcullis ${what} on this request and refuses it; try again (the operator logs why, uid ${uid})`,
  };
}

function refuse(res: Response, status: number, why: string): void {
  res.status(status).set('Connection', 'close').type('text/plain').send(`${why}\n`);
}

function parsed(text: string): AdmissionRequest | null {
  try {
    return readReview(JSON.parse(text));
  } catch {
    return null;
  }
}
