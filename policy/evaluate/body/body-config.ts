/** What a rule of an AccessPolicy demands of request bodies, as a bundle carries it (`rules[].body`). */
export interface BodyConfig {
  /** Media types without parameters, lower case. Those named `…/json` or `…+json` and forms are parsed, others pass as they are. */
  readonly contentTypes: readonly string[];
  readonly maxBytes: number;
  /** JSON Schema, draft 2020-12; null demands nothing of the content. */
  readonly schema: unknown;
  /** CEL over `body` and what every condition sees. An error in a rule counts as violated. */
  readonly rules: readonly { readonly rule: string; readonly message: string }[];
}

/** One thing wrong with a body. Says nothing of the values in it: they may be secrets. */
export interface Violation {
  /** JSON Pointer (RFC 6901) of the member; for a missing one where it would stand. Empty: the whole body. */
  readonly pointer: string;
  readonly message: string;
}

/** Why a body is not let through: answered 400, 413 and 415. */
export interface BodyRefusal {
  readonly code: 'body_invalid' | 'body_too_large' | 'unsupported_media_type';
  /** Never empty. */
  readonly violations: readonly Violation[];
}
