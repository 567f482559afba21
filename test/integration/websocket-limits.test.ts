import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import type { Exchange } from '../../sidecar/pipeline/exchange.ts';
import { type EngineSettings, type EngineUnderTest, startEngine } from '../support/engine-under-test.ts';
import { type TcpServer, tcpServer } from '../support/tcp-server.ts';
import { clientFrame, closeCode } from '../support/websocket-frames.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
const HANDSHAKE = `GET /ticks HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`;
const SWITCHING = `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${ACCEPT}\r\n\r\n`;

const TEXT = 1;
const PING = 9;
const HELLO = clientFrame(TEXT, Buffer.from('hello'));
const big = (bytes: number, fin = true, opcode = TEXT) => clientFrame(opcode, Buffer.alloc(bytes, 1), { fin });

/** One side of a WebSocket as a raw socket: what came after the head, and whether it ended. */
class Side {
  readonly socket: Socket;
  bytes = Buffer.alloc(0);
  ended = false;

  constructor(socket: Socket, first: Buffer = Buffer.alloc(0)) {
    this.socket = socket;
    this.bytes = Buffer.concat([first]);
    socket.on('error', () => {});
    socket.on('data', (data: Buffer) => {
      this.bytes = Buffer.concat([this.bytes, data]);
    });
    socket.on('end', () => {
      this.ended = true;
    });
  }

  async until(holds: (side: this) => boolean): Promise<void> {
    while (!holds(this)) await delay(5);
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}

/** A client and an application that are joined by an engine with these settings. */
async function joined(
  settings: EngineSettings,
  body: (client: Side, application: Side, sut: EngineUnderTest) => Promise<void>,
): Promise<void> {
  let application: Side | undefined;
  await using server: TcpServer = await tcpServer((socket) => {
    socket.once('data', () => {
      application = new Side(socket);
      socket.write(SWITCHING);
    });
  });
  await using sut = await startEngine(server, settings);
  const socket = connect(sut.port, '127.0.0.1', () => socket.write(HANDSHAKE));
  const head = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
  const client = new Side(socket, head.subarray(head.indexOf('\r\n\r\n') + 4));
  await until(() => application !== undefined);
  await body(client, application as Side, sut);
  socket.destroy();
}

describe('WebSocket limits', { timeout: 60_000 }, () => {
  const ends: readonly (readonly [name: string, sent: readonly Buffer[], passed: number, code: number, why: string])[] =
    [
      ['a message above the size', [HELLO, big(101), HELLO], 1, 1009, 'message_too_big'],
      [
        'one that says 64 bits of length',
        [clientFrame(TEXT, Buffer.alloc(101), { form: 64 })],
        0,
        1009,
        'message_too_big',
      ],
      ['fragments above it together', [big(60, false), big(41, true, 0)], 1, 1009, 'message_too_big'],
      [
        'compressed, counted as sent',
        [clientFrame(TEXT, Buffer.alloc(101), { rsv1: true })],
        0,
        1009,
        'message_too_big',
      ],
      ['more messages than the rate', Array<Buffer>(6).fill(HELLO), 5, 1008, 'too_many_messages'],
      ['pings above the rate', Array<Buffer>(6).fill(clientFrame(PING, Buffer.alloc(0))), 5, 1008, 'too_many_messages'],
    ];
  const connections = { maxMessageBytes: 100, messagesPerSecond: 5 };
  for (const [name, sent, passed, code, why] of ends) {
    it(`${name}: ${code} to both sides, and nothing of it reaches the application`, async () => {
      await joined({ connections }, async (client, application, sut) => {
        client.socket.write(Buffer.concat(sent));
        await client.until(({ ended }) => ended);
        await application.until(({ ended }) => ended);
        assert.equal(closeCode(client.bytes), code);
        assert.equal(closeCode(application.bytes), code);
        assert.deepEqual(application.bytes.subarray(0, -8), Buffer.concat(sent.slice(0, passed)));
        application.socket.end();
        client.socket.end();
        await sut.finishedCount(1);
        assert.deepEqual([sut.finished[0]?.status, sut.finished[0]?.refusal], [101, why]);
      });
    });

    it(`${name}: in Shadow it passes, and is told once`, async () => {
      await joined({ connections, shadow: true }, async (client, application, sut) => {
        client.socket.write(Buffer.concat([...sent, ...sent]));
        const all = Buffer.concat([...sent, ...sent]);
        await application.until(({ bytes }) => bytes.length === all.length);
        assert.deepEqual(application.bytes, all);
        client.socket.destroy();
        application.socket.destroy();
        await sut.finishedCount(1);
        assert.deepEqual(
          sut.finished[0]?.shadowDenials?.map(({ reason }) => reason),
          [why],
        );
      });
    });
  }

  it('what is within the limits passes byte for byte, however it is cut', async () => {
    const limits = { maxMessageBytes: 100_000, messagesPerSecond: 100_000, idleTimeoutMs: 60_000 };
    await joined({ connections: limits }, async (client, application) => {
      const frame = fc.tuple(
        fc.constantFrom(0, 1, 2, 8 + 1, 8 + 2),
        fc.oneof(fc.integer({ min: 0, max: 125 }), fc.integer({ min: 126, max: 70_000 })),
        fc.boolean(),
        fc.boolean(),
      );
      const stream = fc.array(frame, { minLength: 1, maxLength: 6 });
      const cuts = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 20 });
      await fc.assert(
        fc.asyncProperty(stream, cuts, async (frames, steps) => {
          // Each stream begins and ends between two messages.
          const parts = frames.map(([opcode, size, fin, rsv1]) =>
            clientFrame(opcode, Buffer.alloc(opcode > 7 ? Math.min(size, 125) : size % 16_000, size & 0xff), {
              fin: opcode > 7 || fin,
              rsv1,
            }),
          );
          const sent = Buffer.concat([...parts, HELLO]);
          const before = application.bytes.length;
          for (let at = 0, i = 0; at < sent.length; i++) {
            const next = at + (steps[i % steps.length] as number);
            client.socket.write(sent.subarray(at, next));
            if (i < 8) await new Promise(setImmediate); // so that it comes in pieces
            at = next;
          }
          await application.until(({ bytes, ended }) => bytes.length - before >= sent.length || ended);
          assert.ok(application.bytes.subarray(before).equals(sent));
          const back = Buffer.concat(parts);
          const seen = client.bytes.length;
          application.socket.write(back);
          await client.until(({ bytes }) => bytes.length - seen >= back.length);
          assert.ok(client.bytes.subarray(seen).equals(back));
        }),
        { numRuns: Number(process.env['FC_RUNS'] ?? 100) },
      );
    });
  });

