import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Attack, describeAttacks, describeWithSidecar, request, requestLines } from '../support/attack-table.ts';
import { headerOf, headerValues } from '../support/http-messages.ts';
import { send } from '../support/raw-http.ts';

const HOST = 'Host: api.example';
const honestGet = request('GET /x HTTP/1.1', HOST);
const honestLength = `${request('POST /x HTTP/1.1', HOST, 'Content-Length: 2')}ab`;
const honestChunked = `${request('POST /x HTTP/1.1', HOST, 'Transfer-Encoding: chunked')}2\r\nab\r\n0\r\n\r\n`;

function withLength(...lines: readonly string[]): string {
  return `${request('POST /x HTTP/1.1', HOST, ...lines)}ab`;
}
function withEncoding(...lines: readonly string[]): string {
  return `${request('POST /x HTTP/1.1', HOST, ...lines)}2\r\nab\r\n0\r\n\r\n`;
}
function withChunks(chunks: string): string {
  return request('POST /x HTTP/1.1', HOST, 'Transfer-Encoding: chunked') + chunks;
}

const lengths: readonly Attack[] = [
  ['Content-Length before Transfer-Encoding', withEncoding('Content-Length: 4', 'Transfer-Encoding: chunked')],
  ['Transfer-Encoding before Content-Length', withEncoding('Transfer-Encoding: chunked', 'Content-Length: 4')],
  ['two different lengths', withLength('Content-Length: 2', 'Content-Length: 3')],
  ['the same length twice', withLength('Content-Length: 2', 'Content-Length: 2')],
  ['a list of lengths', withLength('Content-Length: 2, 2')],
  ['a length with a plus', withLength('Content-Length: +2')],
  ['a length with a minus', withLength('Content-Length: -2')],
  ['a length in hex', withLength('Content-Length: 0x2')],
  ['two numbers in a length', withLength('Content-Length: 2 3')],
  ['an empty length', withLength('Content-Length:')],
  ['a length with a fraction', withLength('Content-Length: 2.0')],
  ['a length with an exponent', withLength('Content-Length: 2e0')],
  ['a length beyond 2^64', withLength('Content-Length: 18446744073709551618')],
  ['a space before the colon', withLength('Content-Length : 2')],
  ['a tab before the colon', withLength('Content-Length\t: 2')],
  ['an underscore for the hyphen beside a real one', withLength('Content_Length: 2', 'Content-Length: 2,2')],
].map(([name = '', attack = '']) => ({ name, attack, status: 400, honest: honestLength, forwarded: bodyIsAb }));

const encodings: readonly Attack[] = [
  ['xchunked', withEncoding('Transfer-Encoding: xchunked')],
  ['chunked, identity', withEncoding('Transfer-Encoding: chunked, identity')],
  ['identity, chunked', withEncoding('Transfer-Encoding: identity, chunked')],
  ['gzip, chunked', withEncoding('Transfer-Encoding: gzip, chunked')],
  ['chunked after a vertical tab', withEncoding('Transfer-Encoding: \x0bchunked')],
  ['chunked with a parameter', withEncoding('Transfer-Encoding: chunked;q=1')],
  ['chunked in quotes', withEncoding('Transfer-Encoding: "chunked"')],
  ['chunked, chunked', withEncoding('Transfer-Encoding: chunked, chunked')],
  ['Transfer-Encoding twice', withEncoding('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')],
  ['Transfer-Encoding twice, once identity', withEncoding('Transfer-Encoding: chunked', 'Transfer-Encoding: identity')],
  ['an empty Transfer-Encoding', withEncoding('Transfer-Encoding:')],
  ['a space before the colon', withEncoding('Transfer-Encoding : chunked')],
  [
    'Transfer-Encoding on HTTP/1.0',
    `${request('POST /x HTTP/1.0', HOST, 'Transfer-Encoding: chunked')}2\r\nab\r\n0\r\n\r\n`,
  ],
].map(([name = '', attack = '']) => ({
  name,
  attack,
  status: 400,
  honest: withEncoding('Transfer-Encoding: Chunked'),
  forwarded: bodyIsAb,
}));

