import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ClientConnection } from './client-connection.ts';
import type { ClientRequest } from './client-request.ts';
import { FakeSocket } from './testing/fake-socket.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n';

/** A connection whose requests wait for the test to answer them. */
class Harness {
  readonly socket: FakeSocket;
  readonly connection: ClientConnection;
  readonly clock = { now: 0, stop: () => {} };
  readonly events: string[] = [];

  constructor(socket = new FakeSocket()) {
    this.socket = socket;
    const request: ClientRequest = {
      onBody: (data) => this.events.push(`body ${data.length}`),
      onBodyEnd: () => this.events.push('end'),
      onBodyFailure: (cause) => {
        this.events.push(cause);
        this.connection.refuse(cause);
      },
      onDrain: () => {},
      onGone: () => this.events.push('gone'),
    };
    this.connection = new ClientConnection(
      this.socket,
      {
        onRequest: (connection, head) => {
          this.events.push(`${head.method} ${head.target}`);
          connection.begin(request);
        },
        onProtocolRefusal: (cause) => this.events.push(`refused ${cause}`),
        nextRequestId: () => 'id',
        onClosed: () => this.events.push('closed'),
      },
      this.clock,
    );
  }

  feed(text: string): void {
    this.socket.feed(Buffer.from(text, 'latin1'));
  }

  /** Moves the clock on in half seconds, as the engine's sweep does. */
  wait(ms: number): void {
    for (const end = this.clock.now + ms; this.clock.now < end; ) {
      this.clock.now += 500;
      this.connection.enforceTimeouts(this.clock.now);
    }
  }

  answer(keepAlive = true): void {
    this.connection.startAnswer(200, ['content-length', '2'], 'length', keepAlive);
    this.connection.endAnswer(Buffer.from('ok'));
  }

  get status(): string {
    return this.socket.written.slice(9, 12);
  }
}