  it('half a frame header reaches the application when its client leaves', async () => {
    await joined({ connections }, async (client, application) => {
      const half = big(90).subarray(0, 3);
      client.socket.end(Buffer.concat([HELLO, half]));
      await application.until(({ ended }) => ended);
      assert.deepEqual(application.bytes, Buffer.concat([HELLO, half]));
    });
  });

  it('our close frame to the client waits for the end of the frame under way', async () => {
    await joined({ connections }, async (client, application) => {
      application.socket.write(Buffer.from([0x82, 0x04, 0x61]));
      await client.until(({ bytes }) => bytes.length === 3);
      client.socket.write(big(101));
      await delay(100);
      assert.equal(client.bytes.length, 3, 'the frame is not complete: nothing of ours yet');
      application.socket.write('bcd');
      await client.until(({ ended }) => ended);
      assert.deepEqual(client.bytes, Buffer.from([0x82, 0x04, 0x61, 0x62, 0x63, 0x64, 0x88, 0x02, 0x03, 0xf1]));
    });
  });

  it('a side that has said goodbye is not told so again', async () => {
    await joined({ connections: { idleTimeoutMs: 300 } }, async (client, application) => {
      const bye = Buffer.from([0x88, 0x02, 0x03, 0xe8]);
      application.socket.write(bye);
      await client.until(({ ended }) => ended);
      assert.deepEqual(client.bytes, bye);
      await application.until(({ ended }) => ended);
      assert.equal(closeCode(application.bytes), 1001);
    });
  });

  for (const side of ['client', 'application'] as const) {
    it(`silence ends in 1001; what the ${side} sends puts it off`, async () => {
      await joined({ connections: { idleTimeoutMs: 900 } }, async (client, application, sut) => {
        const one = side === 'client' ? client : application;
        for (let i = 0; i < 15; i++) {
          one.socket.write(side === 'client' ? HELLO : Buffer.from([0x81, 0x01, 0x61]));
          await delay(100);
        }
        assert.equal(sut.engine.tunnels, 1);
        await client.until(({ ended }) => ended);
        assert.equal(closeCode(client.bytes), 1001);
      });
    });
  }

  it('silence in Shadow is only told', async () => {
    await joined({ connections: { idleTimeoutMs: 100 }, shadow: true }, async (client, application, sut) => {
      await delay(1_200);
      client.socket.write(HELLO);
      await application.until(({ bytes }) => bytes.length === HELLO.length);
      client.socket.destroy();
      application.socket.destroy();
      await sut.finishedCount(1);
      assert.deepEqual(
        sut.finished[0]?.shadowDenials?.map(({ reason }) => reason),
        ['idle'],
      );
    });
  });

  it('a token that ends or is revoked ends it with 1008', async () => {
    let valid = true;
    const credentials = {
      name: 'credentials',
      onRequest: (exchange: Exchange) => {
        exchange.stillValid = (now: number) => valid && now > 1e12;
        return undefined;
      },
    };
    await joined({ filters: [credentials] }, async (client, application, sut) => {
      await delay(1_100);
      assert.equal(sut.engine.tunnels, 1, 'looked at, and let be');
      valid = false;
      await client.until(({ ended }) => ended);
      assert.equal(closeCode(client.bytes), 1008);
      await application.until(({ ended }) => ended);
      assert.equal(closeCode(application.bytes), 1008);
    });
  });
});
