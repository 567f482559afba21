import assert from 'node:assert/strict';
import { createServer, METHODS, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, it } from 'node:test';
import fc from 'fast-check';
import { describeWithSidecar } from '../support/attack-table.ts';
import { type Message, parseMessages } from '../support/http-messages.ts';
import { send } from '../support/raw-http.ts';

const RUNS = Number(process.env['FC_RUNS'] ?? 400);

/** What llhttp, Node's own parser in its strict default, makes of a stream. */
interface LlhttpReading {
  /** Method and body of each request that was read to its end, in order. */
  readonly requests: readonly string[];
  readonly refused: boolean;
}

/** Starts node:http on the loopback: the second opinion. */
async function startLlhttp(): Promise<{ read(stream: string): Promise<LlhttpReading>; server: Server }> {
  let requests: string[] = [];
  let refused = false;
  const server = createServer({ requireHostHeader: false, maxHeaderSize: 64 * 1024 }, (request, response) => {
    let body = '';
    request.setEncoding('latin1');
    request.on('data', (data: string) => {
      body += data;
    });
    request.on('end', () => {
      requests.push(`${request.method} ${body}`);
      response.end();
    });
  });
  server.on('clientError', (_error, socket) => {
    refused = true;
    socket.destroy();
  });
  server.on('upgrade', (_request, socket) => socket.destroy());
  server.on('connect', (_request, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const read = (stream: string): Promise<LlhttpReading> => {
    requests = [];
    refused = false;
    return new Promise((resolve) => {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
      socket.on('error', () => {});
      socket.on('close', () => resolve({ requests, refused }));
      socket.resume();
      // The end of our side closes theirs as soon as everything before it has been read and answered.
      socket.end(stream, 'latin1');
    });
  };
  return { read, server };
}

/** The same of requests that reached the application; llhttp knows a closed list of methods, so up to another one. */
function readByUs(requests: readonly Message[]): readonly string[] {
  const methods = requests.map((request) => request.startLine.split(' ', 1)[0] ?? '');
  const unknown = methods.findIndex((method) => !METHODS.includes(method));
  return requests.slice(0, unknown < 0 ? undefined : unknown).map((request, at) => `${methods[at]} ${request.body}`);
}

const start = fc.constantFrom(
  ...[
    'GET /x HTTP/1.1',
    'POST /x HTTP/1.1',
    'POST /x HTTP/1.0',
    'HEAD /x HTTP/1.1',
    'PUT /x?y HTTP/1.1',
    'DELETE /x HTTP/1.1',
  ],
  ...['GET  /x HTTP/1.1', 'GET /x HTTP/1.2', 'get /x HTTP/1.1', 'POST /x\tHTTP/1.1', 'GET /x', 'G@T /x HTTP/1.1'],
);
const field = fc.constantFrom(
  ...['Content-Length: 4', 'Content-Length: 0', 'content-length:4', 'Content-Length: 4 ', 'Content-Length: 04'],
  ...[
    'Content-Length: +4',
    'Content-Length: 4,4',
    'Content-Length : 4',
    'Content-Length: 0x4',
    'Content-Length:',
    'Content-Length: 4\x0b',
  ],
  ...[
    'Transfer-Encoding: chunked',
    'transfer-encoding:chunked',
    'Transfer-Encoding: CHUNKED',
    'Transfer-Encoding: chunked ',
  ],
  ...[
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding: chunked, identity',
    'Transfer-Encoding: \x0bchunked',
    'Transfer-Encoding : chunked',
  ],
  ...[
    'Connection: close',
    'Connection: keep-alive',
    'X-A: b',
    'X-A:',
    'X-A: \tb\t',
    ' X-A: b',
    '\tX-A: b',
    'X-A',
    ': b',
    'X-A: \x00',
    'X A: b',
    'X-A: \xe4',
  ],
);
const lineEnd = fc.oneof(
  { weight: 40, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\r\r\n', '\n\r') },
);
const body = fc.constantFrom(
  ...[
    '',
    'abcd',
    'abc',
    'abcde',
    '4\r\nabcd\r\n0\r\n\r\n',
    '0\r\n\r\n',
    '4\r\nabcd\r\n0\r\nX-T: a\r\n\r\n',
    '4;x=y\r\nabcd\r\n0\r\n\r\n',
  ],
  ...[
    '04\r\nabcd\r\n0\r\n\r\n',
    '4\r\nabcde\r\n0\r\n\r\n',
    '4\nabcd\r\n0\r\n\r\n',
    '0x4\r\nabcd\r\n0\r\n\r\n',
    '4 \r\nabcd\r\n0\r\n\r\n',
    '4\r\nabcd\n0\r\n\r\n',
    '4\r\nabcd0\r\n\r\n',
  ],
);
const message = fc
  .record({
    start,
    fields: fc.array(field, { maxLength: 3 }),
    ends: fc.array(lineEnd, { minLength: 6, maxLength: 6 }),
    body,
  })
  .map(({ start, fields, ends, body }) => {
    const lines = [start, 'Host: api.example', ...fields];
    return `${lines.map((line, at) => line + ends[at]).join('')}${ends[5]}${body}`;
  });
/** Requests that are right: behind and before them the hostile ones mean something. */
const honest = fc.constantFrom(
  'GET /x HTTP/1.1\r\nHost: api.example\r\n\r\n',
  'HEAD /x HTTP/1.1\r\nHost: api.example\r\nX-A: b\r\n\r\n',
  'POST /x HTTP/1.1\r\nHost: api.example\r\nContent-Length: 4\r\n\r\nabcd',
  'GET /x HTTP/1.1\r\nHost: api.example\r\nContent-Length: 38\r\n\r\nGET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n',
  'PUT /x HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n',
  'POST /x HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\n\r\na;b=c\r\n0123456789\r\n1\r\n\n\r\n0\r\nX-T: a\r\n\r\n',
);

/** Sometimes a byte put anywhere, or taken away: what no table of ours has thought of. */
const damage = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    remove: fc.integer({ min: 0, max: 1 }),
    insert: fc.constantFrom(
      ...['', '\r', '\n', '\r\n', '\0', ' ', '\t', ':', ';', ',', '0', 'a', '\x0b', '\x7f', '\x80', '"'],
    ),
  }),
  { maxLength: 1 },
);
const stream = fc
  .tuple(fc.array(fc.oneof(message, honest, honest), { minLength: 1, maxLength: 3 }), damage)
  .map(([messages, damages]) => {
    let bytes = messages.join('');
    for (const { at, remove, insert } of damages) {
      const place = Math.floor(at * bytes.length);
      bytes = bytes.slice(0, place) + insert + bytes.slice(place + remove);
    }
    return bytes;
  });

