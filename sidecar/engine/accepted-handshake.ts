import { createHash } from 'node:crypto';
import type { ResponseHead } from './response-head.ts';

const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** True when a 101 answer accepts exactly the handshake that was sent (RFC 6455 §4.1). */
export function isAcceptedHandshake(head: ResponseHead, key: string): boolean {
  if (head.status !== 101 || head.upgrade !== 'websocket' || key === '') return false;
  const expected = createHash('sha1').update(`${key}${WEBSOCKET_GUID}`).digest('base64');
  const at = head.headers.indexOf('sec-websocket-accept');
  return at >= 0 && head.headers[at + 1] === expected;
}
