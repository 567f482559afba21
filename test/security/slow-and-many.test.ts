import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startEngine } from '../support/engine-under-test.ts';
import { send } from '../support/raw-http.ts';
import { type RecordingUpstream, recordingUpstream, type UpstreamBehaviour } from '../support/recording-upstream.ts';

const REQUEST = 'GET /orders HTTP/1.1\r\nHost: api\r\n\r\n';
const MANY_REQUESTS = Buffer.from(REQUEST.repeat(2_000));
const TOTAL = 64 * 1024 * 1024;
/** What the kernels may hold between two sides of which one stands still, with room. */
const MAX_IN_FLIGHT = 24 * 1024 * 1024;

/** Sends requests without waiting for answers, as fast as they are taken; `reads`: whether it takes the answers. */
function pipeliner(port: number, reads: boolean): { readonly socket: Socket; readonly taken: () => number } {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  if (reads) socket.resume();
  else socket.pause();
  const more = (): void => {
    while (socket.bytesWritten < TOTAL && !socket.destroyed) {
      if (!socket.write(MANY_REQUESTS)) return;
    }
  };
  socket.on('drain', more);
  more();
  return { socket, taken: () => socket.bytesWritten - socket.writableLength };
}

/** Answers the first `count` requests and no further one. */
function answerFirst(count: number, body: string): UpstreamBehaviour {
  let left = count;
  return (_request, socket) => {
    if (left-- > 0) socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`, 'latin1');
  };
}

/** Waits until a number stops growing or is out of bounds anyway. */
async function settled(value: () => number, bound: number): Promise<number> {
  for (let before = -1; before !== value() && before <= bound; await delay(500)) before = value();
  return value();
}

async function withUpstream(
  behaviour: UpstreamBehaviour,
  body: (port: number, upstream: RecordingUpstream) => Promise<void>,
): Promise<void> {
  const upstream = await recordingUpstream();
  upstream.behave(behaviour);
  const sut = await startEngine(upstream, { timeouts: { requestMs: 60_000, idleMs: 60_000 } });
  try {
    await body(sut.port, upstream);
  } finally {
    await sut.engine.stop(0);
    await upstream.close();
  }
}

describe('slow and many', { timeout: 60_000 }, () => {
  it('a client that pipelines without end is read as it is served, not ahead of it', async () => {
    const served = 1_500;
    await withUpstream(answerFirst(served, 'ok'), async (port, upstream) => {
      const client = pipeliner(port, true);
      assert.ok((await settled(client.taken, MAX_IN_FLIGHT)) < MAX_IN_FLIGHT, `${client.taken()} bytes were taken`);
      assert.equal(upstream.requests.length, served + 1, 'the honest half: what was read was served');
      client.socket.destroy();
    });
  });

  it('a client that pipelines and never reads is served no further once its answers do not fit', async () => {
    const body = 'x'.repeat(8 * 1024);
    const enough = MAX_IN_FLIGHT / body.length;
    await withUpstream(answerFirst(3 * enough, body), async (port, upstream) => {
      const client = pipeliner(port, false);
      assert.ok(
        (await settled(() => upstream.requests.length, enough)) < enough,
        `${upstream.requests.length} were served`,
      );
      client.socket.resume();
      assert.ok((await settled(() => upstream.requests.length, enough)) > enough, 'goes on when it reads');
      client.socket.destroy();
    });
  });

  const connections = { perPod: 1_200, perAddress: 1_000 };
  /** What an attacker sends on each connection, and leaves it there. */
  const holds: readonly (readonly [name: string, bytes: string])[] = [
    ['nothing', ''],
    ['half a head', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: '],
    ['a head without its body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx'],
    ['a request, and stays for a while', REQUEST],
  ];
  for (const [name, bytes] of holds) {
    it(`thousands of connections that send ${name}: a good client still gets through, and soon`, async () => {
      const upstream = await recordingUpstream();
      const sut = await startEngine(upstream, { connections, timeouts: { requestMs: 60_000, idleMs: 60_000 } });
      const attack: Socket[] = [];
      try {
        // Three addresses of one attacker, each up to its own cap.
        for (let i = 0; i < 3_600; i++) {
          const socket = connect({ port: sut.port, host: '127.0.0.1', localAddress: `127.0.0.${2 + (i % 3)}` });
          socket.on('error', () => {});
          socket.on('connect', () => socket.write(bytes));
          socket.resume();
          attack.push(socket);
          if (i % 100 === 0) await delay(5);
        }
        await settled(() => attack.filter(({ readyState }) => readyState === 'open').length, 1e9);
        assert.ok(
          sut.engine.connections >= connections.perPod - 100,
          `the positive control: the pod is full, not ${sut.engine.connections}`,
        );
        assert.ok(sut.engine.connections <= connections.perPod);
        for (let i = 0; i < 20; i++) {
          const answer = await send(sut.port, REQUEST.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'), {
            untilClosed: true,
          });
          assert.equal(answer.status, 200, `client ${i}`);
        }
      } finally {
        for (const socket of attack) socket.destroy();
        await sut.engine.stop(0);
        await upstream.close();
      }
    });
  }

  it('one address never holds more than its cap, and others do not feel it', async () => {
    const upstream = await recordingUpstream();
    upstream.behave(() => {}); // every request stays under way
    const sut = await startEngine(upstream, {
      connections: { perPod: 100, perAddress: 20 },
      timeouts: { requestMs: 60_000 },
    });
    const sockets = Array.from({ length: 60 }, () => connect({ port: sut.port, host: '127.0.0.1' }));
    for (const socket of sockets) socket.on('error', () => {}).write(REQUEST);
    await settled(() => sut.engine.connections, 60);
    assert.equal(sut.engine.connections, 20);
    const other = connect({ port: sut.port, host: '127.0.0.1', localAddress: '127.0.0.9' });
    await settled(() => sut.engine.connections, 60);
    assert.equal(sut.engine.connections, 21);
    for (const socket of [...sockets, other]) socket.destroy();
    await sut.engine.stop(0);
    await upstream.close();
  });
});
