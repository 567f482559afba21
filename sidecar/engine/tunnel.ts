import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { FrameTracker } from './frame-tracker.ts';
import type { ResponseHead } from './response-head.ts';

const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Close frame, status 1001 "going away" (RFC 6455 §7.4.1), as a server sends it: unmasked. */
const GOING_AWAY = Buffer.from([0x88, 0x02, 0x03, 0xe9]);
/** How long the second side of a tunnel may take to close after the first. */
const HALF_CLOSED_MS = 10_000;

/** An open WebSocket: bytes pass untouched in both directions with backpressure. */
export interface Tunnel {
  /** Ends the tunnel with 1001 as soon as no frame is half sent, at the latest after `graceMs`. */
  goAway(graceMs: number): void;
  /** Cuts both sides. */
  destroy(): void;
}

/** True when a 101 answer accepts exactly the handshake that was sent (RFC 6455 §4.1). */
export function isAcceptedHandshake(head: ResponseHead, key: string): boolean {
  if (head.status !== 101 || head.upgrade !== 'websocket' || key === '') return false;
  const expected = createHash('sha1').update(`${key}${WEBSOCKET_GUID}`).digest('base64');
  const at = head.headers.indexOf('sec-websocket-accept');
  return at >= 0 && head.headers[at + 1] === expected;
}

/**
 * Joins a client and the application after a 101. `rest` and `early` are bytes that came with the heads. `onClosed` is called
 * once, with the bytes sent to the client.
 */
export function openTunnel(
  client: Socket,
  upstream: Socket,
  headers: readonly string[],
  rest: Buffer,
  early: Buffer | null,
  onClosed: (bytesToClient: number) => void,
): Tunnel {
  const tracker = new FrameTracker();
  let bytes = 0;
  let leaving = false;
  let open = 2;
  const destroyBoth = (): void => {
    client.destroy();
    upstream.destroy();
  };
  const leave = (): void => {
    upstream.removeAllListeners('data');
    upstream.resume(); // what still comes is dropped
    client.end(GOING_AWAY);
    setTimeout(destroyBoth, 1_000).unref();
  };
  const toClient = (data: Buffer): void => {
    bytes += data.length;
    tracker.push(data);
    if (!client.write(data)) upstream.pause();
    if (leaving && tracker.atBoundary) leave();
  };

  let head = 'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n';
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  client.write(`${head}\r\n`, 'latin1');
  if (rest.length > 0) toClient(rest);
  if (early !== null && early.length > 0) upstream.write(early);

  upstream.on('data', toClient);
  client.on('drain', () => upstream.resume());
  client.on('data', (data) => {
    if (!upstream.write(data)) client.pause();
  });
  upstream.on('drain', () => client.resume());
  const endOther = (other: Socket) => (): void => {
    other.end();
    setTimeout(destroyBoth, HALF_CLOSED_MS).unref(); // a WebSocket has no use for one direction (RFC 6455 §7.1.1)
  };
  upstream.on('end', endOther(client));
  client.on('end', endOther(upstream));
  for (const [socket, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    socket.setTimeout(0);
    socket.setKeepAlive(true, 30_000);
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      other.destroySoon(); // what was read before is still delivered
      if (--open === 0) onClosed(bytes);
    });
  }
  client.resume();
  upstream.resume();

  return {
    goAway: (graceMs) => {
      if (leaving || open < 2) return;
      leaving = true;
      if (tracker.atBoundary) leave();
      else setTimeout(destroyBoth, graceMs).unref();
    },
    destroy: destroyBoth,
  };
}
