import { normalizeHost } from '../../policy/evaluate/normalize-host.ts';
import { clientMayNotSet, HOP_BY_HOP } from './header-lists.ts';
import type { RequestHead } from './request-head.ts';
import type { ProtocolRefusal } from './rescue.ts';

const MEDIA_TYPE =
  /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[\t ]*;[\t ]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t\x20-\x7e])*"))*$/;
const ABSOLUTE_FORM = /^http:\/\/([^/?#]*)([/?].*)?$/i;
const WEBSOCKET_KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;

/** How the request body is delimited. */
export type RequestFraming = 'none' | 'length' | 'chunked';

/** A request head that is unambiguous: what is decided on and what is forwarded come from here. */
export interface CheckedHead {
  readonly method: string;
  /** Origin-form target as received (from an absolute-form target: its path and query). */
  readonly target: string;
  /** Lower case, without port. */
  readonly host: string;
  /** Host header to send: as received, or the authority of an absolute-form target. */
  readonly authority: string;
  /** The end-to-end headers that are forwarded, without Host: flat, lower-case names. Filters see these and no others. */
  readonly headers: string[];
  /** Header lines to forward, CRLF after each, without Host and without those that we set ourselves. */
  readonly forwardLines: string;
  readonly body: RequestFraming;
  /** Bytes of the body for `length`, else 0. */
  readonly contentLength: number;
  /** The client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1). */
  readonly expectsContinue: boolean;
  /** The connection may carry another request after this one. */
  readonly keepAlive: boolean;
  /** X-Forwarded-For as received, or the empty string; believed only from a trusted proxy. */
  readonly forwardedFor: string;
  /** X-Forwarded-Proto, -Host and -Port lines as received, believed only from a trusted proxy. */
  readonly forwardedLines: string;
  /** X-Request-ID as received, believed only from a trusted proxy. */
  readonly requestId: string;
  /** Sec-WebSocket-Key of a valid WebSocket handshake (RFC 6455 §4.2.1), else the empty string. */
  readonly websocketKey: string;
}

/**
 * Checks a well-formed request head for everything that a peer might read differently than we do, and rewrites it in one canonical
 * form (RFC 9110, RFC 9112; docs/security.md). One pass over the fields.
 */
export function checkHead({ method, target: received, minor, fields }: RequestHead): CheckedHead | ProtocolRefusal {
  if (method === 'CONNECT' || method === 'TRACE' || method === 'TRACK') return 'method_not_allowed';
  const headers: string[] = [];
  let hostHeader: string | null = null;
  let connection = '';
  let upgrade = '';
  let contentLength = '';
  let transferEncoding = '';
  let authorizations = 0;
  let contentTypes = 0;
  let forwardedFor = '';
  let forwardedLines = '';
  let requestId = '';
  let websocketKey = '';
  let websocketVersion = '';
  let expectsContinue = false;

  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    switch (name) {
      case 'host':
        if (hostHeader !== null) return 'bad_host';
        hostHeader = value;
        continue;
      case 'content-length':
        if (contentLength !== '' || !/^[0-9]{1,15}$/.test(value)) return 'bad_framing';
        contentLength = value;
        continue;
      case 'transfer-encoding':
        if (transferEncoding !== '' || value.toLowerCase() !== 'chunked') return 'bad_framing';
        transferEncoding = value;
        continue;
      case 'connection':
        connection = connection === '' ? value.toLowerCase() : `${connection},${value.toLowerCase()}`;
        continue;
      case 'upgrade':
        upgrade = upgrade === '' ? value.toLowerCase() : `${upgrade},${value.toLowerCase()}`;
        continue;
      case 'expect':
        if (value.toLowerCase() !== '100-continue') return 'expectation_failed';
        expectsContinue = true;
        continue;
      case 'authorization':
        if (++authorizations > 1) return 'duplicate_header';
        break;
      case 'content-type':
        if (++contentTypes > 1) return 'duplicate_header';
        if (!MEDIA_TYPE.test(value)) return 'bad_content_type';
        break;
      case 'x-forwarded-for':
        forwardedFor = forwardedFor === '' ? value : `${forwardedFor}, ${value}`;
        continue;
      case 'x-forwarded-proto':
      case 'x-forwarded-host':
      case 'x-forwarded-port':
        forwardedLines += `${name}: ${value}\r\n`;
        continue;
      case 'x-request-id':
        requestId = value;
        continue;
      case 'sec-websocket-key':
        websocketKey = websocketKey === '' ? value : ',';
        break;
      case 'sec-websocket-version':
        websocketVersion = websocketVersion === '' ? value : ',';
        break;
      default:
        if (HOP_BY_HOP.has(name) || clientMayNotSet(name)) continue;
    }
    headers.push(name, value);
  }
  if (contentLength !== '' && transferEncoding !== '') return 'bad_framing';
  if (transferEncoding !== '' && minor === 0) return 'bad_framing';

  let target = received;
  if (target.charCodeAt(0) !== 0x2f) {
    const absolute = ABSOLUTE_FORM.exec(target);
    if (absolute === null) return 'bad_target';
    if (hostHeader === null && minor === 1) return 'bad_host';
    hostHeader = absolute[1] as string;
    const rest = absolute[2] ?? '/';
    target = rest.charCodeAt(0) === 0x2f ? rest : `/${rest}`;
  }
  if (hostHeader === null) return 'bad_host';
  const host = normalizeHost(hostHeader);
  if (host === null) return 'bad_host';

  const tokens =
    connection === '' || connection === 'keep-alive' || connection === 'close' ? null : connection.split(',');
  const websocket = upgrade === 'websocket' && tokens?.some((token) => token.trim() === 'upgrade') === true;
  if (websocket) {
    if (method !== 'GET' || minor === 0 || contentLength > '0' || transferEncoding !== '') return 'bad_upgrade';
    if (!WEBSOCKET_KEY.test(websocketKey) || websocketVersion !== '13') return 'bad_upgrade';
  }
  if (tokens !== null) dropNamed(headers, tokens);
  let lines = '';
  for (let i = 0; i < headers.length; i += 2) lines += `${headers[i]}: ${headers[i + 1]}\r\n`;

  let body: RequestFraming = 'none';
  if (transferEncoding !== '') {
    body = 'chunked';
    lines += 'transfer-encoding: chunked\r\n';
  } else if (contentLength !== '') {
    body = /^0+$/.test(contentLength) ? 'none' : 'length';
    lines += `content-length: ${Number(contentLength)}\r\n`;
  }
  return {
    method,
    target,
    host,
    authority: hostHeader,
    headers,
    forwardLines: lines,
    body,
    contentLength: body === 'length' ? Number(contentLength) : 0,
    // RFC 9110 §10.1.1: from HTTP/1.0 it is ignored.
    expectsContinue: expectsContinue && body !== 'none' && minor === 1,
    keepAlive: minor === 1 && tokens?.some((token) => token.trim() === 'close') !== true && connection !== 'close',
    forwardedFor,
    forwardedLines,
    requestId,
    websocketKey: websocket ? websocketKey : '',
  };
}

/**
 * Headers that Connection names are for this hop alone (RFC 9110 §7.6.1). Host, framing and everything that we set ourselves
 * are kept apart or added after this, so a client cannot name them away; nor may it name its credentials away.
 */
function dropNamed(headers: string[], tokens: readonly string[]): void {
  const named = new Set(tokens.map((token) => token.trim()));
  named.delete('authorization');
  named.delete('cookie');
  for (let i = headers.length - 2; i >= 0; i -= 2) if (named.has(headers[i] as string)) headers.splice(i, 2);
}
