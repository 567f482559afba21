import type { IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { PortcullisError } from '../../policy/errors.ts';
import { type AllowedAddressesOptions, allowedAddresses, failed, pinnedLookup, refused } from './allowed-addresses.ts';

/** What a fetch may do. */
export interface FetchPinnedOptions extends AllowedAddressesOptions {
  /** PEM: the only authorities that may vouch for servers; null: the public ones. */
  readonly ca: string | null;
  /** For the whole of it, redirects included. Default 5,000. */
  readonly timeoutMs?: number;
  /** Of the answer's body. Default 262,144. */
  readonly maxBytes?: number;
}

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 262_144;
const MAX_REDIRECTS = 3;
const REDIRECTS: ReadonlySet<number | undefined> = new Set([301, 302, 303, 307, 308]);
/** RFC 8259, RFC 7517 §8.5.2, RFC 6839 §3.1. */
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json[ \t]*(?:;|$)/i;

/**
 * Fetches a JSON document by GET over https from where a URL leads, if that is somewhere to go: each host is resolved once,
 * every address of it must be allowed, and the connection goes to an address that was checked; the same again at each of at
 * most 3 redirects. TLS is always verified, no proxy is used, no connection outlives the answer. Rejects with `outbound_refused`
 * for what may not be asked, `outbound_failed` (retry `later`) for what does not answer 200 with JSON in time and size.
 */
export async function fetchPinned(uri: string, options: FetchPinnedOptions): Promise<Buffer> {
  const { timeoutMs = TIMEOUT_MS } = options;
  const signal = AbortSignal.timeout(timeoutMs);
  const tooLate = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(failed(uri, `no answer within ${timeoutMs} ms`)), { once: true });
  });
  tooLate.catch(() => {});
  return Promise.race([followRedirects(uri, options, signal), tooLate]);
}

async function followRedirects(uri: string, options: FetchPinnedOptions, signal: AbortSignal): Promise<Buffer> {
  let url = checkedUrl(uri);
  for (let redirects = 0; ; redirects++) {
    const answer = await get(url, await allowedAddresses(url, options), options, signal);
    if (!REDIRECTS.has(answer.statusCode)) return readJson(url, answer, options.maxBytes ?? MAX_BYTES);
    answer.destroy();
    const { location } = answer.headers;
    if (location === undefined) throw failed(url.href, `status ${answer.statusCode} without a Location`);
    if (redirects === MAX_REDIRECTS) throw failed(url.href, `more than ${MAX_REDIRECTS} redirects`);
    url = checkedUrl(location, url);
  }
}

/** The URL as WHATWG reads it; throws `outbound_refused` unless it is https, and without user, fragment and backslash. */
function checkedUrl(text: string, base?: URL): URL {
  const url = URL.parse(text, base?.href);
  if (url === null) throw refused(shown(text), 'it is no URL');
  if (url.protocol !== 'https:') throw refused(shown(text), 'it is not https');
  if (url.username !== '' || url.password !== '') throw refused(shown(text), 'it holds a user');
  // WHATWG takes a backslash for a slash, other parsers do not.
  if (text.includes('\\')) throw refused(shown(text), 'it holds a backslash');
  if (text.includes('#')) throw refused(shown(text), 'it holds a fragment');
  return url;
}

function get(
  url: URL,
  addresses: readonly string[],
  { ca }: FetchPinnedOptions,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const how: RequestOptions = {
    // Also where NODE_TLS_REJECT_UNAUTHORIZED=0 and NODE_USE_ENV_PROXY=1 say otherwise.
    agent: false,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(ca !== null && { ca }),
    headers: { accept: 'application/json, application/jwk-set+json', 'accept-encoding': 'identity' },
    maxHeaderSize: 16_384,
    lookup: pinnedLookup(addresses),
    signal,
  };
  return new Promise((resolve, reject) => {
    const asking = request(url, how, resolve);
    asking.once('error', (cause) => reject(failed(url.href, cause.message || 'no connection', cause)));
    asking.end();
  });
}

async function readJson(url: URL, answer: IncomingMessage, maxBytes: number): Promise<Buffer> {
  try {
    const { statusCode, headers } = answer;
    if (statusCode !== 200) throw failed(url.href, `status ${statusCode}`);
    if (!JSON_TYPE.test(headers['content-type'] ?? '')) throw failed(url.href, 'its Content-Type is not JSON');
    if (headers['content-encoding'] !== undefined) throw failed(url.href, 'it is compressed, which nobody asked for');
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw failed(url.href, `more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (cause) {
    throw cause instanceof PortcullisError ? cause : failed(url.href, 'the answer broke off', cause);
  } finally {
    answer.destroy();
  }
}

/** A URL that was refused, without what may be a password in it. */
function shown(text: string): string {
  return text.slice(0, 256).replace(/\/\/[^/]*@/, '//…@');
}
