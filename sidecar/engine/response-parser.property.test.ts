import assert from 'node:assert/strict';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import type { ResponseHead } from './response-head.ts';
import { FakeSocket } from './testing/fake-socket.ts';
import { cuts, mutate, mutations, response, split } from './testing/wire-messages.ts';
import { UpstreamConnection } from './upstream-connection.ts';

const RUNS = Number(process.env['FC_RUNS'] ?? 3_000);

/** How an answer was understood: everything but the head is empty until there is one. */
interface Reading {
  status: number;
  headers: readonly string[];
  body: string;
  complete: boolean;
  /** 101: the connection was handed over, with these first bytes. */
  upgraded: string | null;
  failure: string | null;
}

function nothingRead(): Reading {
  return { status: 0, headers: [], body: '', complete: false, upgraded: null, failure: null };
}

/** Feeds the reads, and then FIN, to an upstream connection of ours. */
function readByOurs(method: string, reads: readonly Buffer[]): Reading {
  const reading = nothingRead();
  const onHead = ({ status, headers }: ResponseHead): void => {
    reading.status = status;
    reading.headers = headers;
  };
  const socket = new FakeSocket();
  const connection = new UpstreamConnection(
    socket,
    { onIdle: () => {}, onClosed: () => {} },
    { now: 0, stop: () => {} },
  );
  socket.on('data', (data: Buffer) => connection.receive(data));
  socket.emit('connect');
  connection.start(
    {
      onHead,
      onAnswerBody: (chunk, last) => {
        reading.body += chunk?.toString('latin1') ?? '';
        reading.complete = last;
      },
      onUpgrade: (head, _socket, rest) => {
        onHead(head);
        if (head.upgrade === 'websocket') reading.upgraded = rest.toString('latin1'); // others the transaction refuses
      },
      onFailure: (cause) => {
        reading.failure = cause;
        reading.body = ''; // how much of it had been handed on depends on the reads
      },
      onUpstreamDrain: () => {},
      onStalled: () => {},
    },
    method,
    '',
  );
  connection.finishRequest();
  for (const read of reads) socket.feed(Buffer.from(read));
  socket.feedEnd();
  return reading;
}

/** What node:http reads from the same bytes, as a client. */
async function readByNode(method: string, bytes: Buffer): Promise<Reading> {
  const reading = nothingRead();
  const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
  const request = httpRequest({ method, path: '/', host: 'a', createConnection: () => stream, maxHeaderSize: 65_536 });
  const onHead = (incoming: IncomingMessage): void => {
    reading.status = incoming.statusCode ?? 0;
    reading.headers = incoming.rawHeaders.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
  };
  const over = new Promise<void>((resolve) => request.on('close', resolve));
  request.on('response', (incoming) => {
    onHead(incoming);
    incoming.on('data', (data: Buffer) => {
      reading.body += data.toString('latin1');
    });
    incoming.on('end', () => {
      reading.complete = incoming.complete;
    });
    incoming.on('error', () => {});
  });
  request.on('upgrade', (incoming, _socket, rest) => {
    onHead(incoming);
    reading.upgraded = rest.toString('latin1');
  });
  request.on('error', (error) => {
    reading.failure = error.message;
  });
  request.end();
  await turn();
  stream.push(Buffer.from(bytes));
  stream.push(null);
  await Promise.race([
    over,
    turn()
      .then(() => turn())
      .then(() => turn()),
  ]);
  await turn();
  stream.destroy();
  return reading;
}

/** Ours are among theirs, in order. */
function assertSubset(ours: readonly string[], theirs: readonly string[]): void {
  let at = 0;
  for (let i = 0; i < ours.length; i += 2) {
    while (at < theirs.length && !(theirs[at] === ours[i] && theirs[at + 1] === ours[i + 1])) at += 2;
    assert.ok(at < theirs.length, `llhttp read no ${ours[i]}: ${ours[i + 1]}`);
    at += 2;
  }
}

/*
 * Deliberate differences, all in the direction of refusing more: a status outside 100 to 599, other transfer codings than chunked,
 * any on HTTP/1.0, repeated lengths, folded lines, blanks around chunk sizes.
 */
describe('the answer parser beside llhttp', () => {
  it('accepts nothing that llhttp refuses or reads differently, however it is split', async () => {
    let executions = 0;
    let complete = 0;
    const property = fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'HEAD'),
      response,
      mutations,
      cuts,
      async (method, message, changes, places) => {
        executions++;
        const bytes = Buffer.from(mutate(message, changes), 'latin1');
        const ours = readByOurs(method, [bytes]);
        const inPieces = readByOurs(method, split(bytes, places));
        if (ours.failure === null) assert.deepEqual(inPieces, ours, 'split differently');
        else assert.notEqual(inPieces.complete, true, 'complete only when split');
        if (!ours.complete && ours.upgraded === null) return;

        complete++;
        const theirs = await readByNode(method, bytes);
        assert.equal(theirs.status, ours.status);
        assertSubset(ours.headers, theirs.headers);
        assert.equal(theirs.upgraded, ours.upgraded);
        if (ours.upgraded === null) assert.deepEqual([theirs.body, theirs.complete], [ours.body, true]);
      },
    );
    await fc.assert(property, { numRuns: RUNS, verbose: 1 });
    console.log(`  ${executions} streams, ${complete} answers accepted`);
    assert.ok(complete > RUNS / 10, 'the generator is too hostile: hardly anything was accepted');
  });
});
