import type { CheckedHead } from './check-head.ts';
import type { ClientConnection } from './client-connection.ts';
import type { Cause, ProtocolRefusal } from './rescue.ts';

/** Serves one request at a time on a connection. */
export interface RequestHandler {
  /** A new request: the handler calls `begin`, or refuses it at once. It must end by `endAnswer`, `detach` or `destroy`. */
  onRequest(connection: ClientConnection, head: CheckedHead): void;
  /** Malformed HTTP that was answered by the connection itself. */
  onProtocolRefusal(cause: Cause, peer: string, requestId: string): void;
  nextRequestId(): string;
  onClosed(connection: ClientConnection): void;
}

/** What a request under way hears from its connection. */
export interface ClientRequest {
  onBody(data: Buffer): void;
  onBodyEnd(): void;
  /** The body is malformed or too slow: answer if that is still possible. */
  onBodyFailure(cause: ProtocolRefusal): void;
  onDrain(): void;
  onGone(): void;
}
