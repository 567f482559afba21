import { type DestinationStream, destination, type Logger, pino } from 'pino';

const FLUSH_MS = 200;
const BUFFER_CHARACTERS = 32 * 1024;
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
  const output = destination({ dest: fd, sync: false, minLength: 0, maxLength: MAX_PENDING_BYTES });
  let dropped = 0;
  output.on('drop', (lines: string) => {
    dropped += lines.split('\n').length - 1;
  });
  output.on('error', () => {}); // nobody reads any more: serving goes on
  // Lines are joined here: sonic-boom measures what it holds at each write, which costs more than making the line.
  let pending = '';
  const flush = (): void => {
    if (pending === '') return;
    output.write(pending);
    pending = '';
  };
  const write = (line: string): void => {
    pending += line;
    if (pending.length >= BUFFER_CHARACTERS) flush();
  };
  const timer = setInterval(flush, FLUSH_MS);
  timer.unref();
  return {
    stream: { write },
    write,
    dropped: () => dropped,
    close: () => {
      clearInterval(timer);
      try {
        flush();
        output.flushSync();
      } catch {
        // closed by its reader, or not open yet: there is nobody to tell
      }
    },
  };
}

/** Where lines go that nobody is to read. */
export const SILENT_SINK: LogSink = {
  stream: { write: () => {} },
  write: () => {},
  dropped: () => 0,
  close: () => {},
};

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
