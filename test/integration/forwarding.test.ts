import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Denial, Filter } from '../../sidecar/pipeline/filter.ts';
import { denial } from '../../sidecar/pipeline/filter.ts';
import { type EngineUnderTest, startEngine } from '../support/engine-under-test.ts';
import { headerValues } from '../support/http-messages.ts';
import { send, statusOf } from '../support/raw-http.ts';
import {
  answerAndClose,
  answerBytes,
  type RecordingUpstream,
  recordingUpstream,
} from '../support/recording-upstream.ts';
import { tcpServer } from '../support/tcp-server.ts';

const HOST = 'Host: api.example\r\n';
const FORBIDDEN: Denial = denial('forbidden', 'authorize', 'test');

/** Refuses what goes to /denied, and after a turn of the event loop what goes to /denied-later. */
const gate: Filter = {
  name: 'gate',
  onRequest: ({ path }) => {
    if (path === '/denied') return FORBIDDEN;
    if (path === '/denied-later') return Promise.resolve(FORBIDDEN);
    return path === '/later' ? Promise.resolve(undefined) : undefined;
  },
};

describe('forwarding', () => {
  let upstream: RecordingUpstream;
  let sut: EngineUnderTest;
  before(async () => {
    upstream = await recordingUpstream();
    sut = await startEngine(upstream, { filters: [gate] });
  });
  after(async () => {
    await sut.engine.stop(0);
    await upstream.close();
  });
  beforeEach(() => {
    upstream.clear();
    upstream.behave();
  });

  const bodies: readonly (readonly [name: string, head: string, wire: string, body: string])[] = [
    ['no body', 'POST /x HTTP/1.1\r\n', '\r\n', ''],
    ['length 0', 'POST /x HTTP/1.1\r\nContent-Length: 0\r\n', '\r\n', ''],
    ['a length', 'POST /x HTTP/1.1\r\nContent-Length: 5\r\n', '\r\nhello', 'hello'],
    ['a length with zeros before it', 'POST /x HTTP/1.1\r\nContent-Length: 005\r\n', '\r\nhello', 'hello'],
    [
      'chunks',
      'POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n',
      '\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n',
      'hello',
    ],
    ['no chunks', 'POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n', '\r\n0\r\n\r\n', ''],
    ['a length on GET', 'GET /x HTTP/1.1\r\nContent-Length: 5\r\n', '\r\nhello', 'hello'],
    ['bytes of every value', 'POST /x HTTP/1.1\r\nContent-Length: 256\r\n', `\r\n${everyByte()}`, everyByte()],
    ['a length, decided later', 'POST /later HTTP/1.1\r\nContent-Length: 5\r\n', '\r\nhello', 'hello'],
    [
      'chunks, decided later',
      'POST /later HTTP/1.1\r\nTransfer-Encoding: chunked\r\n',
      '\r\n5\r\nhello\r\n0\r\n\r\n',
      'hello',
    ],
    ['a length on HTTP/1.0', 'POST /x HTTP/1.0\r\nContent-Length: 5\r\n', '\r\nhello', 'hello'],
  ];
  for (const [name, head, wire, body] of bodies) {
    for (const pieces of ['at once', 'byte by byte']) {
      it(`request body by ${name}, ${pieces}`, async () => {
        const bytes = head + HOST + wire;
        const answer = await send(sut.port, pieces === 'at once' ? bytes : [...bytes]);
        assert.equal(answer.status, 200);
        assert.equal(upstream.requests.length, 1);
        assert.equal(upstream.requests[0]?.body, body);
        const [length] = headerValues(upstream.requests[0] as never, 'content-length');
        if (length !== undefined) assert.equal(length, String(body.length));
      });
    }
  }

  const answers: readonly (readonly [name: string, wire: string, body: string, closes?: true])[] = [
    ['a length', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello', 'hello'],
    ['length 0', 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', ''],
    [
      'chunks',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nx-t: 1\r\n\r\n',
      'hello',
    ],
    ['its connection', 'HTTP/1.1 200 OK\r\n\r\nhello', 'hello', true],
    ['the connection of HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nhello', 'hello', true],
    ['bytes of every value', `HTTP/1.1 200 OK\r\ncontent-length: 256\r\n\r\n${everyByte()}`, everyByte()],
    ['a 100 before it', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok', 'ok'],
    [
      'a 103 before it',
      'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
      'ok',
    ],
  ];
  for (const [name, wire, body, closes] of answers) {
    it(`answer body by ${name}`, async () => {
      upstream.behave(closes ? answerAndClose(wire) : answerBytes(wire));
      const answer = await send(sut.port, `GET /x HTTP/1.1\r\n${HOST}\r\n`);
      assert.deepEqual([answer.status, answer.body, answer.rest, answer.interim.length], [200, body, '', 0]);
    });
    it(`answer body by ${name}, to HTTP/1.0`, async () => {
      upstream.behave(closes ? answerAndClose(wire) : answerBytes(wire));
      const answer = await send(sut.port, `GET /x HTTP/1.0\r\n${HOST}\r\n`, { untilClosed: true });
      assert.deepEqual([answer.status, answer.body, answer.closed], [200, body, true]);
      assert.equal(answer.headers['transfer-encoding'], undefined);
    });
  }

  const bodiless: readonly (readonly [name: string, method: string, wire: string, headers: Record<string, string>])[] =
    [
      ['HEAD with a length', 'HEAD', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n', { 'content-length': '5' }],
      ['HEAD with chunks announced', 'HEAD', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', {}],
      ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', {}],
      ['204 with a length, which it must not have', 'GET', 'HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n', {}],
      [
        '304 with a length',
        'GET',
        'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\netag: "a"\r\n\r\n',
        { 'content-length': '5' },
      ],
    ];
  for (const [name, method, wire, headers] of bodiless) {
    it(`no body: ${name}; the connection serves on`, async () => {
      upstream.behave(answerBytes(wire));
      const one = `${method} /x HTTP/1.1\r\n${HOST}\r\n`;
      const answer = await send(sut.port, one + one, { bodiless: true, answers: 2 });
      assert.equal(answer.responses.length, 2);
      assert.equal(answer.headers['content-length'], headers['content-length']);
      assert.equal(answer.rest, '');
    });
  }

  it('no body: HEAD for a path that is refused as ambiguous', async () => {
    const answer = await send(sut.port, `HEAD /a%2fb HTTP/1.1\r\n${HOST}\r\n`, { bodiless: true, untilClosed: true });
    assert.deepEqual([answer.status, answer.rest, answer.closed], [400, '', true]);
  });

  it('a status without a name of ours passes as it is', async () => {
    upstream.behave(answerBytes('HTTP/1.1 299 Fine\r\ncontent-length: 0\r\n\r\n'));
    assert.equal((await send(sut.port, `GET /x HTTP/1.1\r\n${HOST}\r\n`)).status, 299);
  });

  it('hop-by-hop headers and those that Connection names stay behind, both ways', async () => {
    upstream.behave(
      answerBytes(
        'HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nx-end: 1\r\ncontent-length: 0\r\n\r\n',
      ),
    );
    const answer = await send(
      sut.port,
      `GET /x HTTP/1.1\r\n${HOST}Connection: x-hop, content-length\r\nX-Hop: 1\r\nTE: trailers\r\nX-End: 1\r\n\r\n`,
    );
    const forwarded = upstream.requests[0]?.head ?? '';
    assert.match(forwarded, /x-end: 1/);
    assert.doesNotMatch(forwarded, /x-hop|te:|connection/i);
    assert.equal(answer.headers['x-end'], '1');
    assert.equal(answer.headers['x-hop'] ?? answer.headers['keep-alive'], undefined);
    assert.equal(answer.headers['content-length'], '0');
  });

  it('pipelined requests are answered in order, bodies and denials among them', async () => {
    const bytes = [
      `GET /1 HTTP/1.1\r\n${HOST}\r\n`,
      `POST /denied HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
      `POST /denied-later HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
      `POST /2 HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nab`,
      `GET /later HTTP/1.1\r\n${HOST}\r\n`,
    ].join('');
    const answer = await send(sut.port, bytes, { answers: 5 });
    assert.deepEqual(answer.responses.map(statusOf), [200, 403, 403, 200, 200]);
    assert.deepEqual(
      upstream.requests.map(({ startLine }) => startLine),
      ['GET /1 HTTP/1.1', 'POST /2 HTTP/1.1', 'GET /later HTTP/1.1'],
    );
  });

  it('a thousand pipelined requests: every one answered', async () => {
    const answer = await send(sut.port, `GET /x HTTP/1.1\r\n${HOST}\r\n`.repeat(1_000), {
      answers: 1_000,
      timeoutMs: 20_000,
    });
    assert.equal(answer.responses.length, 1_000);
  });

  describe('Expect: 100-continue', () => {
    const head = (path: string, version = '1.1'): string =>
      `POST ${path} HTTP/${version}\r\n${HOST}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n`;

    it('100 comes before the body is sent, and Expect is not forwarded', async () => {
      const events: string[] = [];
      await new Promise<void>((resolve) => {
        const socket = connect(sut.port, '127.0.0.1', () => socket.write(head('/x')));
        socket.on('data', (data) => {
          events.push(data.toString('latin1').slice(0, 12));
          if (events.length === 1) socket.write('ab');
          else socket.destroy();
        });
        socket.on('close', () => resolve());
      });
      assert.deepEqual(events, ['HTTP/1.1 100', 'HTTP/1.1 200']);
      assert.equal(upstream.requests[0]?.body, 'ab');
      assert.deepEqual(headerValues(upstream.requests[0] as never, 'expect'), []);
    });

    it('refused: no 100, and the connection ends, since nobody knows whether the body comes', async () => {
      for (const path of ['/denied', '/denied-later']) {
        const answer = await send(sut.port, `${head(path)}GET /smuggled HTTP/1.1\r\n${HOST}\r\n`, {
          untilClosed: true,
        });
        assert.deepEqual(
          [answer.status, answer.interim.length, answer.closed, answer.responses.length],
          [403, 0, true, 1],
        );
      }
      assert.equal(upstream.requests.length, 0);
    });

    it('is ignored from HTTP/1.0', async () => {
      const answer = await send(sut.port, `${head('/x', '1.0')}ab`, { untilClosed: true });
      assert.deepEqual([answer.status, answer.interim.length], [200, 0]);
    });
  });

  it('an answer that comes while the body is still coming is passed on at once, and the connection ends', async () => {
    await using early = await tcpServer((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig'));
    });
    await using engine = await startEngine(early);
    const answer = await send(engine.port, `POST /x HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\nabc`, {
      untilClosed: true,
    });
    assert.deepEqual([answer.status, answer.body, answer.headers['connection']], [413, 'big', 'close']);
  });

  it('a client that leaves ends the upstream request: waiting for the answer, in its body, in ours', {
    timeout: 10_000,
  }, async () => {
    const cases: readonly (readonly [name: string, request: string, answer: string])[] = [
      ['waiting', `GET /x HTTP/1.1\r\n${HOST}\r\n`, ''],
      ['in the request body', `POST /x HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\nabc`, ''],
      ['in the answer body', `GET /x HTTP/1.1\r\n${HOST}\r\n`, 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc'],
    ];
    for (const [name, request, answer] of cases) {
      let sawRequest = (): void => {};
      let sawClose = (): void => {};
      const requested = new Promise<void>((resolve) => {
        sawRequest = resolve;
      });
      const closed = new Promise<void>((resolve) => {
        sawClose = resolve;
      });
      await using server = await tcpServer((socket) => {
        socket.once('data', () => {
          socket.write(answer);
          sawRequest();
        });
        socket.on('end', () => socket.destroy());
        socket.on('close', sawClose);
      });
      await using engine = await startEngine(server, { timeouts: { requestMs: 60_000, idleMs: 60_000 } });
      const socket = connect(engine.port, '127.0.0.1', () => socket.write(request));
      await requested;
      if (answer !== '') await new Promise<void>((resolve) => socket.once('data', () => resolve()));
      socket.destroy();
      await closed;
      await engine.finishedCount(1);
      assert.equal(engine.finished[0]?.status, answer === '' ? 499 : 200, name);
    }
  });
});

function everyByte(): string {
  return String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));
}
