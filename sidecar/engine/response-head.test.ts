import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseResponseHead } from './response-head.ts';

const OK = 'HTTP/1.1 200 OK';

describe('parseResponseHead', () => {
  const framings: readonly (readonly [name: string, text: string, method: string, framing: string, length: number])[] =
    [
      ['a length', `${OK}\r\nContent-Length: 12`, 'GET', 'length', 12],
      ['length 0', `${OK}\r\nContent-Length: 0`, 'GET', 'none', 0],
      ['chunks', `${OK}\r\nTransfer-Encoding: chunked`, 'GET', 'chunked', 0],
      ['nothing', OK, 'GET', 'until-close', 0],
      ['a length to HEAD', `${OK}\r\nContent-Length: 12`, 'HEAD', 'none', 12],
      ['chunks to HEAD', `${OK}\r\nTransfer-Encoding: chunked`, 'HEAD', 'none', 0],
      ['204', 'HTTP/1.1 204 No Content', 'GET', 'none', 0],
      ['304 with a length', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 12', 'GET', 'none', 12],
      ['100', 'HTTP/1.1 100 Continue', 'GET', 'none', 0],
    ];
  for (const [name, text, method, framing, length] of framings) {
    it(`${name}: ${framing}`, () => {
      const head = parseResponseHead(text, method);
      assert.deepEqual([head?.framing, head?.length], [framing, length]);
    });
  }

  const kept: readonly (readonly [text: string, keepAlive: boolean])[] = [
    [`${OK}\r\ncontent-length: 0`, true],
    [`${OK}\r\ncontent-length: 0\r\nConnection: Close`, false],
    [`${OK}\r\ncontent-length: 0\r\nConnection: x, close`, false],
    ['HTTP/1.0 200 OK\r\ncontent-length: 0', false],
    ['HTTP/1.0 200 OK\r\ncontent-length: 0\r\nConnection: keep-alive', true],
    [OK, false],
  ];
  for (const [text, keepAlive] of kept) {
    it(`${JSON.stringify(text)}: ${keepAlive ? 'kept' : 'closed'}`, () => {
      assert.equal(parseResponseHead(text, 'GET')?.keepAlive, keepAlive);
    });
  }

  it('drops hop-by-hop headers, those that Connection names, and X-Request-ID; keeps the length and repeated fields', () => {
    const text = `${OK}\r\nConnection: x-a, content-length\r\nX-A: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 3\r\nKeep-Alive: timeout=7, max=3\r\nX-Request-ID: theirs\r\nTrailer: t`;
    const head = parseResponseHead(text, 'GET');
    assert.deepEqual(head?.headers, ['set-cookie', 'a', 'set-cookie', 'b', 'content-length', '3']);
    assert.equal(head?.keepAliveTimeout, 7);
  });

  it('a 204 goes on without a length (RFC 9110 §8.6)', () => {
    assert.deepEqual(parseResponseHead('HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nx: y', 'GET')?.headers, [
      'x',
      'y',
    ]);
  });

  it('an upgrade counts when Connection names it', () => {
    const text = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket';
    assert.equal(parseResponseHead(`${text}\r\nConnection: upgrade`, 'GET')?.upgrade, 'websocket');
    assert.equal(parseResponseHead(text, 'GET')?.upgrade, '');
  });

  const nonsense: readonly string[] = [
    '',
    'HTTP/1.1',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 099 Low',
    'HTTP/1.1 600 High',
    'HTTP/1.1  200 OK',
    'HTTP/2 200 OK',
    ' HTTP/1.1 200 OK',
    'HTTP/1.1 200 O\0K',
    `${OK}\r\nx`,
    `${OK}\r\nx : y`,
    `${OK}\r\nx: y\r\n z`,
    `${OK}\r\nx: \0`,
    `${OK}\r\nx: a\t`,
    `${OK}\r\nContent-Length: 1\r\nContent-Length: 1`,
    `${OK}\r\nContent-Length: -1`,
    `${OK}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked`,
    `${OK}\r\nTransfer-Encoding: gzip, chunked`,
    `${OK}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked`,
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked',
  ];
  for (const text of nonsense) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseResponseHead(text, 'GET'), null));
  }
});
