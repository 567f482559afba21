import type { RetryReason } from '../api/egress.ts';
import { type Check, count, flag, list, name, nullable, object, oneOf, someOf } from './check.ts';
import { type CircuitBreakerConfig, circuitBreakerShape } from './circuit-breaker.ts';

/** Requests that a broker is asked: every one of these methods (none named: any) on every one of these path patterns. */
export interface EgressAllow {
  readonly methods: readonly string[];
  readonly paths: readonly string[];
}

/** One server outside that the application reaches through its sidecar. */
export interface EgressConfig {
  readonly name: string;
  /** An https origin as WHATWG URL writes it, without a dot at the end of its host. */
  readonly origin: string;
  readonly allow: readonly EgressAllow[];
  /** For all pods together; null: unlimited. `burst` 0: a sliding window, else a token bucket of that size. */
  readonly rate: { readonly limit: number; readonly windowMs: number; readonly burst: number } | null;
  /** How long a request above the rate may wait for its turn. */
  readonly waitMs: number;
  /** Null: nothing is tried again. */
  readonly retry: EgressRetry | null;
  /** Null: there is none. */
  readonly circuitBreaker: CircuitBreakerConfig | null;
  /** The header that is added, its name in lower case. Secret. */
  readonly credential: { readonly header: string; readonly value: string } | null;
  /** PEM: the only authorities that may vouch for the server; null: the public ones. */
  readonly ca: string | null;
  readonly allowPrivateAddresses: boolean;
}

/** When a request is tried again. */
export interface EgressRetry {
  /** Tries of one request, the first included. */
  readonly attempts: number;
  readonly retryOn: readonly RetryReason[];
  readonly baseMs: number;
  readonly maxMs: number;
}

const names = list(name);

/** Checks what a limits bundle says of egress, member for member. */
export const egressConfigs: Check<readonly EgressConfig[]> = someOf(
  object<EgressConfig>({
    name,
    origin: name,
    allow: someOf(object<EgressAllow>({ methods: names, paths: someOf(name) })),
    rate: nullable(object<NonNullable<EgressConfig['rate']>>({ limit: count(1), windowMs: count(1), burst: count(0) })),
    waitMs: count(0),
    retry: nullable(
      object<EgressRetry>({
        attempts: count(1),
        retryOn: someOf(oneOf('429', '5xx', 'connect')),
        baseMs: count(1),
        maxMs: count(1),
      }),
    ),
    circuitBreaker: nullable(circuitBreakerShape),
    credential: nullable(object<NonNullable<EgressConfig['credential']>>({ header: name, value: name })),
    ca: nullable(name),
    allowPrivateAddresses: flag,
  }),
);
