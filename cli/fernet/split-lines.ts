const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** One line of a stream of bytes. */
export interface Line {
  readonly content: Buffer;
  /** `\n`, `\r\n`, or nothing where the stream ends without. */
  readonly ending: Buffer;
}

/** The bytes of a line, or of a message that may end like one, without their ending. */
export function lineOf(bytes: Buffer): Line {
  let length = bytes.length;
  if (bytes[length - 1] === LINE_FEED) length -= bytes[length - 2] === CARRIAGE_RETURN ? 2 : 1;
  return { content: bytes.subarray(0, length), ending: bytes.subarray(length) };
}

/** The lines of a stream; contents and endings together are the stream, byte for byte. */
export async function* splitLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  let begun: Buffer[] = [];
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let from = 0;
    for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, from)) {
      begun.push(bytes.subarray(from, at + 1));
      yield lineOf(Buffer.concat(begun));
      begun = [];
      from = at + 1;
    }
    if (from < bytes.length) begun.push(bytes.subarray(from));
  }
  if (begun.length > 0) yield lineOf(Buffer.concat(begun));
}