const chunks: readonly Attack[] = [
  ['a chunk size with 0x', withChunks('0x2\r\nab\r\n0\r\n\r\n')],
  ['a chunk size with a plus', withChunks('+2\r\nab\r\n0\r\n\r\n')],
  ['a chunk size with a minus', withChunks('-2\r\nab\r\n0\r\n\r\n')],
  ['a chunk size after a space', withChunks(' 2\r\nab\r\n0\r\n\r\n')],
  ['a chunk size before a space', withChunks('2 \r\nab\r\n0\r\n\r\n')],
  ['no chunk size', withChunks('\r\nab\r\n0\r\n\r\n')],
  ['a chunk size of letters', withChunks('zz\r\nab\r\n0\r\n\r\n')],
  ['a chunk size beyond 2^64', withChunks('10000000000000002\r\nab\r\n0\r\n\r\n')],
  ['chunk data without CRLF', withChunks('2\r\nabc\r\n0\r\n\r\n')],
  ['chunk data that ends in LF', withChunks('2\r\nab\n0\r\n\r\n')],
  ['a chunk size that ends in LF', withChunks('2\nab\r\n0\r\n\r\n')],
  ['a chunk size that ends in CR', withChunks('2\rab\r\n0\r\n\r\n')],
  ['an extension with a bare LF in it', withChunks('2;a\nb\r\nab\r\n0\r\n\r\n')],
].map(([name = '', attack = '']) => ({ name, attack, status: 400, honest: honestChunked, forwarded: bodyIsAb }));

