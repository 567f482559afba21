import type { Violation } from '../../policy/evaluate/body/body-config.ts';
import type { DenialCode } from '../pipeline/filter.ts';

/** Malformed or unacceptable HTTP, refused whatever the policy's mode. */
export type ProtocolRefusal =
  | 'malformed_request'
  | 'bad_framing'
  | 'bad_host'
  | 'bad_path'
  | 'bad_target'
  | 'duplicate_header'
  | 'bad_upgrade'
  | 'target_too_long'
  | 'headers_too_large'
  | 'chunk_extensions_too_large'
  | 'bad_content_type'
  | 'method_not_allowed'
  | 'expectation_failed'
  | 'request_timeout';

/** What can go wrong between us and the application. */
export type UpstreamFailure = 'upstream_connect' | 'upstream_timeout' | 'upstream_reset' | 'upstream_protocol';

/** Why a request to a broker got no answer of the broker's; see docs/egress.md. */
export type EgressFailure =
  | 'egress_unknown'
  | 'egress_refused'
  | 'egress_connect'
  | 'egress_timeout'
  | 'egress_reset'
  | 'egress_protocol'
  | 'egress_websocket';

/** Every reason for an answer that the application did not give. */
export type Cause = DenialCode | ProtocolRefusal | UpstreamFailure | EgressFailure | 'policy_not_loaded';

/** How a cause looks to the client: nothing here depends on the request. */
export interface Rescue {
  readonly status: number;
  readonly title: string;
  /** One sentence without anything sensitive. */
  readonly detail: string;
  /** The connection cannot be trusted to be in step any more (RFC 9112 §9.6). */
  readonly close: boolean;
}

function r(status: number, title: string, detail: string, close = false): Rescue {
  return Object.freeze({ status, title, detail, close });
}

