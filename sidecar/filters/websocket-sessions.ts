import { compileSubjectKey } from '../../policy/evaluate/subject-key.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { type Decision, denial, type Filter } from '../pipeline/filter.ts';
import type { WebSocketSession, WebSocketSessions } from '../stores/websocket-sessions.ts';

const FULL = denial('too_many_connections', 'connection', 'websocketPerUser', ['retry-after', '1']);
/** Stands on an exchange that is over. */
const OVER: WebSocketSession = { close: () => {} };

/** Lets a user (an address, where there is none) have so many WebSockets open at a time, and no other request feel it. */
export function websocketSessions(sessions: WebSocketSessions, limit: number, shadow: boolean): Filter {
  const userOf = compileSubjectKey(['user']);
  const settle = (exchange: Exchange, session: WebSocketSession | null): Decision => {
    if (session === null) return FULL;
    // The client may have left while the store was asked.
    if (exchange.websocketSession === OVER) session.close();
    else exchange.websocketSession = session;
    return undefined;
  };
  return {
    name: 'websocket-sessions',
    shadow,
    onRequest: (exchange) => {
      if (!exchange.upgrade) return undefined;
      const session = sessions.open(userOf(exchange.addressKey, exchange.identity, '', ''), limit);
      return session instanceof Promise
        ? session.then((settled) => settle(exchange, settled))
        : settle(exchange, session);
    },
    onFinish: (exchange) => {
      exchange.websocketSession?.close();
      exchange.websocketSession = OVER;
    },
  };
}
