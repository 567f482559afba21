import type { Socket } from 'node:net';
import type { Exchange } from '../pipeline/exchange.ts';
import { type Denial, denial } from '../pipeline/filter.ts';
import type { EngineContext, Pipeline } from './engine-context.ts';
import { MessageMeter } from './message-meter.ts';
import { Tunnel, type TunnelEnd } from './tunnel.ts';

const IN_SHADOW: Readonly<Partial<Record<TunnelEnd, Denial>>> = {
  too_many_messages: denial('rate_limited', 'connection', 'too_many_messages'),
  message_too_big: denial('body_too_large', 'connection', 'message_too_big'),
  idle: denial('too_many_connections', 'connection', 'idle'),
};

/** The two ends of a WebSocket whose handshake was accepted, with what each sent too early. */
export interface TunnelEnds {
  readonly client: Socket;
  readonly early: Buffer;
  readonly upstream: Socket;
  readonly rest: Buffer;
}

/** Answers 101 with these headers and joins the two ends, under the rules of the pipeline that let the handshake in. */
export function openTunnel(
  context: EngineContext,
  { connections: { config, shadow } }: Pipeline,
  exchange: Exchange,
  { client, early, upstream, rest }: TunnelEnds,
  headers: readonly string[],
  onClosed: () => void,
): void {
  let head = 'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n';
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  const { messagesPerSecond, maxMessageBytes, idleTimeoutMs } = config;
  const counted = messagesPerSecond !== undefined || maxMessageBytes !== undefined;
  const tunnel = new Tunnel(client, upstream, `${head}\r\n`, rest, early, {
    clock: context.clock,
    meter: counted ? new MessageMeter(config, shadow) : null,
    shadow,
    idleTimeoutMs: idleTimeoutMs ?? Number.POSITIVE_INFINITY,
    stillValid: exchange.stillValid,
    onEnd: (why) => {
      const denied = shadow ? IN_SHADOW[why] : undefined;
      if (denied !== undefined) {
        exchange.shadowDenials ??= [];
        exchange.shadowDenials.push(denied);
        return;
      }
      if (why !== 'draining') exchange.refusal = why;
      context.onTunnelEnd(why);
    },
    onClosed: () => {
      exchange.bytesSent = tunnel.bytesToClient;
      context.tunnels.delete(tunnel);
      onClosed();
    },
  });
  context.tunnels.add(tunnel);
}
