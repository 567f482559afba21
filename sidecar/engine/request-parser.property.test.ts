import assert from 'node:assert/strict';
import { createServer, METHODS } from 'node:http';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import type { CheckedHead } from './check-head.ts';
import { ClientConnection } from './client-connection.ts';
import type { ClientRequest } from './client-request.ts';
import { FakeSocket } from './testing/fake-socket.ts';
import { cuts, mutate, mutations, request, split } from './testing/wire-messages.ts';

const RUNS = Number(process.env['FC_RUNS'] ?? 3_000);

/** A request as one of the two parsers understood it. */
interface Seen {
  readonly method: string;
  readonly target: string;
  /** Lower-case names and values, alternating. */
  readonly headers: readonly string[];
  body: string;
  complete: boolean;
}

/** A request as we understood it, with what we would forward. */
interface Accepted extends Seen {
  readonly head: CheckedHead;
}

interface OurReading {
  readonly accepted: readonly Accepted[];
  /** Why the connection was given up, or null. */
  readonly refused: string | null;
}

/** Feeds the reads to a connection of ours that answers each complete request with 204. */
async function readByOurs(reads: readonly Buffer[]): Promise<OurReading> {
  const accepted: Accepted[] = [];
  let refused: string | null = null;
  const socket = new FakeSocket();
  const handler = {
    onRequest: (connection: ClientConnection, head: CheckedHead) => {
      const { method, target, headers } = head;
      const seen: Accepted = { method, target, headers, head, body: '', complete: head.body === 'none' };
      accepted.push(seen);
      const answer = (): void => {
        connection.startAnswer(204, [], 'none', true);
        connection.endAnswer(null);
      };
      const client: ClientRequest = {
        onBody: (data) => {
          seen.body += data.toString('latin1');
        },
        onBodyEnd: () => {
          seen.complete = true;
          answer();
        },
        onBodyFailure: (cause) => {
          refused = cause;
          seen.body = ''; // how much of it had been handed on depends on the reads
          connection.refuse(cause);
        },
        onDrain: () => {},
        onGone: () => {},
      };
      connection.begin(client);
      if (head.body === 'none') answer();
    },
    onProtocolRefusal: (cause: string) => {
      refused = cause;
    },
    nextRequestId: () => 'id',
    onClosed: () => {},
  };
  new ClientConnection(socket, handler, { now: 0, stop: () => {} });
  for (const read of reads) socket.feed(Buffer.from(read));
  for (let before = -1; before < accepted.length; ) {
    before = accepted.length;
    await turn();
    await turn();
  }
  return { accepted, refused };
}

/** What node:http reads from the same bytes. */
async function readByNode(bytes: Buffer): Promise<readonly Seen[]> {
  const requests: Seen[] = [];
  const server = createServer({ requireHostHeader: false, maxHeaderSize: 64 * 1024, requestTimeout: 0 });
  server.on('request', (incoming) => {
    const headers = incoming.rawHeaders.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
    const { method = '', url = '' } = incoming;
    const seen: Seen = { method, target: url, headers, body: '', complete: false };
    requests.push(seen);
    incoming.on('data', (data: Buffer) => {
      seen.body += data.toString('latin1');
    });
    incoming.on('end', () => {
      seen.complete = true;
    });
    incoming.on('error', () => {});
  });
  server.on('clientError', () => {}); // what was read before the error counts
  const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
  server.emit('connection', stream);
  stream.push(Buffer.from(bytes));
  for (let before = -1; before < requests.length || requests.some(({ complete }) => !complete); ) {
    if (before === requests.length) break;
    before = requests.length;
    await turn();
    await turn();
  }
  stream.destroy();
  return requests;
}

