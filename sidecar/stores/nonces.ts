/** `unknown`: nobody can tell whether it was used before: the store does not answer, or has lost what it knew. */
export type NonceVerdict = 'new' | 'used' | 'unknown';

/** A nonce of a client, with the instant that its request says. */
export interface NonceUse {
  /** Letters, digits, `.`, `-` and `_`, as the nonce. */
  readonly client: string;
  readonly nonce: string;
  /** Epoch milliseconds that the signed request carries. */
  readonly timestampMs: number;
  /** Requests whose timestamp is further than this from a sidecar's clock are refused before. */
  readonly toleranceMs: number;
}

/** Nonces of signed requests, each good once for as long as its timestamp can be accepted. Never rejects. */
export interface NonceStore {
  /** Remembers a nonce, and says whether it was there. `now`: epoch milliseconds. */
  use(nonce: NonceUse, now: number): NonceVerdict | Promise<NonceVerdict>;
}

/** Clocks of replicas, and the store's, may be apart by this much. */
const CLOCK_MARGIN_MS = 10_000;

/** How long a nonce is remembered: a timestamp may lie ahead by the tolerance, and is good until as much after. */
export function nonceLifetimeMs({ toleranceMs }: Pick<NonceUse, 'toleranceMs'>): number {
  return 2 * toleranceMs + CLOCK_MARGIN_MS;
}

/** Whether a request with this timestamp may have been used before `lostAt`, when what was known until then was lost. */
export function mayPrecede({ timestampMs, toleranceMs }: NonceUse, lostAt: number): boolean {
  return timestampMs - toleranceMs - CLOCK_MARGIN_MS <= lostAt;
}
