import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { send } from '../support/raw-http.ts';
import { type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const GET = 'GET /x HTTP/1.1\r\nHost: api.example\r\n\r\n';
const POST_HEAD = 'POST /x HTTP/1.1\r\nHost: api.example\r\nContent-Length: 4\r\n\r\n';

describe('drain', { timeout: 30_000 }, () => {
  let sut: SidecarUnderTest;
  beforeEach(async () => {
    sut = await startSidecarUnderTest();
  });
  afterEach(() => sut.stop());

  it('startDraining: unready, still accepting, and each answer closes its connection', async () => {
    const kept = await openAfterOneAnswer(sut.port);
    sut.sidecar.startDraining();
    assert.equal((await send(sut.adminPort, 'GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n')).status, 503);
    assert.equal((await send(sut.adminPort, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')).status, 200);
    const fresh = await send(sut.port, GET, { untilClosed: true });
    assert.deepEqual([fresh.status, fresh.headers['connection'], fresh.closed], [200, 'close', true]);
    kept.write(GET);
    assert.match(await kept.untilEnd(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: close\r\n/);
  });

  it('stop: requests under way end well, idle connections close at once, new ones are refused', async () => {
    const idle = await openAfterOneAnswer(sut.port);
    const answers: (() => void)[] = [];
    sut.upstream.behave((_request, socket) => {
      answers.push(() => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone'));
    });
    const waiting = send(sut.port, GET, { untilClosed: true, timeoutMs: 10_000 });
    const uploading = connect(sut.port, '127.0.0.1', () => uploading.write(`${POST_HEAD}ab`));
    let uploaded = '';
    uploading.on('data', (data) => {
      uploaded += data.toString('latin1');
    });
    while (answers.length < 1) await delay(5);

    const stopped = sut.sidecar.stop(5_000);
    assert.equal(await idle.untilEnd(), '');
    await assert.rejects(send(sut.port, GET), { code: 'ECONNREFUSED' });
    uploading.write('cd');
    while (answers.length < 2) await delay(5);
    for (const answer of answers) answer();
    const answer = await waiting;
    assert.deepEqual([answer.status, answer.body, answer.headers['connection']], [200, 'done', 'close']);
    await stopped;
    assert.match(uploaded, /^HTTP\/1\.1 200 OK[\s\S]*done$/);
  });

  it('stop: what takes longer than the grace is cut', async () => {
    sut.upstream.behave(() => {});
    const waiting = send(sut.port, GET, { untilClosed: true, timeoutMs: 10_000 });
    while (sut.upstream.requests.length === 0) await delay(5);
    await sut.sidecar.stop(100);
    const answer = await waiting;
    assert.deepEqual([answer.status, answer.closed], [0, true]);
    const logged = sut.log().filter((line) => line.includes('"msg":"request"'));
    assert.deepEqual(
      logged.map((line) => JSON.parse(line).status),
      [499],
      'it is logged and counted all the same',
    );
  });
});

/** A connection that has had one answer and is kept. */
async function openAfterOneAnswer(port: number): Promise<{ write(bytes: string): void; untilEnd(): Promise<string> }> {
  const socket = connect(port, '127.0.0.1', () => socket.write(GET));
  let text = '';
  const ended = new Promise<void>((resolve) => socket.on('end', () => resolve()));
  await new Promise<void>((resolve) => {
    socket.on('data', (data) => {
      text += data.toString('latin1');
      if (/\r\n\r\n\{.*\}$/.test(text)) resolve();
    });
  });
  assert.doesNotMatch(text, /connection: close/);
  text = '';
  return {
    write: (bytes) => void socket.write(bytes),
    untilEnd: async () => {
      await ended;
      return text;
    },
  };
}
