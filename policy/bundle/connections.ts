import { count, object } from './check.ts';

/** What a RateLimitPolicy says of connections; an absent member limits nothing. */
export interface ConnectionsConfig {
  /** Client connections that a pod holds, over all its ports. */
  readonly perPod: number;
  /** Of those, from one address (IPv6: one /64) that is no trusted proxy. */
  readonly perAddress: number;
  /** Open WebSockets of one user, over all pods. */
  readonly websocketPerUser?: number;
  /** Messages that a client may send in a second on one WebSocket. */
  readonly messagesPerSecond?: number;
  /** Largest message of a client on a WebSocket, in bytes as sent. */
  readonly maxMessageBytes?: number;
  /** Longest silence of both sides of a WebSocket. */
  readonly idleTimeoutMs?: number;
}

/** The caps of a pod whose policy says nothing of connections. */
export const DEFAULT_CONNECTIONS = { perPod: 5_000, perAddress: 1_000 } as const satisfies ConnectionsConfig;

/** Checks `connections` of a limits bundle, member for member. */
export const connectionsShape = object<ConnectionsConfig>(
  {
    perPod: count(1),
    perAddress: count(1),
    websocketPerUser: count(1),
    messagesPerSecond: count(1),
    maxMessageBytes: count(1),
    idleTimeoutMs: count(1),
  },
  ['websocketPerUser', 'messagesPerSecond', 'maxMessageBytes', 'idleTimeoutMs'],
);
