import { type DestinationStream, destination, type Logger, pino } from 'pino';

const FLUSH_MS = 200;
const BUFFER_BYTES = 32 * 1024;
/** A reader of our output that stands still must not make us grow: beyond this, lines are dropped and counted. */
const MAX_PENDING_BYTES = 16 * 1024 * 1024;

/** Where log lines go: buffered, flushed several times a second and at the end. */
export interface LogSink {
  readonly stream: DestinationStream;
  /** Writes one line that is already JSON, with its newline. */
  write(line: string): void;
  /** Lines dropped because the reader did not keep up. */
  dropped(): number;
  /** Writes out what is buffered, synchronously. */
  close(): void;
}

/** Opens a sink on a file descriptor (default: standard output). */
export function openLogSink(fd = 1): LogSink {
  const stream = destination({
    dest: fd,
    sync: false,
    minLength: BUFFER_BYTES,
    maxWrite: 2 * BUFFER_BYTES,
    maxLength: MAX_PENDING_BYTES,
  });
  let dropped = 0;
  stream.on('drop', () => {
    dropped++;
  });
  stream.on('error', () => {}); // nobody reads any more: serving goes on
  const timer = setInterval(() => stream.flush(), FLUSH_MS);
  timer.unref();
  return {
    stream,
    write: (line) => {
      stream.write(line);
    },
    dropped: () => dropped,
    close: () => {
      clearInterval(timer);
      try {
        stream.flushSync();
      } catch {
        // closed by its reader, or not open yet: there is nobody to tell
      }
    },
  };
}

/** A logger for constant messages with fields. Known places of secrets are redacted. */
export function createLogger(sink: LogSink, name: string): Logger {
  return pino(
    {
      name,
      base: { name },
      redact: ['authorization', 'cookie', 'token', 'redisUrl', '*.redisUrl', '*.privateKey', '*.k'],
    },
    sink.stream,
  );
}
