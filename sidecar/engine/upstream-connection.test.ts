import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeSocket } from './testing/fake-socket.ts';
import { UpstreamConnection } from './upstream-connection.ts';

const TIMEOUTS = { connectMs: 1_000, requestMs: 5_000, idleMs: 3_000 };
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** A connection with one request under way. */
class Harness {
  readonly socket = new FakeSocket();
  readonly clock = { now: 0, stop: () => {} };
  readonly events: string[] = [];
  readonly connection: UpstreamConnection;

  constructor() {
    this.connection = new UpstreamConnection(
      this.socket,
      { onIdle: () => this.events.push('idle'), onClosed: () => this.events.push('closed') },
      this.clock,
    );
    this.socket.on('data', (data: Buffer) => this.connection.receive(data));
  }

  request(method = 'GET'): this {
    this.connection.start(
      {
        onHead: ({ status }) => this.events.push(`head ${status}`),
        onAnswerBody: (chunk, last) => this.events.push(`body ${chunk?.toString() ?? ''}${last ? '.' : ''}`),
        onUpgrade: () => this.events.push('upgrade'),
        onFailure: (cause) => this.events.push(cause),
        onUpstreamDrain: () => {},
        onStalled: () => this.events.push('stalled'),
      },
      method,
      `${method} / HTTP/1.1\r\n\r\n`,
    );
    return this;
  }

  connected(): this {
    this.socket.emit('connect');
    return this;
  }

  feed(text: string): void {
    this.socket.feed(Buffer.from(text, 'latin1'));
  }

  wait(ms: number): void {
    for (const end = this.clock.now + ms; this.clock.now < end; ) {
      this.clock.now += 100;
      this.connection.enforceTimeouts(this.clock.now, TIMEOUTS);
    }
  }
}

describe('UpstreamConnection', () => {
  it('serves one request after the other', () => {
    const harness = new Harness().request().connected();
    harness.connection.finishRequest();
    harness.feed(OK);
    harness.request().connection.finishRequest();
    harness.feed(OK);
    assert.deepEqual(harness.events, ['head 200', 'idle', 'body ok.', 'head 200', 'idle', 'body ok.']);
  });

  it('connecting longer than connectMs: upstream_timeout', () => {
    const harness = new Harness().request();
    harness.wait(1_000);
    assert.deepEqual(harness.events, []);
    harness.wait(100);
    assert.deepEqual(harness.events, ['closed', 'upstream_timeout']);
  });

  const heads: readonly (readonly [name: string, feed: string])[] = [
    ['nothing', ''],
    ['a head that drips', 'x'],
    ['100 for ever', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ];
  for (const [name, text] of heads) {
    it(`${name} for longer than requestMs: upstream_timeout`, () => {
      const harness = new Harness().request().connected();
      harness.connection.finishRequest();
      for (let i = 0; i < 50; i++) {
        if (text !== '') harness.feed(text);
        harness.wait(100);
      }
      assert.deepEqual(harness.events, []);
      harness.wait(100);
      assert.deepEqual(harness.events, ['closed', 'upstream_timeout']);
    });
  }

  it('requestMs begins when the request body has been sent', () => {
    const harness = new Harness().request('POST').connected();
    for (let i = 0; i < 20; i++) {
      harness.connection.write(Buffer.from('x'));
      harness.wait(1_000);
    }
    assert.deepEqual(harness.events, []);
  });

  it('a body may take as long as it flows; silence for idleMs: upstream_timeout', () => {
    const harness = new Harness().request().connected();
    harness.connection.finishRequest();
    harness.feed('HTTP/1.1 200 OK\r\n\r\n');
    for (let i = 0; i < 20; i++) {
      harness.feed('x');
      harness.wait(2_900);
    }
    assert.equal(harness.events.at(-1), 'body x');
    harness.wait(200);
    assert.equal(harness.events.at(-1), 'upstream_timeout');
  });

  it('an idle connection goes a second before the application says it closes it', () => {
    const harness = new Harness().request().connected();
    harness.connection.finishRequest();
    harness.feed(OK.replace('\r\n\r\n', '\r\nkeep-alive: timeout=5\r\n\r\n'));
    harness.wait(4_000);
    assert.equal(harness.socket.destroyed, false);
    harness.wait(100);
    assert.equal(harness.socket.destroyed, true);
  });

  const unusable: readonly (readonly [name: string, feed: string])[] = [
    ['Connection: close', OK.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n')],
    ['bytes after the answer', `${OK}!`],
    ['bytes after an answer without body', 'HTTP/1.1 204 No Content\r\n\r\n!'],
    ['a keep-alive of one second', OK.replace('\r\n\r\n', '\r\nkeep-alive: timeout=1\r\n\r\n')],
  ];
  for (const [name, text] of unusable) {
    it(`${name}: the answer counts, the connection is not used again`, () => {
      const harness = new Harness().request().connected();
      harness.connection.finishRequest();
      harness.feed(text);
      assert.equal(harness.socket.destroyed, true);
      assert.match(harness.events.at(-1) ?? '', /^body (ok)?\.$/);
      assert.ok(!harness.events.includes('idle'));
    });
  }

  it('silence because nobody reads the answer is not the application’s', () => {
    const harness = new Harness().request().connected();
    harness.connection.finishRequest();
    harness.feed(OK.replace('length: 2', 'length: 9'));
    harness.connection.pause();
    harness.wait(3_200);
    assert.deepEqual(harness.events.slice(-2), ['closed', 'stalled']);
  });

  it('bytes on an idle connection end it', () => {
    const harness = new Harness().request().connected();
    harness.connection.finishRequest();
    harness.feed(OK);
    harness.feed(OK);
    assert.deepEqual(harness.events, ['head 200', 'idle', 'body ok.', 'closed']);
  });

  it('an answer that is complete before the request is does not free the connection', () => {
    const harness = new Harness().request('POST').connected();
    harness.feed(OK);
    assert.deepEqual(harness.events, ['head 200', 'body ok.']);
  });

  it('is stale when a kept connection fails before the first byte, and only then', () => {
    const fresh = new Harness().request().connected();
    fresh.socket.emit('close');
    assert.equal(fresh.connection.failedStale, false);

    const kept = new Harness().request().connected();
    kept.connection.finishRequest();
    kept.feed(OK);
    kept.request();
    assert.equal(kept.connection.failedStale, true);
    kept.feed('H');
    assert.equal(kept.connection.failedStale, false);
  });
});
