import { connect } from 'node:net';
import { type Message, type ParsedMessages, parseMessages } from './http-messages.ts';

/** How long to wait, and for what. */
export interface SendOptions {
  /** Gives up and takes what has come. Default 3000. */
  readonly timeoutMs?: number;
  /** Answers to wait for, interim ones (1xx) not counted; a closed connection ends the wait before. Default 1. */
  readonly answers?: number;
  /** Goes on waiting for the other side to close, up to `timeoutMs`. */
  readonly untilClosed?: boolean;
  /** The answer has no body: it is to a HEAD. */
  readonly bodiless?: boolean;
}

/** What came back over one connection. */
export interface RawAnswer {
  /** Status of the first final answer, 0 when there was none. */
  readonly status: number;
  /** Of the first final answer, names in lower case; repeated ones joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The other side closed the connection, or reset it. */
  readonly closed: boolean;
  /** Final answers, in order. */
  readonly responses: readonly Message[];
  /** Interim answers (1xx), in order. */
  readonly interim: readonly Message[];
  /** Bytes that are no complete answer. */
  readonly rest: string;
}

/**
 * Sends exact bytes (a string: one byte a character) over a new connection to the loopback and reads what comes back. A
 * list is written piece by piece. Never rejects because of what the other side does; rejects when nothing listens.
 */
export function send(
  port: number,
  bytes: string | Buffer | readonly (string | Buffer)[],
  options: SendOptions = {},
): Promise<RawAnswer> {
  const { timeoutMs = 3_000, answers = 1, untilClosed = false, bodiless = false } = options;
  const pieces = typeof bytes === 'string' || Buffer.isBuffer(bytes) ? [bytes] : bytes;
  return new Promise((resolve, reject) => {
    const messages: Message[] = [];
    let rest = '';
    let connected = false;
    let closed = false;
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const read = (bytes: string): void => {
      const parsed = parseMessages(rest + bytes, { closed, bodiless });
      messages.push(...parsed.messages);
      rest = parsed.rest;
    };
    const finish = (): void => {
      clearTimeout(timer);
      socket.destroy();
      read('');
      resolve(rawAnswer({ messages, rest }, closed));
    };
    const timer = setTimeout(finish, timeoutMs);
    socket.on('connect', () => {
      connected = true;
      for (const piece of pieces) socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
    });
    socket.on('data', (data) => {
      read(data.toString('latin1'));
      if (!untilClosed && messages.filter((message) => !isInterim(message)).length >= answers) finish();
    });
    const onClosed = (): void => {
      closed = true;
      finish();
    };
    socket.on('end', onClosed);
    socket.on('error', (error) => {
      if (connected) return onClosed();
      clearTimeout(timer);
      reject(error);
    });
  });
}

function rawAnswer({ messages, rest }: ParsedMessages, closed: boolean): RawAnswer {
  const responses = messages.filter((message) => !isInterim(message));
  const [first] = responses;
  const headers: Record<string, string> = {};
  for (const [name, value] of first?.headers ?? []) {
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  return {
    status: first === undefined ? 0 : statusOf(first),
    headers,
    body: first?.body ?? '',
    closed,
    responses,
    interim: messages.filter(isInterim),
    rest,
  };
}

/** The status code of an answer. */
export function statusOf(message: Message): number {
  return Number(message.startLine.split(' ')[1]);
}

function isInterim(message: Message): boolean {
  return statusOf(message) < 200;
}
