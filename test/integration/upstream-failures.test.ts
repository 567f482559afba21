import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { blackHole } from '../support/black-hole.ts';
import { type EngineUnderTest, startEngine } from '../support/engine-under-test.ts';
import { send } from '../support/raw-http.ts';
import {
  answerAndClose,
  answerBytes,
  drip,
  type RecordingUpstream,
  recordingUpstream,
  reset,
  staySilent,
  type UpstreamBehaviour,
} from '../support/recording-upstream.ts';
import { startSidecarUnderTest } from '../support/sidecar-under-test.ts';
import { tcpServer } from '../support/tcp-server.ts';

const GET = 'GET /x HTTP/1.1\r\nHost: api.example\r\n\r\n';
const POST = 'POST /x HTTP/1.1\r\nHost: api.example\r\nContent-Length: 2\r\n\r\nab';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

describe('an application that fails', { timeout: 60_000 }, () => {
  let upstream: RecordingUpstream;
  let sut: EngineUnderTest;
  before(async () => {
    upstream = await recordingUpstream();
    sut = await startEngine(upstream, { timeouts: { requestMs: 400, idleMs: 400 } });
  });
  after(async () => {
    await sut.engine.stop(0);
    await upstream.close();
  });
  beforeEach(() => upstream.clear());

  const nonsense: readonly (readonly [name: string, bytes: string])[] = [
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
    ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n'],
    ['HTTP/0.9', '<html>\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['a status above 599', 'HTTP/1.1 600 Odd\r\ncontent-length: 0\r\n\r\n'],
    ['two spaces before the status', 'HTTP/1.1  200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['bare LF', 'HTTP/1.1 200 OK\ncontent-length: 0\n\nHTTP/1.1 200 OK\r\n\r\n'],
    ['a control byte in a value', 'HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n'],
    ['a space before a colon', 'HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n'],
    ['a header without a colon', 'HTTP/1.1 200 OK\r\nnothing\r\ncontent-length: 0\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nab'],
    ['a negative length', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n'],
    ['length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['another transfer coding', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['chunks on HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(20_000)}`],
    [
      '101 that nobody asked for',
      'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
    ],
  ];
  for (const [name, bytes] of nonsense) {
    it(`answers nonsense (${name}): 502, and the connection to the client lives on`, async () => {
      upstream.behave(answerBytes(bytes));
      await assertRefused(GET, 502, 'upstream_protocol');
      upstream.behave();
      assert.equal((await send(sut.port, GET)).status, 200);
    });
  }

  const failures: readonly (readonly [name: string, UpstreamBehaviour, status: number, code: string])[] = [
    ['never answers', staySilent, 504, 'upstream_timeout'],
    ['drips its head', drip([...`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(50)}`], 50), 504, 'upstream_timeout'],
    ['sends 100 for ever', drip(Array<string>(50).fill('HTTP/1.1 100 Continue\r\n\r\n'), 50), 504, 'upstream_timeout'],
    ['resets before its head', reset(), 502, 'upstream_reset'],
    ['resets in its head', reset('HTTP/1.1 200'), 502, 'upstream_reset'],
    ['closes before its head', answerAndClose(''), 502, 'upstream_reset'],
    ['closes in its head', answerAndClose('HTTP/1.1 200 OK\r\nx: '), 502, 'upstream_reset'],
    ['resets after a 100', reset('HTTP/1.1 100 Continue\r\n\r\n'), 502, 'upstream_reset'],
  ];
  for (const [name, behaviour, status, code] of failures) {
    it(`${name}: ${status}`, async () => {
      const fresh = await startEngine(upstream, { timeouts: { requestMs: 400, idleMs: 400 } });
      upstream.behave(behaviour);
      await assertRefused(POST, status, code, fresh.port);
      await fresh.engine.stop(0);
    });
  }

  const truncated: readonly (readonly [name: string, UpstreamBehaviour])[] = [
    ['a length, closed', answerAndClose('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc')],
    ['a length, reset', reset('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc')],
    ['a length, then silence', answerBytes('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc')],
    ['chunks, closed', answerAndClose('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n')],
    [
      'chunks, closed after the last one began',
      answerAndClose('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n'),
    ],
    ['chunks, reset', reset('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n')],
    [
      'chunks, then nonsense',
      drip(['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n', 'zz\r\n'], 50),
    ],
    ['its connection, reset', reset('HTTP/1.1 200 OK\r\n\r\nabc')],
  ];
  for (const [name, behaviour] of truncated) {
    it(`a body cut short (${name}) is cut for the client too`, async () => {
      upstream.behave(behaviour);
      const answer = await send(sut.port, GET, { untilClosed: true });
      assert.deepEqual([answer.responses.length, answer.closed], [0, true], 'no complete answer');
      assert.match(answer.rest, /^HTTP\/1\.1 200[\s\S]*abc/);
    });
    it(`a body cut short (${name}) does not look ended to HTTP/1.0`, async () => {
      upstream.behave(behaviour);
      const { text, error } = await readRaw(sut.port, GET.replace('1.1', '1.0'));
      if (!/content-length/.test(text)) assert.equal(error, 'ECONNRESET');
    });
  }

  it('takes no body and says nothing: 504', async () => {
    await using deaf = await tcpServer((socket) => void socket.pause());
    await using engine = await startEngine(deaf, { timeouts: { requestMs: 400 } });
    const size = 20 * 1024 * 1024;
    const head = `POST /x HTTP/1.1\r\nHost: api.example\r\nContent-Length: ${size}\r\n\r\n`;
    const answer = await send(engine.port, [head, Buffer.alloc(size)], { timeoutMs: 10_000 });
    assert.equal(answer.status, 504);
  });

  it('does not listen: 502', async () => {
    const gone = await tcpServer(() => {});
    await gone.close();
    await using engine = await startEngine(gone);
    await assertRefused(GET, 502, 'upstream_connect', engine.port);
    await assertRefused(POST, 502, 'upstream_connect', engine.port);
  });

  it('does not accept connections: 504', async () => {
    await using hole = await blackHole();
    await using engine = await startEngine(hole, { timeouts: { connectMs: 300, requestMs: 60_000 } });
    await assertRefused(GET, 504, 'upstream_timeout', engine.port);
  });

  describe('a kept connection that the application has just closed', () => {
    /** Serves one request a connection, says keep-alive all the same, and closes when the second comes. */
    async function staleAfterOne(request: string): Promise<{ readonly status: number; readonly requests: number }> {
      let requests = 0;
      await using server = await tcpServer((socket) => {
        let served = false;
        socket.on('data', () => {
          if (served) socket.resetAndDestroy();
          else {
            requests++;
            socket.write(OK);
          }
          served = true;
        });
      });
      await using engine = await startEngine(server);
      assert.equal((await send(engine.port, GET)).status, 200);
      const { status } = await send(engine.port, request);
      return { status, requests };
    }

    it('GET is sent again on a new one', async () => {
      assert.deepEqual(await staleAfterOne(GET), { status: 200, requests: 2 });
    });
    it('POST is not: the application may have acted on it', async () => {
      assert.deepEqual(await staleAfterOne(POST), { status: 502, requests: 1 });
    });
    it('POST without a body is not either', async () => {
      assert.deepEqual(await staleAfterOne(POST.replace('Content-Length: 2\r\n\r\nab', '\r\n')), {
        status: 502,
        requests: 1,
      });
    });
    it('PUT with a body that is passed on as it comes is not: part of it is gone', async () => {
      const put = POST.replace('POST', 'PUT');
      assert.deepEqual(await staleAfterOne(put), { status: 502, requests: 1 });
    });
    it('DELETE without a body is: to do it twice is to do it once (RFC 9110, section 9.2.2)', async () => {
      assert.deepEqual(await staleAfterOne(GET.replace('GET', 'DELETE')), { status: 200, requests: 2 });
    });
    it('PATCH without a body is not', async () => {
      assert.deepEqual(await staleAfterOne(GET.replace('GET', 'PATCH')), { status: 502, requests: 1 });
    });
    it('a GET that fails on a new connection is not sent a third time', async () => {
      let requests = 0;
      await using server = await tcpServer((socket) => {
        socket.on('data', () => {
          requests++;
          if (requests === 1) socket.write(OK);
          else socket.resetAndDestroy();
        });
      });
      await using engine = await startEngine(server);
      assert.equal((await send(engine.port, GET)).status, 200);
      assert.equal((await send(engine.port, GET)).status, 502);
      assert.equal(requests, 3);
    });
  });

  it('bytes after the answer never become the answer to the next request', async () => {
    upstream.behave(answerBytes(`${OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison`));
    for (let i = 0; i < 3; i++) assert.equal((await send(sut.port, GET)).body, 'ok');
    upstream.behave(drip([OK, 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison'], 30));
    for (let i = 0; i < 3; i++) {
      assert.equal((await send(sut.port, GET)).body, 'ok');
      await delay(60);
    }
  });

  async function assertRefused(request: string, status: number, code: string, port = sut.port): Promise<void> {
    const answer = await send(port, request);
    assert.equal(answer.status, status, answer.body);
    assert.equal(JSON.parse(answer.body).code, code);
    assert.equal(answer.headers['content-type'], 'application/problem+json');
    assert.equal(answer.headers['x-request-id'], JSON.parse(answer.body).requestId);
  }
});

function readRaw(port: number, bytes: string): Promise<{ readonly text: string; readonly error: string }> {
  return new Promise((resolve) => {
    let text = '';
    let error = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (data) => {
      text += data.toString('latin1');
    });
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      error = cause.code ?? '';
    });
    socket.on('close', () => resolve({ text, error }));
  });
}

it('time-outs of a policy in Shadow are not carried out', async () => {
  const tight = { timeouts: { connectMs: 100, requestMs: 100, idleMs: 100 } };
  const sidecar = await startSidecarUnderTest({ limits: { mode: 'Enforce', ...tight } });
  try {
    sidecar.upstream.behave(drip(['', OK], 1_500));
    assert.equal((await send(sidecar.port, GET)).status, 504);
    await sidecar.publish({ limits: { mode: 'Shadow', ...tight } });
    const answer = await send(sidecar.port, GET);
    assert.deepEqual([answer.status, answer.body], [200, 'ok']);
  } finally {
    await sidecar.stop();
  }
});
