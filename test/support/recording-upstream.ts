import { createServer, type Socket } from 'node:net';
import { type Message, parseMessages } from './http-messages.ts';
import { serve } from './tcp-server.ts';

/** What an upstream does with a request: bytes to answer with, or something worse. */
export type UpstreamBehaviour = (request: Message, socket: Socket) => void;

/** An application that writes down what it is sent. */
export interface RecordingUpstream {
  readonly port: number;
  /** Every complete request, in order of arrival. */
  readonly requests: readonly Message[];
  /** Every byte, connection after connection: what did not become a request shows here. */
  received(): string;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Forgets what was recorded. */
  clear(): void;
  /** From now on requests are met with this; without it, with 200. */
  behave(behaviour?: UpstreamBehaviour): void;
  close(): Promise<void>;
}

/** Answers 200 with a small JSON that repeats the request line, and keeps the connection. */
const answerOk: UpstreamBehaviour = (request, socket) => {
  const body = JSON.stringify({ saw: request.startLine });
  const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  socket.write(request.startLine.startsWith('HEAD ') ? head : head + body, 'latin1');
};

/** Answers with exact bytes and keeps the connection. */
export function answerBytes(bytes: string): UpstreamBehaviour {
  return (_request, socket) => void socket.write(bytes, 'latin1');
}

/** Answers with exact bytes and closes. */
export function answerAndClose(bytes: string): UpstreamBehaviour {
  return (_request, socket) => void socket.end(bytes, 'latin1');
}

/** Resets the connection, after these bytes when there are any. */
export function reset(after = ''): UpstreamBehaviour {
  return (_request, socket) => {
    if (after === '') socket.resetAndDestroy();
    else socket.write(after, 'latin1', () => setTimeout(() => socket.resetAndDestroy(), 20));
  };
}

/** Says nothing, for ever. */
export const staySilent: UpstreamBehaviour = () => {};

/** Sends the bytes in pieces, `delayMs` apart. */
export function drip(pieces: readonly string[], delayMs: number): UpstreamBehaviour {
  return (_request, socket) => {
    for (const [at, piece] of pieces.entries()) setTimeout(() => socket.write(piece, 'latin1'), at * delayMs);
  };
}

/** Starts an upstream on a raw socket: it parses requests in the plainest way and records every byte. */
export async function recordingUpstream(): Promise<RecordingUpstream> {
  let requests: Message[] = [];
  let received = '';
  let behaviour = answerOk;
  const server = createServer({ noDelay: true }, (socket) => {
    let pending = '';
    socket.on('data', (data) => {
      const text = data.toString('latin1');
      received += text;
      const { messages, rest } = parseMessages(pending + text, { closed: false });
      pending = rest;
      for (const message of messages) {
        requests.push(message);
        behaviour(message, socket);
      }
    });
  });
  const tcp = await serve(server);
  return {
    port: tcp.port,
    get requests() {
      return requests;
    },
    get connections() {
      return tcp.accepted;
    },
    received: () => received,
    clear: () => {
      requests = [];
      received = '';
    },
    behave: (next = answerOk) => {
      behaviour = next;
    },
    close: tcp.close,
  };
}