describeWithSidecar('our parser beside llhttp', {}, (sut) => {
  let llhttp: Awaited<ReturnType<typeof startLlhttp>>;
  before(async () => {
    llhttp = await startLlhttp();
  });
  after(() => llhttp.server.close());

  it('every request that we forward is one that llhttp reads there too, with the same method and body', async () => {
    let forwarded = 0;
    await fc.assert(
      fc.asyncProperty(stream, async (bytes) => {
        sut().upstream.clear();
        await send(sut().port, `${bytes}GET /last HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n`, {
          untilClosed: true,
          timeoutMs: 50,
        });
        const ours = readByUs(sut().upstream.requests);
        const theirs = await llhttp.read(
          `${bytes}GET /last HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n`,
        );
        forwarded += ours.length;
        assert.deepEqual(ours, theirs.requests.slice(0, ours.length), JSON.stringify(bytes));
      }),
      { numRuns: RUNS },
    );
    assert.ok(forwarded > RUNS / 4, `only ${forwarded} requests were forwarded: the generator has become too hostile`);
  });

  it('every request that we forward, forwarded bytes read by llhttp, is that one request', async () => {
    await fc.assert(
      fc.asyncProperty(stream, async (bytes) => {
        sut().upstream.clear();
        await send(sut().port, bytes, { untilClosed: true, timeoutMs: 30 });
        const requests = [...sut().upstream.requests];
        const received = sut().upstream.received();
        const { rest } = parseMessages(received, { closed: false });
        const reread = await llhttp.read(received.slice(0, received.length - rest.length));
        const read = readByUs(requests);
        assert.deepEqual(reread.requests, read, JSON.stringify(bytes));
        assert.equal(reread.refused, read.length < requests.length, JSON.stringify(bytes));
      }),
      { numRuns: RUNS },
    );
  });
});
