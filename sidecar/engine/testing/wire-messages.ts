import fc from 'fast-check';

/** For property tests: HTTP/1.1 messages as exact bytes (one character a byte), honest ones and ones bent in some places. */

const tokens = [
  'X-A',
  'x-b',
  'Accept',
  'Cookie',
  'Content-Type',
  'Authorization',
  'X_Under',
  'TE',
  'Trailer',
  'Origin',
];
const values = [
  '',
  'a',
  'a b',
  ' padded\t',
  'b,c',
  'text/plain',
  'text/plain; charset="a b"',
  '\x80\xff',
  'trailers',
  '1',
];
const framings = [
  [],
  ['Content-Length: 0'],
  ['Content-Length: 5'],
  ['Content-Length: 05'],
  ['Content-Length: 5', 'Content-Length: 5'],
  ['Content-Length: 5, 5'],
  ['Content-Length: +5'],
  ['Content-Length: 5', 'Transfer-Encoding: chunked'],
  ['Transfer-Encoding: chunked'],
  ['Transfer-Encoding: Chunked'],
  ['transfer-encoding:chunked\t'],
  ['Transfer-Encoding: gzip, chunked'],
  ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
  ['Transfer-Encoding: chunked, chunked'],
  ['Transfer-Encoding: \x0bchunked'],
  ['Transfer-Encoding : chunked'],
  ['Transfer-Encoding: identity'],
];
const connections = [
  [],
  ['Connection: close'],
  ['Connection: keep-alive'],
  ['Connection: X-A, close'],
  ['Connection: Upgrade', 'Upgrade: h2c', 'HTTP2-Settings: AA'],
  [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ],
  ['Expect: 100-continue'],
];
const targets = [
  '/',
  '/a/b?c=d',
  '/%41?x',
  'http://other.example/q',
  'http://other.example?q',
  '/a#f',
  '*',
  '//x',
  '/a b',
  '/\x80',
];
const methods = ['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH', 'get', 'BREW'];
const hosts = [
  ['Host: a.example'],
  ['Host: a.example:80'],
  ['host:A.Example.'],
  [],
  ['Host: a', 'Host: b'],
  ['Host: a, b'],
];
const lineEnds = ['\n', '\r', '\r\r\n', '\n\r', '\r\n ', '\r\n\t', '\0', ' ', '\x0b', ';'];

/** Mostly the first entry, so that a good part of what is generated is honest. */
function mostly<T>(first: T, others: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 12, arbitrary: fc.constant(first) }, { weight: 1, arbitrary: fc.constantFrom(...others) });
}

const fields = fc.array(
  fc
    .tuple(fc.constantFrom(...tokens), fc.constantFrom(...values))
    .map(([name, value]) => `${name}: ${name === 'Content-Type' ? 'text/plain' : value}`),
  { maxLength: 3 },
);

const framing = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom([], ['Content-Length: 5'], ['Transfer-Encoding: chunked']) },
  { weight: 1, arbitrary: fc.constantFrom(...framings) },
);

const chunk = fc
  .tuple(
    fc.string({ minLength: 1, maxLength: 20, unit: 'binary-ascii' }),
    mostly('', [';a', ';a=b', ';a="b c"', ' ', ';', ';a=', ' ;a']),
    mostly('', ['0', '+', '0x', ' ']),
  )
  .map(([data, extension, prefix]) => `${prefix}${data.length.toString(16)}${extension}\r\n${data}\r\n`);

/** A chunked body, sometimes with extensions, trailers or nonsense in its framing. */
const chunkedBody: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(chunk, { maxLength: 4 }),
    mostly('', ['X-T: 1\r\n', 'no colon\r\n', ': x\r\n', 'Content-Length: 9\r\n']),
  )
  .map(([chunks, trailer]) => `${chunks.join('')}0\r\n${trailer}\r\n`);

