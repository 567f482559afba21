import type { LogSink } from '../../runtime/log.ts';

/** A log sink that keeps its lines. */
export interface MemoryLog extends LogSink {
  readonly lines: readonly string[];
  /** Lines with this message, parsed. */
  entries(message: string): readonly Readonly<Record<string, unknown>>[];
}

/** Makes an empty one. */
export function memoryLog(): MemoryLog {
  const lines: string[] = [];
  const write = (line: string): void => {
    lines.push(line);
  };
  return {
    stream: { write },
    write,
    dropped: () => 0,
    close: () => {},
    lines,
    entries: (message) => lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === message),
  };
}
