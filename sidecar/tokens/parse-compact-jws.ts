import { JWT_ALGORITHMS } from '../../policy/bundle/types.ts';
import { type JsonObject, parseStrictJsonObject } from './strict-json.ts';
import type { TokenRefusal } from './token-verifier.ts';

/** Longest token accepted, in characters; a token that passes is ASCII, so in bytes too. */
const MAX_TOKEN_BYTES = 8192;

/** Deepest nesting of header and claims. */
const MAX_DEPTH = 16;

const ALGORITHMS: ReadonlySet<string> = new Set(JWT_ALGORITHMS);

/**
 * Header members that ask for what a verifier with keys of its own never does: keys or certificates that the token
 * brings or points to (RFC 7515 §4.1.2 to §4.1.6), extensions (§4.1.11, RFC 7797), encryption (RFC 7516 §4.1).
 */
const REFUSED_HEADERS = ['crit', 'b64', 'jku', 'jwk', 'x5u', 'x5c', 'enc', 'zip'];

/**
 * Media types of an access token, lower case: JWT (RFC 7519 §5.1), at+jwt (RFC 9068 §2.1), each also in full. Absent is
 * accepted, because most issuers leave it out; everything else (an id token of its own type, a DPoP proof, a logout
 * token) was not meant for an API (RFC 8725 §3.11).
 */
const TYPES: ReadonlySet<string> = new Set(['jwt', 'at+jwt', 'application/jwt', 'application/at+jwt']);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A well-formed token whose signature nobody has checked yet. */
export interface ParsedJws {
  readonly algorithm: string;
  readonly kid: string;
  readonly claims: JsonObject;
  /** What was signed: the first two parts and the dot between them (RFC 7515 §5.1). */
  readonly signingInput: Buffer;
  readonly signature: Buffer;
}

/**
 * Parses a compact JWS (RFC 7515 §7.1) whose payload is a JWT claims set, more strictly than libraries do: canonical
 * base64url, strict UTF-8, JSON objects without repeated members, only headers that this verifier understands. Returns
 * the reason when it refuses; never throws.
 */
export function parseCompactJws(token: string): ParsedJws | TokenRefusal {
  if (token.length > MAX_TOKEN_BYTES) return 'too_large';
  const parts = token.split('.', 6);
  if (parts.length === 5) return 'unsupported';
  const [encodedHeader, encodedClaims, encodedSignature] = parts;
  if (
    parts.length !== 3 ||
    encodedHeader === undefined ||
    encodedClaims === undefined ||
    encodedSignature === undefined
  ) {
    return 'malformed';
  }

  const header = decodeObject(encodedHeader);
  if (header === undefined) return 'malformed';
  const refusal = checkHeader(header);
  if (refusal !== null) return refusal;
  const algorithm = header['alg'];
  const kid = header['kid'];
  if (typeof algorithm !== 'string') return 'malformed';
  if (!ALGORITHMS.has(algorithm)) return 'algorithm';
  if (kid === undefined) return 'unknown_key';
  if (typeof kid !== 'string') return 'malformed';

  const claims = decodeObject(encodedClaims);
  const signature = decodeBase64Url(encodedSignature);
  if (claims === undefined || signature === undefined || signature.length === 0) return 'malformed';
  const signingInput = Buffer.from(token.slice(0, encodedHeader.length + 1 + encodedClaims.length), 'latin1');
  return { algorithm, kid, claims, signingInput, signature };
}

function checkHeader(header: JsonObject): TokenRefusal | null {
  for (const name of REFUSED_HEADERS) {
    if (Object.hasOwn(header, name)) return 'unsupported';
  }
  const type = header['typ'];
  if (type === undefined) return null;
  if (typeof type !== 'string') return 'malformed';
  return TYPES.has(type.toLowerCase()) ? null : 'unsupported';
}

function decodeObject(part: string): JsonObject | undefined {
  const bytes = decodeBase64Url(part);
  if (bytes === undefined) return undefined;
  try {
    return parseStrictJsonObject(utf8.decode(bytes), MAX_DEPTH);
  } catch {
    return undefined;
  }
}

/** Decodes canonical base64url without padding (RFC 7515 §2); undefined for every other spelling of the same bytes. */
export function decodeBase64Url(text: string): Buffer | undefined {
  // Buffer skips what it does not know. Only the canonical spelling survives the way back: alphabet, length, no
  // padding, no whitespace and zero trailing bits in one comparison.
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