/** The one table from cause to HTTP answer; docs/errors.md is compared with it in CI. */
export const RESCUE: Readonly<Record<Cause, Rescue>> = Object.freeze({
  token_missing: r(401, 'Unauthorized', 'This request needs a token.'),
  token_invalid: r(401, 'Unauthorized', 'The token was not accepted.'),
  api_key_invalid: r(401, 'Unauthorized', 'The API key was not accepted.'),
  signature_invalid: r(401, 'Unauthorized', 'The signature of the request was not accepted.'),
  no_rule: r(403, 'Forbidden', 'No rule of the access policy covers this request.'),
  forbidden: r(403, 'Forbidden', 'The access policy does not allow this request for this identity.'),
  condition_error: r(403, 'Forbidden', 'A condition of the access policy could not be evaluated for this request.'),
  tenant_mismatch: r(403, 'Forbidden', 'The request is not clearly about the tenant of this identity.'),
  outside_schedule: r(403, 'Forbidden', 'The access policy does not allow this request at this time.'),
  origin_mismatch: r(403, 'Forbidden', 'A cookie identity needs an Origin that the access policy trusts.'),
  body_invalid: r(400, 'Bad Request', 'The body is not what this operation takes; errors lists what is wrong.'),
  body_too_large: r(413, 'Content Too Large', 'The body is larger than this operation takes.'),
  unsupported_media_type: r(415, 'Unsupported Media Type', 'The body is of a type that this operation does not take.'),
  overloaded: r(503, 'Service Unavailable', 'Too much is under way; Retry-After says when to come back.'),
  rate_limited: r(429, 'Too Many Requests', 'A rate limit is used up; Retry-After says when to come back.'),
  blocked: r(429, 'Too Many Requests', 'Requests like this are blocked for a time; Retry-After says until when.'),
  store_unavailable: r(503, 'Service Unavailable', 'The store that this decision needs does not answer.'),
  too_many_connections: r(429, 'Too Many Requests', 'Too many connections are open; close some, or come back later.'),
  circuit_open: r(
    503,
    'Service Unavailable',
    'The application fails and is left alone; Retry-After says when to come back.',
  ),
  symmetric_key_set: r(404, 'Not Found', 'The keys of this key set are secrets, of which there is no JWKS.'),
  egress_not_allowed: r(403, 'Forbidden', 'The policy does not let this request go to this broker.'),
  credentials_invalid: r(401, 'Unauthorized', 'User name and password do not fit.'),
  credentials_unavailable: r(502, 'Bad Gateway', 'The application could not say whether user name and password fit.'),
  refresh_token_invalid: r(401, 'Unauthorized', 'The refresh token was not accepted; log in again.'),
  signing_key_missing: r(503, 'Service Unavailable', 'What tokens are signed by has not reached this pod yet.'),
  tokens_not_issued: r(404, 'Not Found', 'This pod issues no tokens.'),
  post_only: r(405, 'Method Not Allowed', 'This endpoint takes POST only.'),
  egress_circuit_open: r(
    503,
    'Service Unavailable',
    'The broker failed too often and is left alone for a while; Retry-After says how long.',
  ),
  internal_error: r(500, 'Internal Server Error', 'The request could not be decided and was therefore refused.'),
  policy_not_loaded: r(503, 'Service Unavailable', 'No valid access policy has been loaded yet.'),
  malformed_request: r(400, 'Bad Request', 'The request is not well-formed HTTP/1.1.', true),
  bad_framing: r(400, 'Bad Request', 'Content-Length and Transfer-Encoding do not say one clear length.', true),
  bad_host: r(400, 'Bad Request', 'The request needs exactly one valid Host.', true),
  bad_path: r(400, 'Bad Request', 'The path has an ambiguous or forbidden form.', true),
  bad_target: r(400, 'Bad Request', 'The request target must be a path.', true),
  duplicate_header: r(400, 'Bad Request', 'A header that may occur once occurs more often.', true),
  bad_upgrade: r(400, 'Bad Request', 'The WebSocket handshake is not valid (RFC 6455, section 4.2.1).', true),
  target_too_long: r(414, 'URI Too Long', 'The request target is longer than 8 KiB.', true),
  headers_too_large: r(431, 'Request Header Fields Too Large', 'More than 100 headers or 16 KiB of them.', true),
  chunk_extensions_too_large: r(413, 'Content Too Large', 'The chunk extensions or trailers are too long.', true),
  bad_content_type: r(415, 'Unsupported Media Type', 'The Content-Type is not a valid media type.', true),
  method_not_allowed: r(405, 'Method Not Allowed', 'CONNECT and TRACE are not served.', true),
  expectation_failed: r(417, 'Expectation Failed', 'The only expectation that is met is 100-continue.', true),
  request_timeout: r(408, 'Request Timeout', 'The request did not arrive fast enough.', true),
  upstream_connect: r(502, 'Bad Gateway', 'The application does not accept connections.'),
  upstream_timeout: r(504, 'Gateway Timeout', 'The application did not answer in time.'),
  upstream_reset: r(502, 'Bad Gateway', 'The application closed the connection before it had answered.'),
  egress_unknown: r(404, 'Not Found', 'The policy has no egress of this name.'),
  egress_refused: r(502, 'Bad Gateway', 'The address of the broker is not one that may be connected to.'),
  egress_connect: r(502, 'Bad Gateway', 'The broker could not be reached; nothing was sent to it.'),
  egress_timeout: r(504, 'Gateway Timeout', 'The broker did not answer in time; it may have acted on the request.'),
  egress_reset: r(502, 'Bad Gateway', 'The broker closed the connection; it may have acted on the request.'),
  egress_protocol: r(502, 'Bad Gateway', 'The broker answered with something that is not valid HTTP/1.1.'),
  egress_websocket: r(501, 'Not Implemented', 'WebSockets do not pass through egress.'),
  upstream_protocol: r(502, 'Bad Gateway', 'The application answered with something that is not valid HTTP/1.1.'),
});

/**
 * The RFC 9457 body for a cause. `type` points to the line in docs/errors.md; `violations` become its `errors`, in ASCII.
 */
export function problemBody(cause: Cause, requestId: string, violations: readonly Violation[] = []): string {
  const { status, title, detail } = RESCUE[cause];
  const errors = violations.map(({ pointer, message }) => ({ pointer, detail: message }));
  const more = errors.length === 0 ? '' : `,"errors":${ascii(JSON.stringify(errors))}`;
  return `{"type":"https://portcullis.dev/errors#${cause}","title":"${title}","status":${status},"detail":"${detail}","code":"${cause}","requestId":"${requestId}"${more}}\n`;
}

/** The answer to a cause where no policy adds to it: its headers, flat, and its body. */
export function problemAnswer(
  cause: Cause,
  requestId: string,
  more: readonly string[] = [],
): { readonly headers: readonly string[]; readonly body: Buffer } {
  const body = Buffer.from(problemBody(cause, requestId), 'latin1');
  const headers = ['content-type', 'application/problem+json', 'cache-control', 'no-store', ...more];
  headers.push('x-request-id', requestId, 'content-length', String(body.length));
  return { headers, body };
}

/** JSON may write any character as its code units. */
function ascii(json: string): string {
  return json.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
