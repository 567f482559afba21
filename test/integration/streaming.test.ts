import assert from 'node:assert/strict';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type EngineUnderTest, startEngine } from '../support/engine-under-test.ts';
import { serve, type TcpServer } from '../support/tcp-server.ts';

const CHUNK = Buffer.alloc(64 * 1024, 'x');
const TOTAL = 50 * 1024 * 1024;
/** What both kernels and Node's own buffers may hold between a fast side and one that stands still, with room. */
const MAX_IN_FLIGHT = 24 * 1024 * 1024;

/** Writes TOTAL bytes as fast as the other side takes them; `written()` says how many were taken so far. */
function pump(write: (data: Buffer) => boolean, onDrain: (resume: () => void) => void, end: () => void): () => number {
  let written = 0;
  const more = (): void => {
    while (written < TOTAL) {
      written += CHUNK.length;
      if (!write(CHUNK)) {
        onDrain(more);
        return;
      }
    }
    end();
  };
  more();
  return () => written;
}

/** Waits until a number stops growing. */
async function settled(value: () => number): Promise<number> {
  for (let before = -1; ; ) {
    if (before === value()) return before;
    before = value();
    await delay(200);
  }
}

async function count(incoming: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const data of incoming) bytes += (data as Buffer).length;
  return bytes;
}

async function withServer(
  handler: Parameters<typeof createServer>[1] & {},
  body: (sut: EngineUnderTest, upstream: TcpServer) => Promise<void>,
): Promise<void> {
  const upstream = await serve(createServer({ requestTimeout: 0 }, handler));
  const sut = await startEngine(upstream, { timeouts: { requestMs: 30_000, idleMs: 30_000 } });
  try {
    await body(sut, upstream);
  } finally {
    await sut.engine.stop(0);
    await upstream.close();
  }
}

describe('streaming', { timeout: 60_000 }, () => {
  for (const framing of ['length', 'chunked'] as const) {
    const headers = framing === 'length' ? { 'content-length': TOTAL } : {};

    it(`50 MB from the application by ${framing}: a client that stands still stops the application`, async () => {
      let written = (): number => 0;
      await withServer(
        (_request, response) => {
          response.writeHead(200, headers);
          written = pump(
            (data) => response.write(data),
            (resume) => response.once('drain', resume),
            () => response.end(),
          );
        },
        async (sut) => {
          const response = await new Promise<IncomingMessage>((resolve, reject) => {
            httpRequest({ port: sut.port, host: '127.0.0.1', agent: false }, resolve).on('error', reject).end();
          });
          const standing = await settled(written);
          assert.ok(standing < MAX_IN_FLIGHT, `${standing} bytes were taken while nobody read`);
          assert.equal(await count(response), TOTAL);
        },
      );
    });

    it(`50 MB from the client by ${framing}: an application that stands still stops the client`, async () => {
      let read = (): void => {};
      const mayRead = new Promise<void>((resolve) => {
        read = resolve;
      });
      await withServer(
        async (request, response) => {
          await mayRead;
          response.end(String(await count(request)));
        },
        async (sut) => {
          const request = httpRequest({ port: sut.port, host: '127.0.0.1', agent: false, method: 'POST', headers });
          const answered = new Promise<IncomingMessage>((resolve, reject) => {
            request.on('response', resolve).on('error', reject);
          });
          const written = pump(
            (data) => request.write(data),
            (resume) => request.once('drain', resume),
            () => request.end(),
          );
          const standing = await settled(written);
          assert.ok(standing < MAX_IN_FLIGHT, `${standing} bytes were taken while nobody read`);
          read();
          let body = '';
          for await (const data of await answered) body += String(data);
          assert.equal(body, String(TOTAL));
        },
      );
    });
  }

  it('a client that stops reading is cut like one that leaves: the application is not to blame', async () => {
    await using upstream = await serve(
      createServer((_request, response) => {
        pump(
          (data) => response.write(data),
          (resume) => response.once('drain', resume),
          () => response.end(),
        );
      }),
    );
    await using sut = await startEngine(upstream, { timeouts: { idleMs: 300 } });
    const client = connect(sut.port, '127.0.0.1', () => client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    client.on('error', () => {});
    client.pause();
    await sut.finishedCount(1);
    assert.deepEqual([sut.finished[0]?.status, sut.finished[0]?.refusal], [200, '']);
  });

  it('a body of one-byte chunks reaches the application whole and not as one-byte writes', async () => {
    const wire = Buffer.from(`${'1\r\nx\r\n'.repeat(100_000)}0\r\n\r\n`);
    await withServer(
      async (request, response) => response.end(String(await count(request))),
      async (sut, upstream) => {
        let received = 0;
        const before = upstream.accepted;
        const socket = connect(sut.port, '127.0.0.1');
        socket.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n');
        socket.write(wire);
        let text = '';
        for await (const data of socket) text += String(data);
        for (const open of upstream.sockets) received += open.bytesRead;
        assert.match(text, /\r\n\r\n100000|\r\n100000\r\n/);
        assert.equal(upstream.accepted, before + 1);
        assert.ok(received < 110_000, `${received} bytes went to the application for 100000`);
      },
    );
  });
});
