import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { headerOf } from '../support/http-messages.ts';
import { type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

const PER_USER = 3;

describe('two sidecars on one Redis', { skip: redisMissing(), timeout: 60_000 }, () => {
  let redis: RedisServer;
  let sidecars: SidecarUnderTest[];
  before(async () => {
    redis = await RedisServer.start();
    const limits = {
      store: { redisUrl: redis.url },
      connections: { perPod: 100, perAddress: 100, websocketPerUser: PER_USER },
    };
    sidecars = await Promise.all([startSidecarUnderTest({ limits }), startSidecarUnderTest({ limits })]);
    for (const { upstream } of sidecars) {
      upstream.behave((request, socket) => {
        const key = headerOf(request, 'sec-websocket-key');
        const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
        );
        socket.on('end', () => socket.end());
      });
    }
  });
  after(async () => {
    await Promise.all(sidecars.map((sidecar) => sidecar.stop()));
    await redis.remove();
  });

  /** The WebSocket, or the status that refused it. */
  function dial(turn: number, user: string): Promise<WebSocket | number> {
    const { port, token } = sidecars[turn % 2] as SidecarUnderTest;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, {
      headers: { authorization: `Bearer ${token({ sub: user })}` },
    });
    return new Promise((resolve) => {
      socket.on('open', () => resolve(socket));
      socket.on('unexpected-response', (_request, { statusCode = 0 }) => resolve(statusCode));
      socket.on('error', () => {});
    });
  }

  it('open as many WebSockets for a user as the policy says, and again when one closes', async () => {
    const opened = await Promise.all(Array.from({ length: 10 }, (_, i) => dial(i, 'ann')));
    const sockets = opened.filter((each) => typeof each !== 'number');
    assert.equal(sockets.length, PER_USER);
    assert.deepEqual(new Set(opened.filter((each) => typeof each === 'number')), new Set([429]));
    assert.equal(typeof (await dial(0, 'bob')), 'object', 'another user has places of his own');
    sockets[0]?.terminate();
    for (;;) {
      const again = await dial(1, 'ann');
      if (typeof again !== 'number') break;
    }
    assert.equal(await dial(0, 'ann'), 429);
  });
});
