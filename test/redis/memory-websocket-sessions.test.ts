import { MemoryWebSocketSessions } from '../../sidecar/stores/websocket-sessions.ts';
import { websocketSessionSuite } from './websocket-session-suite.ts';

const sessions = new MemoryWebSocketSessions();
websocketSessionSuite('WebSockets in memory', () => sessions);
