import type { Identity, RuleMatch } from '../../policy/evaluate/access-evaluator.ts';
import { addressKey } from '../../policy/evaluate/address-key.ts';
import type { NormalizedPath } from '../../policy/evaluate/normalize-path.ts';
import type { Application } from '../engine/application-client.ts';
import type { Demand, Quota } from '../stores/limiter-store.ts';
import type { WebSocketSession } from '../stores/websocket-sessions.ts';
import type { Decision, Denial } from './filter.ts';

/** Why a body is not there to be looked at as a whole; `aborted`: it never came to its end. */
export type BodyRefusal = 'body_too_large' | 'overloaded' | 'aborted';

/** Where a filter that must see a whole request body gets it. */
export interface BodySource {
  /** All of the body, which is then forwarded byte for byte; it may be asked for again. */
  readBody(maxBytes: number): Promise<Buffer | BodyRefusal>;
}

const NO_BODY: BodySource = { readBody: () => Promise.resolve(Buffer.alloc(0)) };

/** One request as filters see it: what was checked and normalised, never the parser's own objects. */
export class Exchange {
  /** X-Request-ID of this request, its log line and its audit record. */
  readonly id: string;
  readonly method: string;
  /** Normalised path: the one that rules decide on and that is forwarded. */
  readonly path: NormalizedPath;
  /** Query with its leading `?`, or the empty string, as it is forwarded: authenticate takes tokens out. Never part of a match. */
  query: string;
  /** Lower case, without port or trailing dot. */
  readonly host: string;
  /** Host as the client sees it, port included: what an Origin of the same site names. */
  readonly authority: string;
  /** End-to-end headers that are forwarded: lower-case names and values, alternating. */
  readonly headers: readonly string[];
  /** Address that limits, rules and logs use: the socket's, or the one trusted proxies vouch for. */
  readonly clientAddress: string;
  /** True for a WebSocket handshake. */
  readonly upgrade: boolean;
  /** Epoch milliseconds of arrival. */
  readonly receivedAt: number;
  /** performance.now() of arrival, milliseconds. */
  readonly startedAt: number;

  #addressKey: string | null = null;
  body: BodySource = NO_BODY;
  /** The application that the request would go to; null: none, as in explain. */
  application: Application | null = null;
  rule: RuleMatch | null = null;
  identity: Identity | null = null;
  /** True when the identity came from a cookie, which browsers send by themselves. */
  identityFromCookie = false;
  /** Name, in the policy, of what accepted the credential; empty without an identity. */
  authenticator = '';
  tier = 'anonymous';
  /** True once a Reserved lane admitted this request: throttles and shedding let it pass. */
  reservedLane = false;
  /** Counters that this request was charged to, with what they said; in step. */
  demands: readonly Demand[] | null = null;
  quotas: readonly Quota[] | null = null;
  /** The application's port on this pod that the request is for; 0: it came by none. */
  upstreamPort = 0;
  /** Of the circuit breaker; 0: it gave none. */
  breakerPermit = 0;
  /** Its place among its user's open WebSockets. */
  websocketSession: WebSocketSession | null = null;
  /** For a WebSocket, asked now and then while it is open: whether it would still be let in. `now` in epoch milliseconds. */
  stillValid: ((now: number) => boolean) | null = null;
  /** What the policies decided; null: nothing yet. */
  decision: Decision | null = null;
  /** Name of the layer that decided; empty: none, the request was forwarded. */
  decidedBy = '';
  /** What the answer was refused with, by policy or by the engine; empty when it was not. */
  refusal = '';
  refusalReason = '';
  /** Set by the login endpoint when credentials were refused: the name as the client wrote it. */
  loginFailure: { readonly user: string } | null = null;
  /** Set by the login endpoint when somebody logged in, under the name as the client wrote it. */
  loginSuccess: { readonly user: string } | null = null;
  /** Set by the refresh endpoint when a token came back after it had been replaced: whose it was. */
  refreshReuse: { readonly user: string } | null = null;
  /** For the login endpoint, to be asked before it looks at a password: the denial of a name that is under attack. */
  loginGuard: ((user: string, exchange: Exchange) => Promise<Denial | undefined>) | null = null;
  /** Decisions that Shadow mode did not carry out. */
  shadowDenials: Denial[] | null = null;
  /** HTTP status of the answer; 0 until there is one, 499 when the client left first. */
  status = 0;
  /** Body bytes sent to the client. */
  bytesSent = 0;
  /** Filters entered so far: those whose onResponse and onFinish run. */
  entered = 0;

  constructor(
    id: string,
    method: string,
    path: NormalizedPath,
    query: string,
    host: string,
    authority: string,
    headers: readonly string[],
    clientAddress: string,
    upgrade: boolean,
    receivedAt: number,
    startedAt: number,
  ) {
    this.id = id;
    this.method = method;
    this.path = path;
    this.query = query;
    this.host = host;
    this.authority = authority;
    this.headers = headers;
    this.clientAddress = clientAddress;
    this.upgrade = upgrade;
    this.receivedAt = receivedAt;
    this.startedAt = startedAt;
  }

  /** What `clientAddress` is counted by; made when a limit first asks. */
  get addressKey(): string {
    this.#addressKey ??= addressKey(this.clientAddress);
    return this.#addressKey;
  }

  /** The first value of a header by its lower-case name. */
  header(name: string): string | undefined {
    const headers = this.headers;
    for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1];
    return undefined;
  }
}
