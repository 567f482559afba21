import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { type EngineUnderTest, startEngine } from '../support/engine-under-test.ts';
import { send } from '../support/raw-http.ts';
import { serve, type TcpServer, tcpServer } from '../support/tcp-server.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
const HANDSHAKE = [
  'GET /ticks HTTP/1.1',
  'Host: api.example',
  'Connection: keep-alive, Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${KEY}`,
  '\r\n',
].join('\r\n');

function switching(...lines: readonly string[]): string {
  return ['HTTP/1.1 101 Switching Protocols', 'connection: Upgrade', 'upgrade: websocket', ...lines, '\r\n'].join(
    '\r\n',
  );
}

/** What one end of a WebSocket saw, in order. */
type Seen = readonly unknown[];

/** Talks to an echo server through every kind of frame and writes down all that happens. */
async function conversation(port: number, perMessageDeflate: boolean): Promise<Seen> {
  const seen: unknown[] = [];
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ticks`, ['v2', 'v1'], { perMessageDeflate });
  const big = Buffer.alloc(1024 * 1024, 'tick ');
  await new Promise<void>((resolve, reject) => {
    let answers = 0;
    socket.on('error', reject);
    socket.on('open', () => {
      seen.push('open', socket.protocol, socket.extensions);
      socket.send('text');
      socket.send('');
      socket.send(big);
      socket.send('one ', { fin: false });
      socket.ping('in between');
      socket.send('two ', { fin: false });
      socket.send('three', { fin: true });
    });
    socket.on('ping', (data) => seen.push('ping', data.toString()));
    socket.on('pong', (data) => seen.push('pong', data.toString()));
    socket.on('message', (data, isBinary) => {
      const bytes = data as Buffer;
      seen.push('message', isBinary, bytes.length, createHash('sha256').update(bytes).digest('hex'));
      if (++answers === 4) socket.close(4_321, 'enough');
    });
    socket.on('close', (code, reason) => {
      seen.push('close', code, reason.toString());
      resolve();
    });
  });
  return seen;
}

describe('WebSocket', { timeout: 60_000 }, () => {
  let application: TcpServer;
  let sut: EngineUnderTest;
  const closes: unknown[] = [];
  before(async () => {
    const server = createServer();
    const sockets = new WebSocketServer({ server, perMessageDeflate: true, handleProtocols: () => 'v1' });
    sockets.on('connection', (socket) => {
      socket.on('message', (data, binary) => socket.send(data as Buffer, { binary }));
      socket.on('close', (code, reason) => closes.push([code, reason.toString()]));
      socket.ping('are you there');
    });
    application = await serve(server);
    sut = await startEngine(application);
  });
  after(async () => {
    await sut.engine.stop(0);
    await application.close();
  });

  for (const compressed of [false, true]) {
    it(`is the same through us and without us, compression ${compressed ? 'on' : 'off'}`, async () => {
      const direct = await conversation(application.port, compressed);
      const proxied = await conversation(sut.port, compressed);
      assert.deepEqual(proxied.filter(notPing), direct.filter(notPing));
      assert.equal(proxied[2], compressed ? 'permessage-deflate' : '');
      assert.ok(proxied.includes('are you there'), 'pings arrive');
      assert.deepEqual(closes.slice(-2), [
        [4_321, 'enough'],
        [4_321, 'enough'],
      ]);
    });
  }

  it('passes random bytes of both directions untouched, whatever they are', async () => {
    const fromServer = randomBytes(3_000_000);
    const fromClient = randomBytes(2_000_000);
    const received: Buffer[] = [];
    let accepted: Socket | undefined;
    await using raw = await tcpServer((socket) => {
      accepted = socket;
      let head = '';
      const onHead = (data: Buffer): void => {
        head += data.toString('latin1');
        if (!head.includes('\r\n\r\n')) return;
        socket.off('data', onHead);
        socket.on('data', (bytes: Buffer) => received.push(bytes));
        // The first frames come in the same write as the head.
        socket.write(Buffer.concat([Buffer.from(switching(`sec-websocket-accept: ${ACCEPT}`)), fromServer]));
      };
      socket.on('data', onHead);
    });
    await using engine = await startEngine(raw);
    const client = connect(engine.port, '127.0.0.1');
    client.write(Buffer.concat([Buffer.from(HANDSHAKE), fromClient.subarray(0, 100)])); // early, which RFC 6455 forbids but happens
    client.write(fromClient.subarray(100));
    const got: Buffer[] = [];
    for await (const data of client) {
      got.push(data as Buffer);
      const all = got.reduce((sum, { length }) => sum + length, 0);
      if (all > fromServer.length && received.reduce((sum, { length }) => sum + length, 0) === fromClient.length) break;
      if (all > fromServer.length) setTimeout(() => accepted?.end(), 300);
    }
    const whole = Buffer.concat(got);
    const body = whole.subarray(whole.indexOf('\r\n\r\n') + 4);
    assert.ok(body.equals(fromServer), 'to the client');
    assert.ok(Buffer.concat(received).equals(fromClient), 'to the application');
  });

  it('a slow reader stops the writer on the other side', async () => {
    let written = 0;
    const chunk = Buffer.alloc(64 * 1024);
    await using raw = await tcpServer((socket) => {
      socket.once('data', () => {
        socket.write(switching(`sec-websocket-accept: ${ACCEPT}`));
        const more = (): void => {
          while (written < 100 * 1024 * 1024) {
            written += chunk.length;
            if (!socket.write(chunk)) return void socket.once('drain', more);
          }
        };
        more();
      });
    });
    await using engine = await startEngine(raw);
    const client = connect(engine.port, '127.0.0.1', () => client.write(HANDSHAKE));
    await new Promise<void>((resolve) => client.once('data', () => resolve(void client.pause())));
    for (let before = -1; before !== written; ) {
      before = written;
      await delay(200);
    }
    assert.ok(written < 24 * 1024 * 1024, `${written} bytes were taken while nobody read`);
    client.destroy();
  });

  const badAnswers: readonly (readonly [name: string, answer: string])[] = [
    ['no Sec-WebSocket-Accept', switching()],
    ['another key accepted', switching('sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=')],
    [
      'no Upgrade',
      `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nsec-websocket-accept: ${ACCEPT}\r\n\r\n`,
    ],
    ['Upgrade to something else', switching(`sec-websocket-accept: ${ACCEPT}`).replace('websocket', 'h2c')],
    [
      'Connection does not name it',
      switching(`sec-websocket-accept: ${ACCEPT}`).replace('connection: Upgrade\r\n', ''),
    ],
  ];
  for (const [name, bytes] of badAnswers) {
    it(`101 with ${name}: 502 and no tunnel`, async () => {
      await using raw = await tcpServer((socket) => {
        socket.once('data', () => socket.write(bytes));
      });
      await using engine = await startEngine(raw);
      const answer = await send(engine.port, HANDSHAKE, { untilClosed: true });
      assert.deepEqual([answer.status, JSON.parse(answer.body).code], [502, 'upstream_protocol']);
      assert.equal(engine.engine.tunnels, 0);
    });
  }

  it('an answer other than 101 passes through', async () => {
    await using raw = await tcpServer((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope'));
    });
    await using engine = await startEngine(raw);
    const answer = await send(engine.port, HANDSHAKE, { untilClosed: true });
    assert.deepEqual([answer.status, answer.body, answer.closed], [404, 'nope', true]);
  });

  it('each side that goes away takes the other along', async () => {
    for (const side of ['client', 'application'] as const) {
      let applicationSide: Socket | undefined;
      await using raw = await tcpServer((socket) => {
        applicationSide = socket;
        socket.once('data', () => socket.write(switching(`sec-websocket-accept: ${ACCEPT}`)));
        socket.on('end', () => socket.end());
      });
      await using engine = await startEngine(raw);
      const client = connect(engine.port, '127.0.0.1', () => client.write(HANDSHAKE));
      client.on('error', () => {});
      await new Promise<void>((resolve) => client.once('data', () => resolve()));
      assert.equal(engine.engine.tunnels, 1);
      const other = side === 'client' ? applicationSide : client;
      const gone = new Promise<void>((resolve) => other?.once('close', () => resolve()));
      if (side === 'client') client.resetAndDestroy();
      else applicationSide?.resetAndDestroy();
      await gone;
      await engine.finishedCount(1);
      assert.deepEqual([engine.engine.tunnels, engine.finished[0]?.status], [0, 101]);
    }
  });

  for (const how of ['startDraining', 'stop'] as const) {
    it(`${how} sends 1001, never into the middle of a frame`, async () => {
      const half = Buffer.concat([Buffer.from([0x82, 0x05]), Buffer.from('ab')]);
      let applicationSide: Socket | undefined;
      await using raw = await tcpServer((socket) => {
        applicationSide = socket;
        socket.once('data', () =>
          socket.write(Buffer.concat([Buffer.from(switching(`sec-websocket-accept: ${ACCEPT}`), 'latin1'), half])),
        );
        socket.on('end', () => socket.end());
      });
      await using engine = await startEngine(raw);
      const client = connect(engine.port, '127.0.0.1', () => client.write(HANDSHAKE));
      let text = '';
      const ended = new Promise<void>((resolve) => client.on('end', () => resolve()));
      await new Promise<void>((resolve) => {
        client.on('data', (data) => {
          text += data.toString('latin1');
          if (text.endsWith('ab')) resolve();
        });
      });
      let stopped = false;
      if (how === 'startDraining') engine.engine.startDraining(0);
      const stopping = how === 'stop' ? engine.engine.stop(5_000).then(() => (stopped = true)) : undefined;
      await delay(150);
      assert.ok(text.endsWith('ab') && !stopped, 'the frame is not complete: nothing of ours yet');
      applicationSide?.write(Buffer.concat([Buffer.from('cde'), Buffer.from([0x81, 0x01]), Buffer.from('x')]));
      await ended;
      const frames = text.slice(text.indexOf('\r\n\r\n') + 4);
      assert.match(frames, /^\x82\x05abcde(?:\x81\x01x)?\x88\x02\x03\xe9$/);
      await (stopping ?? engine.engine.stop(1_000));
    });
  }

  it('stop cuts what has not left when its time is up, and it is counted', async () => {
    await using raw = await tcpServer((socket) => {
      const half = Buffer.from([0x82, 0x05, 0x61]);
      const head = Buffer.from(switching(`sec-websocket-accept: ${ACCEPT}`), 'latin1');
      socket.once('data', () => socket.write(Buffer.concat([head, half])));
    });
    await using engine = await startEngine(raw);
    const client = connect(engine.port, '127.0.0.1', () => client.write(HANDSHAKE));
    client.on('error', () => {});
    await new Promise<void>((resolve) => client.once('data', () => resolve()));
    await engine.engine.stop(50);
    assert.deepEqual([engine.engine.tunnels, engine.finished[0]?.status], [0, 101]);
  });

  it('draining closes idle WebSockets with 1001', async () => {
    await using engine = await startEngine(application);
    const codes: Promise<number>[] = [];
    for (let i = 0; i < 5; i++) {
      const socket = new WebSocket(`ws://127.0.0.1:${engine.port}/`);
      codes.push(new Promise((resolve) => socket.once('close', resolve)));
      await new Promise<void>((resolve) => socket.once('open', () => resolve()));
    }
    engine.engine.startDraining(25);
    assert.deepEqual(await Promise.all(codes), Array(5).fill(1001));
  });
});

/** When the application's ping arrives among the answers is a matter of timing. */
function notPing(entry: unknown): boolean {
  return entry !== 'ping' && entry !== 'are you there';
}