function withBody(head: readonly string[], chunked: string, plain: string): string {
  const lower = head.join('\n').toLowerCase();
  let body = '';
  if (lower.includes('transfer-encoding')) body = chunked;
  else if (lower.includes('content-length: 0')) body = lower.includes('05') ? plain : '';
  else if (lower.includes('content-length')) body = plain;
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

/** One request. */
export const request: fc.Arbitrary<string> = fc
  .record({
    method: mostly('GET', methods),
    target: mostly('/path', targets),
    version: mostly('HTTP/1.1', ['HTTP/1.0', 'HTTP/1.2', 'http/1.1']),
    host: mostly(hosts[0] as string[], hosts),
    fields,
    framing,
    connection: mostly([] as string[], connections),
    chunked: chunkedBody,
  })
  .map((r) =>
    withBody(
      [`${r.method} ${r.target} ${r.version}`, ...r.host, ...r.fields, ...r.framing, ...r.connection],
      r.chunked,
      'hello',
    ),
  );

/** One answer. */
export const response: fc.Arbitrary<string> = fc
  .record({
    statusLine: mostly('HTTP/1.1 200 OK', [
      'HTTP/1.1 204 No Content',
      'HTTP/1.1 304 Not Modified',
      'HTTP/1.0 200 OK',
      'HTTP/1.1 200',
      'HTTP/1.1 200 ',
      'HTTP/1.1 599 \xff',
      'HTTP/1.1 600 No',
      'HTTP/1.1  200 OK',
      'HTTP/2 200 OK',
      'HTTP/1.1 100 Continue',
      'HTTP/1.1 103 Early Hints',
      'HTTP/1.1 101 Switching Protocols',
      'ICY 200 OK',
    ]),
    fields,
    framing,
    connection: mostly([] as string[], connections),
    chunked: chunkedBody,
    interim: mostly('', ['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n']),
  })
  .map((r) => r.interim + withBody([r.statusLine, ...r.fields, ...r.framing, ...r.connection], r.chunked, 'hello'));

const mutation = fc.tuple(
  fc.constantFrom('flip', 'drop', 'insert', 'duplicate', 'cut'),
  fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  fc.constantFrom(...lineEnds),
  fc.integer({ min: 0, max: 255 }),
);

/** What is done to a stream of bytes to bend it. */
export const mutations: fc.Arbitrary<readonly (readonly [string, number, string, number])[]> = fc.oneof(
  fc.constant([]),
  fc.array(mutation, { minLength: 1, maxLength: 3 }),
);

/** Bends a stream of bytes at the places that the mutations name. */
export function mutate(stream: string, changes: readonly (readonly [string, number, string, number])[]): string {
  let bytes = stream;
  for (const [kind, place, text, byte] of changes) {
    const at = Math.floor(place * bytes.length);
    const before = bytes.slice(0, at);
    const after = bytes.slice(at);
    if (kind === 'flip') bytes = before + String.fromCharCode(byte) + after.slice(1);
    else if (kind === 'drop') bytes = before + after.slice(1);
    else if (kind === 'insert') bytes = before + text + after;
    else if (kind === 'cut') bytes = before;
    else {
      const start = bytes.lastIndexOf('\r\n', at) + 2;
      const end = bytes.indexOf('\r\n', at) + 2;
      if (start > 1 && end > start) bytes = bytes.slice(0, end) + bytes.slice(start);
    }
  }
  return bytes;
}

/** Where to cut a stream into reads: fractions of its length. */
export const cuts: fc.Arbitrary<readonly number[]> = fc.array(
  fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  { maxLength: 4 },
);

/** The stream in the reads that `cuts` describes. */
export function split(stream: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places.map((place) => Math.floor(place * stream.length)), stream.length].sort((a, b) => a - b);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const end of ends) {
    if (end > from) pieces.push(Buffer.from(stream.subarray(from, end)));
    from = end;
  }
  return pieces;
}