/** The bytes that we would send to the application for these requests. */
function forwarded(accepted: readonly Accepted[]): Buffer {
  let bytes = '';
  for (const { method, target, head, body } of accepted) {
    bytes += `${method} ${target} HTTP/1.1\r\nhost: ${head.authority}\r\n${head.forwardLines}\r\n`;
    if (head.body === 'chunked') bytes += `${body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\n\r\n`;
    else bytes += body;
  }
  return Buffer.from(bytes, 'latin1');
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

/** llhttp read `ours` where we did: same method, target, headers and body. */
function assertAgrees(ours: Accepted, theirs: Seen | undefined): void {
  assert.ok(theirs, 'llhttp refused what we accepted');
  assert.equal(theirs.method, ours.method);
  const absolute = /^http:\/\/[^/?#]*(.*)$/i.exec(theirs.target);
  const path = absolute === null ? theirs.target : (absolute[1] as string);
  assert.equal(path.startsWith('/') ? path : `/${path}`, ours.target);
  assertSubset(ours.headers, theirs.headers);
  if (ours.complete) assert.deepEqual([theirs.body, theirs.complete], [ours.body, true]);
  else assert.ok(theirs.body.startsWith(ours.body) || ours.body.startsWith(theirs.body), 'bodies begin alike');
}

/** What must be the same however the bytes were split: not the head itself, whose strings are compared. */
function comparable({ accepted, refused }: OurReading): unknown {
  return { refused, accepted: accepted.map(({ head, body, complete }) => ({ head, body, complete })) };
}

/*
 * Deliberate differences. We accept one thing that llhttp refuses: methods outside its list (RFC 9110 §16.1 has a registry; any
 * upper-case token goes on to the application). Everything else is refusing more than llhttp does: a repeated or listed Content-Length, other
 * transfer codings than chunked, blanks around chunk sizes, lower-case methods, HTTP/1.1 without a valid
 * Host, unknown expectations, invalid media types, request targets other than origin-form and http:, bytes outside
 * visible ASCII in a target, a second empty line before a request.
 */
describe('the request parser beside llhttp', () => {
  it('accepts nothing that llhttp refuses or reads differently, and what it forwards is read as what was decided on', async () => {
    let executions = 0;
    let requests = 0;
    let forwards = 0;
    const property = fc.asyncProperty(
      fc.array(request, { minLength: 1, maxLength: 3 }),
      mutations,
      cuts,
      async (messages, changes, places) => {
        executions++;
        const bytes = Buffer.from(mutate(messages.join(''), changes), 'latin1');
        const ours = await readByOurs([bytes]);
        requests += ours.accepted.length;
        assert.deepEqual(comparable(await readByOurs(split(bytes, places))), comparable(ours), 'split differently');
        if (ours.accepted.some(({ method }) => !METHODS.includes(method))) return;
        const theirs = await readByNode(bytes);
        const upgrade = theirs.findIndex(({ headers }) => headers.includes('upgrade'));
        const readAlike = upgrade < 0 ? ours.accepted : ours.accepted.slice(0, upgrade + 1); // there node:http stops
        readAlike.forEach((seen, i) => {
          assertAgrees(seen, theirs[i]);
        });
        const last = ours.accepted.at(-1);
        if (ours.refused === null && upgrade < 0 && last?.complete === true && last.head.keepAlive) {
          assert.equal(theirs.length, ours.accepted.length, 'llhttp read a further request');
        }

        const complete = ours.accepted.filter((seen) => seen.complete);
        if (complete.length === 0) return;
        forwards += complete.length;
        const upstream = await readByNode(forwarded(complete));
        assert.equal(upstream.length, complete.length, 'one request upstream for each that was accepted');
        complete.forEach((seen, i) => {
          assertAgrees(seen, upstream[i]);
          assert.equal(upstream[i]?.target, seen.target);
        });
      },
    );
    await fc.assert(property, { numRuns: RUNS, verbose: 1 });
    console.log(`  ${executions} streams, ${requests} requests accepted, ${forwards} forwarded`);
    assert.ok(forwards > RUNS / 10, 'the generator is too hostile: hardly anything was accepted');
  });

  const streams: readonly (readonly [name: string, bytes: string])[] = [
    ['two requests', 'GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['an empty line before each', '\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['two empty lines', '\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n'],
    [
      'a body and a request',
      'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: a\r\n\r\n',
    ],
    [
      'chunks, an extension, a trailer and a request',
      'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x="y z"\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n',
    ],
    [
      'a request, and one whose body has line ends of its own',
      'GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n\na\rb\nc\nd',
    ],
    ['broken chunks', 'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n'],
    ['a bare LF', 'GET /a HTTP/1.1\nHost: a\r\n\r\n'],
    ['a bare CR', 'GET /a HTTP/1.1\r\nHost: a\rX: y\r\n\r\n'],
    ['a folded line', 'GET /a HTTP/1.1\r\nHost: a\r\n b\r\n\r\n'],
  ];
  for (const [name, text] of streams) {
    it(`split at every position: ${name}`, async () => {
      const bytes = Buffer.from(text, 'latin1');
      const whole = comparable(await readByOurs([bytes]));
      for (let at = 1; at < bytes.length; at++) {
        assert.deepEqual(comparable(await readByOurs([bytes.subarray(0, at), bytes.subarray(at)])), whole, `at ${at}`);
      }
      const single = [...bytes].map((byte) => Buffer.from([byte]));
      assert.deepEqual(comparable(await readByOurs(single)), whole, 'byte by byte');
    });
  }
});
