import type { Violation } from '../../policy/evaluate/body/body-config.ts';
import type { UpstreamFailure } from '../engine/rescue.ts';
import type { Exchange } from './exchange.ts';

/** The parts of the pipeline that decide, in their order: the `layer` label of portcullis_shadow_denials_total. */
export type Layer =
  | 'blocklist'
  | 'authenticate'
  | 'csrf'
  | 'limit'
  | 'authorize'
  | 'validate'
  | 'egress'
  | 'shed'
  | 'connection'
  | 'breaker'
  | 'tokens';

/** A refusal as a value. Frozen constants where nothing varies, so that a denial allocates nothing. */
export interface Denial {
  readonly kind: 'deny';
  /** Looked up in engine/rescue.ts, the one table from cause to HTTP answer. */
  readonly code: DenialCode | UpstreamFailure;
  readonly layer: Layer;
  /** For the log and explain: which rule, limit or reason. Never sent to the client. */
  readonly reason: string;
  /** Extra answer headers, flat: name, value, name, value. */
  readonly headers: readonly string[];
  /** What is wrong with the body, for the client. */
  readonly violations?: readonly Violation[];
}

/** What a policy refuses with; each has a line in docs/errors.md. */
export type DenialCode =
  | 'token_missing'
  | 'token_invalid'
  | 'api_key_invalid'
  | 'signature_invalid'
  | 'no_rule'
  | 'forbidden'
  | 'condition_error'
  | 'tenant_mismatch'
  | 'outside_schedule'
  | 'origin_mismatch'
  | 'body_invalid'
  | 'body_too_large'
  | 'unsupported_media_type'
  | 'overloaded'
  | 'rate_limited'
  | 'blocked'
  | 'too_many_connections'
  | 'circuit_open'
  | 'store_unavailable'
  | 'symmetric_key_set'
  | 'credentials_invalid'
  | 'credentials_unavailable'
  | 'refresh_token_invalid'
  | 'signing_key_missing'
  | 'tokens_not_issued'
  | 'post_only'
  | 'egress_not_allowed'
  | 'egress_circuit_open'
  | 'internal_error';

/** A complete answer that is not a refusal (a CORS preflight, the JWKS). */
export interface Answer {
  readonly kind: 'answer';
  readonly status: number;
  readonly headers: readonly string[];
  /** ASCII; not sent to HEAD. */
  readonly body: string;
}

/** `undefined` lets the request go on. */
export type Decision = Denial | Answer | undefined;

/**
 * One layer. `onRequest` runs in the order of build-pipeline.ts until one decides; `onResponse` may add answer headers and
 * `onFinish` counts and logs: both run in reverse order for every filter that was entered, on denials too.
 * A filter that throws or rejects denies with `internal_error`.
 */
export interface Filter {
  readonly name: string;
  /** Set for filters whose decisions belong to a policy with `mode: Shadow`: counted and logged, not carried out. */
  readonly shadow?: boolean;
  onRequest?(exchange: Exchange): Decision | Promise<Decision>;
  onResponse?(exchange: Exchange, headers: string[]): void;
  onFinish?(exchange: Exchange): void;
}

/** Makes a denial that is the same for every request it answers. */
export function denial(code: DenialCode, layer: Layer, reason: string, headers: readonly string[] = []): Denial {
  return Object.freeze({ kind: 'deny', code, layer, reason, headers });
}
