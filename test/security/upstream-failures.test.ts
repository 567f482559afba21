import assert from 'node:assert/strict';
import { it } from 'node:test';
import { describeAnswer, describeWithSidecar, request, requestLines } from '../support/attack-table.ts';
import { type SendOptions, send } from '../support/raw-http.ts';
import {
  answerAndClose,
  answerBytes,
  drip,
  reset,
  staySilent,
  type UpstreamBehaviour,
} from '../support/recording-upstream.ts';

const GET = request('GET /x HTTP/1.1', 'Host: api.example');
const OK = 'HTTP/1.1 200 OK\r\n';

/** What the application does and what the client must be told. */
interface Failure {
  readonly name: string;
  readonly behaviour: UpstreamBehaviour;
  readonly status: number;
}

const nonsense: readonly Failure[] = [
  ['no HTTP at all', 'hello\r\n\r\n'],
  ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n'],
  ['HTTP/0.9', '<html></html>'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status that is none', 'HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
  ['bare LF', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'],
  ['a folded header', `${OK}X-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok`],
  ['a space before the colon', `${OK}Content-Length : 2\r\n\r\nok`],
  ['NUL in a value', `${OK}X-A: \0\r\nContent-Length: 2\r\n\r\nok`],
  ['bare CR in a value', `${OK}X-A: b\rX-B: c\r\nContent-Length: 2\r\n\r\nok`],
  ['two lengths', `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\nok`],
  ['a list of lengths', `${OK}Content-Length: 2, 2\r\n\r\nok`],
  ['a length with a plus', `${OK}Content-Length: +2\r\n\r\nok`],
  ['length and chunked', `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
  ['xchunked', `${OK}Transfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
  ['chunked on HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
  ['a head without end', `${OK}X-A: ${'a'.repeat(100_000)}`],
  [
    '101 that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  ],
].map(([name = '', bytes = '']) => ({ name, behaviour: answerAndClose(bytes), status: 502 }));

const trouble: readonly Failure[] = [
  { name: 'a reset instead of an answer', behaviour: reset(), status: 502 },
  { name: 'a reset within the head', behaviour: reset(`${OK}X-A: b`), status: 502 },
  { name: 'a close instead of an answer', behaviour: answerAndClose(''), status: 502 },
  { name: 'a close within the head', behaviour: answerAndClose(`${OK}X-A: b`), status: 502 },
  { name: 'no answer', behaviour: staySilent, status: 504 },
  { name: 'half a head and then silence', behaviour: answerBytes(`${OK}X-A: b`), status: 504 },
  { name: 'interim answers and then silence', behaviour: answerBytes('HTTP/1.1 103 Early Hints\r\n\r\n'), status: 504 },
];

/** Answers that begin well: their status has been sent, so the client must see them cut, not completed. */
const cutShort: readonly (readonly [string, UpstreamBehaviour])[] = [
  ['a length that is not kept', answerAndClose(`${OK}Content-Length: 10\r\n\r\nok`)],
  ['a reset within the body', reset(`${OK}Content-Length: 10\r\n\r\nok`)],
  ['silence within the body', answerBytes(`${OK}Content-Length: 10\r\n\r\nok`)],
  ['chunks without the last', answerAndClose(`${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n`)],
  ['a broken chunk size', answerAndClose(`${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n`)],
  ['chunk data longer than said', answerAndClose(`${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n`)],
  [
    'a chunk size beyond 2^64',
    answerAndClose(`${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n10000000000000000\r\nok`),
  ],
];

/** What looks unusual and is right. */
const honest: readonly (readonly [string, UpstreamBehaviour, string])[] = [
  ['a length', answerBytes(`${OK}Content-Length: 2\r\n\r\nok`), 'ok'],
  ['no reason phrase', answerBytes('HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok'), 'ok'],
  [
    'chunks with extensions and trailers',
    answerBytes(`${OK}Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX-T: a\r\n\r\n`),
    'ok',
  ],
  ['a body until the connection closes', answerAndClose(`${OK}\r\nok`), 'ok'],
  ['HTTP/1.0', answerAndClose('HTTP/1.0 200 OK\r\n\r\nok'), 'ok'],
  [
    'interim answers first',
    answerBytes(`HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`),
    'ok',
  ],
  ['byte by byte', drip([...`${OK}Content-Length: 2\r\n\r\nok`], 2), 'ok'],
  ['chunks in pieces', drip([`${OK}Transfer-Encoding: chunked\r\n\r\n2`, '\r\no', 'k\r', '\n0\r\n', '\r\n'], 10), 'ok'],
  ['an empty body', answerBytes(`${OK}Content-Length: 0\r\n\r\n`), ''],
  ['slow, within the time-outs', drip([`${OK}Content-Length: 3\r\n\r\n`, 'a', 'b', 'c'], 150), 'abc'],
];

const policy = { limits: { timeouts: { connectMs: 300, requestMs: 300, idleMs: 300 } } };

describeWithSidecar('an application that misbehaves', policy, (sut) => {
  async function meet(behaviour: UpstreamBehaviour, options: SendOptions = {}) {
    sut().upstream.clear();
    sut().upstream.behave(behaviour);
    const answer = await send(sut().port, GET, options);
    sut().upstream.behave();
    return answer;
  }

  for (const { name, behaviour, status } of [...nonsense, ...trouble]) {
    it(`${name}: ${status}, and the next request is served`, async () => {
      const answer = await meet(behaviour);
      assert.equal(answer.status, status, describeAnswer(answer));
      assert.equal(answer.headers['content-type'], 'application/problem+json');
      // Once more on a fresh connection when a kept one closes before it says anything (RFC 9112 §9.3.1).
      assert.ok(requestLines(sut()).length <= 2, 'asked once, or once more');
      assert.equal((await send(sut().port, GET)).status, 200);
    });
  }

  for (const [name, behaviour] of cutShort) {
    it(`${name}: the client sees the answer cut, and the next request is served`, async () => {
      const answer = await meet(behaviour, { untilClosed: true });
      assert.ok(answer.closed, 'the connection is closed');
      assert.deepEqual(
        answer.responses.map(({ body }) => body),
        [],
        'no complete answer',
      );
      assert.equal((await send(sut().port, GET)).status, 200);
    });
  }

  for (const [name, behaviour, body] of honest) {
    it(`${name}: 200`, async () => {
      const answer = await meet(behaviour, {
        untilClosed: name.includes('closes') || name === 'HTTP/1.0',
        timeoutMs: 2_000,
      });
      assert.deepEqual([answer.status, answer.body], [200, body]);
      assert.equal((await send(sut().port, GET)).status, 200);
    });
  }

  it('bytes behind an answer are nobody’s answer', async () => {
    const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';
    const answer = await meet(answerBytes(`${OK}Content-Length: 2\r\n\r\nok${poison}`));
    assert.equal(answer.body, 'ok');
    const next = await send(sut().port, GET);
    assert.deepEqual([next.status, next.body.includes('poison')], [200, false]);
  });

  it('a kept connection that was closed meanwhile is no failure', async () => {
    sut().upstream.behave((message, socket) => {
      socket.end(`${OK}Content-Length: ${message.startLine.length}\r\n\r\n${message.startLine}`);
    });
    for (let at = 0; at < 20; at++) assert.equal((await send(sut().port, GET)).status, 200);
    sut().upstream.behave();
  });

  it('an unsafe request is never sent twice', async () => {
    await send(sut().port, GET);
    sut().upstream.clear();
    sut().upstream.behave(reset());
    const answer = await send(sut().port, `${request('POST /x HTTP/1.1', 'Host: api.example', 'Content-Length: 2')}ab`);
    sut().upstream.behave();
    assert.equal(answer.status, 502);
    assert.equal(requestLines(sut()).length, 1);
  });
});

describeWithSidecar('an application that is not there', policy, (sut) => {
  it('502, again and again, and never a hang', async () => {
    await sut().upstream.close();
    for (let at = 0; at < 5; at++) {
      const answer = await send(sut().port, GET);
      assert.deepEqual([answer.status, JSON.parse(answer.body).code], [502, 'upstream_connect']);
    }
  });
});