describe('ClientConnection', () => {
  it('knows an IPv4 peer that came mapped into IPv6 by its own notation', () => {
    assert.equal(new Harness(new FakeSocket('::ffff:192.0.2.7')).connection.peer, '192.0.2.7');
    assert.equal(new Harness(new FakeSocket('2001:db8::1')).connection.peer, '2001:db8::1');
  });

  it('a client that sends nothing is sent away after 10 s, without an answer', () => {
    const harness = new Harness();
    harness.wait(10_000);
    assert.equal(harness.socket.ended, false);
    harness.wait(500);
    assert.deepEqual([harness.socket.ended, harness.socket.written], [true, '']);
  });

  it('a head has 10 s from its first byte, however it drips: 408', () => {
    const harness = new Harness();
    for (let i = 0; i < 20; i++) {
      harness.feed(GET.slice(i, i + 1));
      harness.wait(500);
    }
    assert.equal(harness.status, '');
    harness.wait(1_000);
    assert.deepEqual([harness.status, harness.events], ['408', ['refused request_timeout']]);
  });

  it('empty lines do not put the time-out off', () => {
    const harness = new Harness();
    for (let i = 0; i < 30; i++) {
      harness.feed('\r\n');
      harness.wait(500);
    }
    assert.equal(harness.socket.ended, true);
  });

  it('an idle connection is kept for 60 s', () => {
    const harness = new Harness();
    harness.feed(GET);
    harness.answer();
    harness.wait(60_000);
    assert.equal(harness.socket.ended, false);
    harness.wait(500);
    assert.equal(harness.socket.ended, true);
  });

  it('a request under way is not timed by the client side', () => {
    const harness = new Harness();
    harness.feed(GET);
    harness.wait(600_000);
    assert.deepEqual(harness.events, ['GET /']);
  });

  const bodies: readonly (readonly [name: string, bytesEachHalf: (half: number) => number, fails: boolean])[] = [
    ['500 bytes a second', () => 250, false],
    ['498 bytes a second', () => 249, true],
    ['nothing', () => 0, true],
    ['much at first and nothing later', (half) => (half === 0 ? 50_000 : 0), true],
    ['nothing for 9 s, then enough', (half) => (half % 20 === 18 ? 5_500 : 0), false],
  ];
  for (const [name, bytesEachHalf, fails] of bodies) {
    it(`a body that comes with ${name} ${fails ? 'is refused' : 'goes on'}`, () => {
      const harness = new Harness();
      harness.feed(POST);
      for (let half = 0; half < 80; half++) {
        const bytes = bytesEachHalf(half);
        if (bytes > 0) harness.feed('x'.repeat(bytes));
        harness.wait(500);
      }
      assert.equal(harness.events.includes('request_timeout'), fails);
    });
  }

  it('a body that we hold back is not slow', () => {
    const harness = new Harness();
    harness.feed(POST);
    harness.connection.pauseBody();
    harness.wait(60_000);
    harness.connection.resumeBody();
    harness.wait(5_000);
    assert.deepEqual(harness.events, ['POST /']);
  });

  it('the rest of a body whose request was refused is thrown away, up to 1 MiB; then the next request is served', async () => {
    const harness = new Harness();
    harness.feed(`${POST}${'x'.repeat(10)}`);
    harness.answer();
    harness.feed(`${'x'.repeat(99_990)}${GET}`);
    await turn();
    assert.deepEqual(harness.events.slice(-1), ['GET /']);

    const long = new Harness();
    long.feed(POST.replace('100000', '10000000'));
    long.answer();
    for (let i = 0; i < 20; i++) long.feed('x'.repeat(64 * 1024));
    assert.equal(long.socket.ended, true);
  });

  it('a long upload answered early has its time to end', () => {
    const harness = new Harness();
    harness.feed(POST);
    for (let second = 0; second < 15; second++) {
      harness.feed('x'.repeat(600));
      harness.wait(1_000);
    }
    harness.answer();
    harness.wait(9_000);
    assert.equal(harness.socket.ended, false);
  });

  it('pipelined requests wait, one at a time, and too many of them stop the socket', async () => {
    const harness = new Harness();
    harness.feed(GET + GET);
    assert.deepEqual(harness.events, ['GET /']);
    harness.answer();
    await turn();
    assert.deepEqual(harness.events, ['GET /', 'GET /']);
    harness.feed('x'.repeat(70_000));
    assert.equal(harness.socket.isPaused(), true);
  });

  const lastOnes: readonly (readonly [name: string, held: string, later: string, events: readonly string[]])[] = [
    ['half a head', 'GET /last HTTP/1.1\r\nHo', 'st: a\r\n\r\n', ['GET /last']],
    ['an empty line', '\r\n', 'GET /last HTTP/1.1\r\nHost: a\r\n\r\n', ['GET /last']],
    ['half a body', `${POST.replace('100000', '4')}ab`, 'cd', ['POST /', 'body 2', 'body 2', 'end']],
    ['a head without its body', POST.replace('100000', '2'), 'ab', ['POST /', 'body 2', 'end']],
  ];
  for (const [name, held, later, events] of lastOnes) {
    it(`a socket that was stopped for too much pipelining goes on when what waits is ${name}`, async () => {
      const harness = new Harness();
      const many = 3_000;
      harness.feed(GET);
      harness.feed(GET.repeat(many) + held);
      assert.equal(harness.socket.isPaused(), true);
      harness.feed(later);
      for (let i = 0; i <= many; i++) {
        harness.answer();
        await turn();
      }
      await turn();
      assert.deepEqual(harness.events.slice(many + 1), events);
    });
  }

  it('after Connection: close nothing more is read as a request', async () => {
    const harness = new Harness();
    harness.feed(GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n') + GET);
    harness.answer();
    await turn();
    assert.deepEqual([harness.events, harness.socket.ended], [['GET /'], true]);
    assert.match(harness.socket.written, /connection: close/);
  });

  it('closing waits for a slow reader, not for a silent one', () => {
    class SlowSocket extends FakeSocket {
      flushed: (() => void) | null = null;
      override end(last?: unknown): this {
        this.ended = true;
        if (typeof last === 'function') this.flushed = () => last();
        return this;
      }
    }
    const slow = new SlowSocket();
    const harness = new Harness(slow);
    harness.feed(GET);
    harness.answer(false);
    harness.wait(20_000);
    assert.equal(slow.destroyed, false, 'the answer is not out yet');
    slow.flushed?.();
    harness.wait(2_000);
    assert.equal(slow.destroyed, false);
    harness.wait(500);
    assert.equal(slow.destroyed, true);
  });

  it('cut answers: RST where a FIN would look like the end of the body', () => {
    for (const [head, reset] of [
      [GET, false],
      [GET.replace('1.1', '1.0'), true],
    ] as const) {
      const harness = new Harness();
      harness.feed(head);
      harness.connection.startAnswer(200, [], 'chunked', true);
      harness.connection.writeAnswer(Buffer.from('half'));
      harness.connection.destroy();
      assert.deepEqual([harness.socket.destroyed, harness.socket.wasReset], [true, reset]);
    }
  });

  it('a client that ends its side has left', () => {
    const harness = new Harness();
    harness.feed(GET);
    harness.socket.feedEnd();
    assert.deepEqual([harness.events, harness.socket.destroyed], [['GET /', 'closed', 'gone'], true]);
  });

  it('closeWhenIdle: at once between requests, after the answer otherwise', () => {
    const idle = new Harness();
    idle.connection.closeWhenIdle();
    assert.equal(idle.socket.ended, true);
    const busy = new Harness();
    busy.feed(GET);
    busy.connection.closeWhenIdle();
    assert.equal(busy.socket.ended, false);
    busy.answer();
    assert.equal(busy.socket.ended, true);
  });

  it('what can never become a head is refused at once', () => {
    for (const text of ['GET / HTTP/1.1\n', 'GET / HTTP/1.1\rX', `GET /${'a'.repeat(25_000)}`]) {
      const harness = new Harness();
      harness.feed(text);
      assert.match(harness.status, /^4\d\d$/, JSON.stringify(text.slice(0, 20)));
    }
  });
});
