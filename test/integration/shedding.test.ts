import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { shed } from '../../sidecar/filters/shed.ts';
import { startEngine } from '../support/engine-under-test.ts';
import { send } from '../support/raw-http.ts';
import { recordingUpstream } from '../support/recording-upstream.ts';

const GET = 'GET /orders HTTP/1.1\r\nHost: api\r\n\r\n';
const POST = 'POST /orders HTTP/1.1\r\nHost: api\r\nContent-Length: 5\r\n\r\nhello';
const CANCEL = 'DELETE /orders/7 HTTP/1.1\r\nHost: api\r\n\r\n';

describe('shedding', { timeout: 30_000 }, () => {
  it('answers 503 with Retry-After, asks nobody, and goes on with the connection', async () => {
    let admits = false;
    await using upstream = await disposable();
    await using sut = await startEngine(upstream, { filters: [shed({ admits: () => admits }, null)] });
    for (const request of [GET, POST]) {
      const answer = await send(sut.port, request);
      assert.deepEqual([answer.status, JSON.parse(answer.body).code], [503, 'overloaded']);
      assert.equal(answer.headers['retry-after'], '1');
      assert.equal(answer.headers['connection'], undefined);
    }
    assert.equal(upstream.requests.length, 0);
    const pipelined = send(sut.port, POST + GET + GET, { answers: 3 });
    await sut.finishedCount(3);
    await delay(150);
    const looked = sut.finished.length;
    admits = true;
    const answer = await pipelined;
    assert.deepEqual(
      answer.responses.map(({ startLine }) => startLine.split(' ')[1]),
      ['503', '200', '200'],
    );
    assert.equal(looked, 3, 'the second was not looked at while the connection rested');
  });

  it('what a Reserved lane could admit passes', async () => {
    await using upstream = await disposable();
    const filter = shed({ admits: () => false }, ({ method }) => method === 'DELETE');
    await using sut = await startEngine(upstream, { filters: [filter] });
    assert.equal((await send(sut.port, CANCEL)).status, 200);
    assert.equal((await send(sut.port, GET)).status, 503);
  });

  it('a connection that rests can be closed, by its client and by us', async () => {
    await using upstream = await disposable();
    const sut = await startEngine(upstream, { filters: [shed({ admits: () => false }, null)] });
    assert.equal((await send(sut.port, GET)).status, 503);
    await sut.engine.stop(100);
    assert.equal(sut.engine.connections, 0);
  });
});

async function disposable() {
  const upstream = await recordingUpstream();
  return Object.assign(upstream, { [Symbol.asyncDispose]: () => upstream.close() });
}