const lines: readonly Attack[] = [
  ['a space before the first header', request('GET /x HTTP/1.1', ` ${HOST}`)],
  ['a tab before the first header', request('GET /x HTTP/1.1', '\tX-A: b', HOST)],
  ['a folded header', request('GET /x HTTP/1.1', HOST, 'X-A: b', ' c')],
  ['a header folded by a tab', request('GET /x HTTP/1.1', HOST, 'X-A: b', '\tc')],
  ['bare LF everywhere', 'GET /x HTTP/1.1\nHost: api.example\n\n'],
  ['bare LF after a header', `GET /x HTTP/1.1\r\n${HOST}\r\nX-A: b\nX-B: c\r\n\r\n`],
  ['bare LF at the end of the head', `GET /x HTTP/1.1\r\n${HOST}\r\n\n`],
  ['bare CR in a value', request('GET /x HTTP/1.1', HOST, 'X-A: b\rX-B: c')],
  ['bare CR for a line end', `GET /x HTTP/1.1\r${HOST}\r\r`],
  ['NUL in a value', request('GET /x HTTP/1.1', HOST, 'X-A: b\0c')],
  ['NUL in a name', request('GET /x HTTP/1.1', HOST, 'X\0A: b')],
  ['another byte after the last CR', `GET /x HTTP/1.1\r\n${HOST}\r\n\rX`],
  ['a header without a colon', request('GET /x HTTP/1.1', HOST, 'X-A')],
  ['a header without a name', request('GET /x HTTP/1.1', HOST, ': b')],
  ['two spaces in the request line', request('GET  /x HTTP/1.1', HOST)],
  ['two spaces before the version', request('GET /x  HTTP/1.1', HOST)],
  ['a tab in the request line', request('GET\t/x HTTP/1.1', HOST)],
  ['a space before the method', request(' GET /x HTTP/1.1', HOST)],
  ['a space behind the version', request('GET /x HTTP/1.1 ', HOST)],
  ['a method in lower case', request('get /x HTTP/1.1', HOST)],
  ['no version', request('GET /x', HOST)],
  ['HTTP/1.2', request('GET /x HTTP/1.2', HOST)],
  ['HTTP/2.0', request('GET /x HTTP/2.0', HOST)],
  ['http/1.1 in lower case', request('GET /x http/1.1', HOST)],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['the hello of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
].map(([name = '', attack = '']) => ({ name, attack, status: 400, honest: honestGet }));

describeAttacks('framing: Content-Length', {}, lengths);
describeAttacks('framing: Transfer-Encoding', {}, encodings);
describeAttacks('framing: chunks', {}, [
  ...chunks,
  {
    name: '20 KB of chunk extension',
    attack: withChunks(`2;${'x'.repeat(20_000)}\r\nab\r\n0\r\n\r\n`),
    status: 413,
    honest: withChunks(`2;${'x'.repeat(200)}\r\nab\r\n0\r\n\r\n`),
    forwarded: (message) => {
      bodyIsAb(message);
      assert.ok(!message.head.includes('xxx'), 'extensions stay behind');
    },
  },
]);
describeAttacks('framing: lines', {}, lines);

describeWithSidecar('framing: one request in, one request out', {}, (sut) => {
  const hidden = request('GET /hidden HTTP/1.1', HOST);

  it('GET with a body that hides a request: exactly one upstream request', async () => {
    sut().upstream.clear();
    const bytes = request('GET /x HTTP/1.1', HOST, `Content-Length: ${hidden.length}`) + hidden;
    const answer = await send(sut().port, bytes);
    assert.equal(answer.status, 200);
    assert.deepEqual(requestLines(sut()), ['GET /x HTTP/1.1']);
    assert.equal(sut().upstream.requests[0]?.body, hidden);
  });

  it('a chunked GET that hides a request: exactly one upstream request', async () => {
    sut().upstream.clear();
    const chunk = `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`;
    const answer = await send(sut().port, request('GET /x HTTP/1.1', HOST, 'Transfer-Encoding: chunked') + chunk);
    assert.equal(answer.status, 200);
    assert.deepEqual(requestLines(sut()), ['GET /x HTTP/1.1']);
    assert.equal(sut().upstream.requests[0]?.body, hidden);
  });

  it('a request behind a refused one is not served', async () => {
    sut().upstream.clear();
    const refused = withLength('Content-Length: +2').slice(0, -2) + hidden;
    const answer = await send(sut().port, refused, { untilClosed: true });
    assert.deepEqual([answer.status, answer.responses.length, answer.closed], [400, 1, true]);
    assert.deepEqual(requestLines(sut()), []);
  });

  it('a request behind broken chunks is not served', async () => {
    sut().upstream.clear();
    const answer = await send(sut().port, withChunks(`2\r\nabX\r\n0\r\n\r\n${hidden}`), { untilClosed: true });
    assert.deepEqual([answer.status, answer.responses.length, answer.closed], [400, 1, true]);
    assert.ok(!sut().upstream.received().includes('hidden'));
  });

  it('honest pipelining: every request, its own decision, answers in order', async () => {
    sut().upstream.clear();
    const bytes = ['/1', '/2', '/3'].map((path) => request(`GET ${path} HTTP/1.1`, HOST)).join('');
    const answer = await send(sut().port, bytes, { answers: 3 });
    assert.deepEqual(
      answer.responses.map((response) => JSON.parse(response.body).saw),
      ['GET /1 HTTP/1.1', 'GET /2 HTTP/1.1', 'GET /3 HTTP/1.1'],
    );
  });

  it('what comes behind a declared length is the next request', async () => {
    sut().upstream.clear();
    const answer = await send(sut().port, honestLength + honestChunked + honestGet, { answers: 3 });
    assert.deepEqual(
      answer.responses.map((response) => response.startLine),
      Array(3).fill('HTTP/1.1 200 OK'),
    );
    assert.equal(sut().upstream.requests.length, 3);
  });

  it('a head that arrives byte by byte is the same head', async () => {
    sut().upstream.clear();
    assert.equal((await send(sut().port, [...honestChunked])).status, 200);
    assert.equal(sut().upstream.requests[0]?.body, 'ab');
  });

  it('trailers stay behind', async () => {
    sut().upstream.clear();
    const answer = await send(sut().port, withChunks('2\r\nab\r\n0\r\nX-Portcullis-Subject: root\r\n\r\n'));
    assert.equal(answer.status, 200);
    assert.ok(!sut().upstream.received().toLowerCase().includes('root'));
  });

  it('the forwarded request says its length once', async () => {
    for (const [bytes, header] of [
      [honestLength, 'content-length'],
      [honestChunked, 'transfer-encoding'],
    ] as const) {
      sut().upstream.clear();
      await send(sut().port, bytes);
      const forwarded = sut().upstream.requests[0];
      assert.ok(forwarded);
      assert.equal(
        headerValues(forwarded, 'content-length').length + headerValues(forwarded, 'transfer-encoding').length,
        1,
      );
      assert.notEqual(headerOf(forwarded, header), '');
    }
  });
});

function bodyIsAb(message: { readonly body: string }): void {
  assert.equal(message.body, 'ab');
}
