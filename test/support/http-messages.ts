/** One HTTP/1.1 message as it went over the wire. */
export interface Message {
  /** Request line or status line. */
  readonly startLine: string;
  /** In order, names in lower case. */
  readonly headers: readonly (readonly [string, string])[];
  /** Decoded when it was chunked; one character a byte. */
  readonly body: string;
  /** Everything up to the empty line, that included. */
  readonly head: string;
}

/** Messages found in a stream, and what is left when no further one is complete. */
export interface ParsedMessages {
  readonly messages: readonly Message[];
  readonly rest: string;
}

/** What a body's framing needs to know besides the headers. */
export interface ParseOptions {
  /** Answers may end with the connection instead of a length. */
  readonly closed: boolean;
  /** Answers without a body whatever their headers say: to HEAD. */
  readonly bodiless?: boolean;
}

/** All values of a header, joined by commas, as RFC 9110 §5.3 allows; the empty string without one. */
export function headerOf(message: Message, name: string): string {
  return headerValues(message, name).join(', ');
}

/** Every value of a header, in order. */
export function headerValues(message: Message, name: string): readonly string[] {
  return message.headers.filter(([key]) => key === name.toLowerCase()).map(([, value]) => value);
}

/**
 * Splits a byte stream (one character a byte) into HTTP/1.1 messages, requests or answers. It reads what is valid in the
 * plainest way and leaves everything else in `rest`, so that a test sees what it cannot explain.
 */
export function parseMessages(stream: string, options: ParseOptions): ParsedMessages {
  const messages: Message[] = [];
  let rest = stream;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return { messages, rest };
    const head = rest.slice(0, end + 4);
    const [startLine = '', ...lines] = rest.slice(0, end).split('\r\n');
    const headers = lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    });
    const body = readBody(startLine, new Map(headers), rest.slice(end + 4), options);
    if (body === null) return { messages, rest };
    messages.push({ startLine, headers, body: body.text, head });
    rest = rest.slice(end + 4 + body.length);
  }
}

function readBody(
  startLine: string,
  headers: ReadonlyMap<string, string>,
  bytes: string,
  options: ParseOptions,
): { readonly text: string; readonly length: number } | null {
  const status = startLine.startsWith('HTTP/') ? Number(startLine.split(' ')[1]) : 0;
  if (options.bodiless || (status >= 100 && status < 200) || status === 204 || status === 304)
    return { text: '', length: 0 };
  if (headers.get('transfer-encoding') === 'chunked') return readChunked(bytes);
  const length = headers.get('content-length');
  if (length !== undefined) {
    return bytes.length < Number(length) ? null : { text: bytes.slice(0, Number(length)), length: Number(length) };
  }
  if (status === 0) return { text: '', length: 0 };
  return options.closed ? { text: bytes, length: bytes.length } : null;
}

function readChunked(bytes: string): { readonly text: string; readonly length: number } | null {
  let text = '';
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(bytes.slice(at, lineEnd), 16);
    at = lineEnd + 2;
    if (size === 0) {
      const end = bytes.indexOf('\r\n', at);
      return end < 0 ? null : { text, length: end + 2 };
    }
    if (bytes.length < at + size + 2) return null;
    text += bytes.slice(at, at + size);
    at += size + 2;
  }
}
