/** A closed list of what can go wrong inside Portcullis, as codes that logs, tests and callers match on. */
export type ErrorCode =
  | 'bundle_corrupt'
  | 'bundle_unsigned'
  | 'bundle_foreign'
  | 'bundle_older'
  | 'bundle_too_large'
  | 'bundle_invalid'
  | 'certificate_invalid'
  | 'config_invalid'
  | 'exports_refused'
  | 'keyring_conflict'
  | 'keyring_invalid'
  | 'keyring_refused'
  | 'key_refused'
  | 'outbound_failed'
  | 'outbound_refused'
  | 'policy_invalid';

/** Whether trying the same thing again can help: `never` (fix the input), `later` (the world may change). */
export type Retry = 'never' | 'later';

/** The one error class of the project: a code to match on, a message for the reader at 3 a.m., the cause beneath. */
export class PortcullisError extends Error {
  readonly code: ErrorCode;
  readonly retry: Retry;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retry?: Retry } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'PortcullisError';
    this.code = code;
    this.retry = options.retry ?? 'never';
  }
}
