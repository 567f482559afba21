import { createHash } from 'node:crypto';

/** A JSON document that anybody may fetch and keep for a while. */
export interface CacheableDocument {
  readonly contentType: string;
  /** ASCII. */
  readonly body: string;
  /** Strong (RFC 9110 §8.8.3): a hash of the body. */
  readonly etag: string;
}

/** One answer to GET or HEAD; the body is for GET only. */
export interface CacheableAnswer {
  readonly status: 200 | 304;
  /** Flat: name, value, name, value. */
  readonly headers: readonly string[];
  readonly body: string;
}

/** What `value` is served as. */
export function cacheableDocument(contentType: string, value: object): CacheableDocument {
  const body = `${JSON.stringify(value)}\n`;
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
  return { contentType, body, etag };
}

/**
 * The answer to a request with that If-None-Match (RFC 9110 §13.1.2). `random` is from 0 to below 1, for the max-age.
 */
export function answerFrom(
  { contentType, body, etag }: CacheableDocument,
  maxAgeMs: number,
  ifNoneMatch: string | undefined,
  random: number,
): CacheableAnswer {
  const headers = ['etag', etag, 'cache-control', `public, max-age=${randomMaxAge(maxAgeMs, random)}`];
  if (ifNoneMatch !== undefined && names(ifNoneMatch, etag)) return { status: 304, headers, body: '' };
  return { status: 200, headers: ['content-type', contentType, ...headers], body };
}

/**
 * Whole seconds between the half of `maxAgeMs` and all of it, never above: caches that were filled together must not all
 * come back together.
 */
function randomMaxAge(maxAgeMs: number, random: number): number {
  const most = Math.floor(maxAgeMs / 1000);
  const least = Math.min(Math.ceil(maxAgeMs / 2000), most);
  return least + Math.floor(random * (most - least + 1));
}

function names(ifNoneMatch: string, etag: string): boolean {
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes('*') || tags.includes(etag);
}
