import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CheckedHead, checkHead } from './check-head.ts';
import { parseRequestHead } from './request-head.ts';

const WEBSOCKET = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

function check(startLine: string, ...lines: readonly string[]): CheckedHead | string {
  const head = parseRequestHead([startLine, ...lines].join('\r\n'));
  assert.ok(typeof head === 'object', 'the test itself is malformed');
  return checkHead(head);
}
function accept(startLine: string, ...lines: readonly string[]): CheckedHead {
  const checked = check(startLine, ...lines);
  assert.ok(typeof checked === 'object', `refused: ${String(checked)}`);
  return checked;
}
const get = (...lines: readonly string[]): CheckedHead => accept('GET / HTTP/1.1', 'Host: a', ...lines);

describe('checkHead', () => {
  const refused: readonly (readonly [name: string, code: string, startLine: string, ...lines: string[]])[] = [
    ['CONNECT', 'method_not_allowed', 'CONNECT a:443 HTTP/1.1', 'Host: a'],
    ['TRACE', 'method_not_allowed', 'TRACE / HTTP/1.1', 'Host: a'],
    ['TRACK', 'method_not_allowed', 'TRACK / HTTP/1.1', 'Host: a'],
    ['no Host', 'bad_host', 'GET / HTTP/1.1'],
    ['no Host on HTTP/1.0', 'bad_host', 'GET / HTTP/1.0'],
    ['two Hosts', 'bad_host', 'GET / HTTP/1.1', 'Host: a', 'Host: a'],
    ['an empty Host', 'bad_host', 'GET / HTTP/1.1', 'Host:'],
    ['a list of Hosts', 'bad_host', 'GET / HTTP/1.1', 'Host: a, b'],
    ['an absolute target with userinfo', 'bad_host', 'GET http://u@a/ HTTP/1.1', 'Host: a'],
    ['an absolute target without Host', 'bad_host', 'GET http://a/ HTTP/1.1'],
    ['an absolute target without authority', 'bad_host', 'GET http:/// HTTP/1.1', 'Host: a'],
    ['*', 'bad_target', 'OPTIONS * HTTP/1.1', 'Host: a'],
    ['a target in authority form', 'bad_target', 'GET a:80 HTTP/1.1', 'Host: a'],
    ['https in the target', 'bad_target', 'GET https://a/ HTTP/1.1', 'Host: a'],
    ['a length twice', 'bad_framing', 'GET / HTTP/1.1', 'Host: a', 'Content-Length: 1', 'Content-Length: 1'],
    ['a length that is none', 'bad_framing', 'GET / HTTP/1.1', 'Host: a', 'Content-Length: 1a'],
    ['an empty length', 'bad_framing', 'GET / HTTP/1.1', 'Host: a', 'Content-Length:'],
    ['a length of 16 digits', 'bad_framing', 'GET / HTTP/1.1', 'Host: a', 'Content-Length: 1000000000000000'],
    [
      'length and chunks',
      'bad_framing',
      'GET / HTTP/1.1',
      'Host: a',
      'Content-Length: 1',
      'Transfer-Encoding: chunked',
    ],
    [
      'length 0 and chunks',
      'bad_framing',
      'GET / HTTP/1.1',
      'Host: a',
      'Content-Length: 0',
      'Transfer-Encoding: chunked',
    ],
    ['another coding', 'bad_framing', 'GET / HTTP/1.1', 'Host: a', 'Transfer-Encoding: gzip'],
    [
      'chunks twice',
      'bad_framing',
      'GET / HTTP/1.1',
      'Host: a',
      'Transfer-Encoding: chunked',
      'Transfer-Encoding: chunked',
    ],
    ['chunks on HTTP/1.0', 'bad_framing', 'GET / HTTP/1.0', 'Host: a', 'Transfer-Encoding: chunked'],
    ['another expectation', 'expectation_failed', 'GET / HTTP/1.1', 'Host: a', 'Expect: 200-ok'],
    ['two Authorizations', 'duplicate_header', 'GET / HTTP/1.1', 'Host: a', 'Authorization: a', 'Authorization: a'],
    ['two Content-Types', 'duplicate_header', 'GET / HTTP/1.1', 'Host: a', 'Content-Type: a/b', 'Content-Type: a/b'],
    ['a Content-Type that is none', 'bad_content_type', 'GET / HTTP/1.1', 'Host: a', 'Content-Type: json'],
    ['a Content-Type with a comma', 'bad_content_type', 'GET / HTTP/1.1', 'Host: a', 'Content-Type: a/b, c/d'],
    ['a WebSocket by POST', 'bad_upgrade', 'POST / HTTP/1.1', 'Host: a', ...WEBSOCKET],
    ['a WebSocket with a body', 'bad_upgrade', 'GET / HTTP/1.1', 'Host: a', 'Content-Length: 1', ...WEBSOCKET],
    [
      'a WebSocket of another version',
      'bad_upgrade',
      'GET / HTTP/1.1',
      'Host: a',
      ...WEBSOCKET.with(2, 'Sec-WebSocket-Version: 8'),
    ],
    ['a WebSocket without a key', 'bad_upgrade', 'GET / HTTP/1.1', 'Host: a', ...WEBSOCKET.slice(0, 3)],
    [
      'a WebSocket with a short key',
      'bad_upgrade',
      'GET / HTTP/1.1',
      'Host: a',
      ...WEBSOCKET.with(3, 'Sec-WebSocket-Key: YQ=='),
    ],
    ['a WebSocket with two keys', 'bad_upgrade', 'GET / HTTP/1.1', 'Host: a', ...WEBSOCKET, WEBSOCKET[3] as string],
  ];
  for (const [name, code, startLine, ...lines] of refused) {
    it(`refuses ${name}: ${code}`, () => assert.equal(check(startLine, ...lines), code));
  }

  const hosts: readonly (readonly [target: string, host: string, decided: readonly [string, string, string]])[] = [
    ['/x', 'API.example', ['api.example', 'API.example', '/x']],
    ['/x', 'a.:8080', ['a', 'a.:8080', '/x']],
    ['http://b.example/x?y', 'a', ['b.example', 'b.example', '/x?y']],
    ['HTTP://b:81', 'a', ['b', 'b:81', '/']],
    ['http://b?y', 'a', ['b', 'b', '/?y']],
  ];
  for (const [target, host, decided] of hosts) {
    it(`target ${target} and Host ${host}: the target decides`, () => {
      const head = accept(`GET ${target} HTTP/1.1`, `Host: ${host}`);
      assert.deepEqual([head.host, head.authority, head.target], decided);
    });
  }

  const framings: readonly (readonly [line: string, body: string, length: number, forwarded: string])[] = [
    ['X: y', 'none', 0, 'x: y\r\n'],
    ['Content-Length: 0', 'none', 0, 'content-length: 0\r\n'],
    ['Content-Length: 000', 'none', 0, 'content-length: 0\r\n'],
    ['Content-Length: 012', 'length', 12, 'content-length: 12\r\n'],
    ['Transfer-Encoding: Chunked', 'chunked', 0, 'transfer-encoding: chunked\r\n'],
  ];
  for (const [line, body, length, forwarded] of framings) {
    it(`${line}: body ${body}, forwarded in one canonical form`, () => {
      const head = get(line);
      assert.deepEqual([head.body, head.contentLength, head.forwardLines], [body, length, forwarded]);
    });
  }

  const keepAlives: readonly (readonly [version: string, connection: string, keepAlive: boolean])[] = [
    ['1.1', '', true],
    ['1.1', 'close', false],
    ['1.1', 'Close', false],
    ['1.1', 'x, close', false],
    ['1.1', 'keep-alive', true],
    ['1.0', 'keep-alive', false],
  ];
  for (const [version, connection, keepAlive] of keepAlives) {
    it(`HTTP/${version} with Connection "${connection}": ${keepAlive ? 'kept' : 'closed'}`, () => {
      const lines = connection === '' ? [] : [`Connection: ${connection}`];
      assert.equal(accept(`GET / HTTP/${version}`, 'Host: a', ...lines).keepAlive, keepAlive);
    });
  }

  it('drops hop-by-hop headers, what Connection names, and what a client may not set', () => {
    const head = get(
      'Connection: x-named, authorization, cookie, content-length',
      'X-Named: 1',
      'Authorization: Bearer t',
      'Cookie: a=b',
      'TE: trailers',
      'Trailer: x',
      'Proxy-Authorization: p',
      'X-Portcullis-Subject: root',
      'x_portcullis_subject: root',
      'X-Original-URL: /admin',
      'Forwarded: for=1',
      'X-Kept: yes',
    );
    assert.deepEqual(head.headers, ['authorization', 'Bearer t', 'cookie', 'a=b', 'x-kept', 'yes']);
    assert.equal(head.forwardLines, 'authorization: Bearer t\r\ncookie: a=b\r\nx-kept: yes\r\n');
  });

  it('keeps what proxies say apart, for whoever trusts them', () => {
    const head = get('X-Forwarded-For: 1', 'X-Forwarded-For: 2', 'X-Forwarded-Proto: https', 'X-Request-ID: r');
    assert.deepEqual(
      [head.forwardedFor, head.forwardedLines, head.requestId, head.headers],
      ['1, 2', 'x-forwarded-proto: https\r\n', 'r', []],
    );
  });

  it('strips an upgrade to anything but a WebSocket', () => {
    const head = get('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAM');
    assert.deepEqual([head.websocketKey, head.headers], ['', []]);
  });

  it('recognises a WebSocket handshake, and none when Connection does not say so', () => {
    assert.equal(get(...WEBSOCKET).websocketKey, 'dGhlIHNhbXBsZSBub25jZQ==');
    assert.equal(get(...WEBSOCKET.filter((line) => !line.startsWith('Connection'))).websocketKey, '');
  });

  it('Expect: 100-continue counts where a body is announced, on HTTP/1.1', () => {
    assert.equal(get('Expect: 100-Continue', 'Content-Length: 1').expectsContinue, true);
    assert.equal(get('Expect: 100-continue').expectsContinue, false);
    assert.equal(
      accept('PUT / HTTP/1.0', 'Host: a', 'Content-Length: 1', 'Expect: 100-continue').expectsContinue,
      false,
    );
  });

  const mediaTypes = ['text/plain', 'application/problem+json; charset=utf-8', 'a/b;c="d \\" e"', 'a/b ; c=d;e=f'];
  for (const type of mediaTypes) {
    it(`takes the media type ${type}`, () =>
      assert.deepEqual(get(`Content-Type: ${type}`).headers, ['content-type', type]));
  }
});
