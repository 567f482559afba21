import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { overlongHead, parseRequestHead, trimBlanks } from './request-head.ts';

describe('parseRequestHead', () => {
  const good: readonly (readonly [name: string, text: string, fields: readonly string[]])[] = [
    ['no fields', 'GET / HTTP/1.1', []],
    ['names in lower case, values as they are', 'GET / HTTP/1.1\r\nHoSt: A.b', ['host', 'A.b']],
    ['blanks around a value', 'GET / HTTP/1.1\r\nx: \t a b  ', ['x', 'a b']],
    ['an empty value', 'GET / HTTP/1.1\r\nx:\r\ny: ', ['x', '', 'y', '']],
    ['a colon in a value', 'GET / HTTP/1.1\r\nx: a:b', ['x', 'a:b']],
    ['obs-text in a value', 'GET / HTTP/1.1\r\nx: \x80\xff', ['x', '\x80\xff']],
    ['a tab within a value', 'GET / HTTP/1.1\r\nx: a\tb', ['x', 'a\tb']],
    ['every token character', "GET / HTTP/1.1\r\n!#$%&'*+-.^_`|~09az: x", ["!#$%&'*+-.^_`|~09az", 'x']],
    ['the same name twice', 'GET / HTTP/1.1\r\nx: 1\r\nX: 2', ['x', '1', 'x', '2']],
  ];
  for (const [name, text, fields] of good) {
    it(`reads ${name}`, () => {
      assert.deepEqual(parseRequestHead(text), { method: 'GET', target: '/', minor: 1, fields });
    });
  }

  it('reads HTTP/1.0, other methods and other targets', () => {
    assert.deepEqual(parseRequestHead('M-SEARCH * HTTP/1.0'), {
      method: 'M-SEARCH',
      target: '*',
      minor: 0,
      fields: [],
    });
  });

  const bad: readonly (readonly [name: string, text: string])[] = [
    ['nothing', ''],
    ['no version', 'GET /'],
    ['two spaces', 'GET  / HTTP/1.1'],
    ['a tab', 'GET\t/ HTTP/1.1'],
    ['a method in lower case', 'get / HTTP/1.1'],
    ['a method of 17 letters', 'ABCDEFGHIJKLMNOPQ / HTTP/1.1'],
    ['HTTP/1.2', 'GET / HTTP/1.2'],
    ['HTTP/2', 'GET / HTTP/2'],
    ['a blank in the target', 'GET /a b HTTP/1.1'],
    ['a byte above 0x7e in the target', 'GET /\x80 HTTP/1.1'],
    ['DEL in the target', 'GET /\x7f HTTP/1.1'],
    ['no colon', 'GET / HTTP/1.1\r\nx'],
    ['no colon on a line before one with a colon', 'GET / HTTP/1.1\r\nx\r\ny: z'],
    ['no name', 'GET / HTTP/1.1\r\n: x'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nx : y'],
    ['a folded line', 'GET / HTTP/1.1\r\nx: y\r\n z: a'],
    ['a bare CR', 'GET / HTTP/1.1\r\nx: y\rz: a'],
    ['a bare LF', 'GET / HTTP/1.1\r\nx: y\nz: a'],
    ['NUL in a value', 'GET / HTTP/1.1\r\nx: a\0'],
    ['DEL in a value', 'GET / HTTP/1.1\r\nx: a\x7fb'],
    ['a tab at the end of a value', 'GET / HTTP/1.1\r\nx: a\t '],
    ['obs-text in a name', 'GET / HTTP/1.1\r\nx\x80: a'],
  ];
  for (const [name, text] of bad) {
    it(`refuses ${name}`, () => assert.equal(parseRequestHead(text), 'malformed_request'));
  }

  it('takes a target of 8 KiB, 100 fields and 16 KiB of them, and no more', () => {
    const target = (length: number) => `GET /${'a'.repeat(length - 1)} HTTP/1.1`;
    const many = (count: number) => `GET / HTTP/1.1${'\r\nx: y'.repeat(count)}`;
    const large = (length: number) => `GET / HTTP/1.1\r\nx: ${'y'.repeat(length - 5)}`;
    assert.equal(typeof parseRequestHead(target(8_192)), 'object');
    assert.equal(parseRequestHead(target(8_193)), 'target_too_long');
    assert.equal(typeof parseRequestHead(many(100)), 'object');
    assert.equal(parseRequestHead(many(101)), 'headers_too_large');
    assert.equal(typeof parseRequestHead(large(16_384)), 'object');
    assert.equal(parseRequestHead(large(16_385)), 'headers_too_large');
  });

  it('a head without end is too long where it is long', () => {
    assert.equal(overlongHead(`GET /${'a'.repeat(30_000)}`), 'target_too_long');
    assert.equal(overlongHead(`GET / HTTP/1.1\r\n${'a'.repeat(30_000)}`), 'headers_too_large');
  });

  it('trimBlanks takes spaces off both ends and tabs off the front', () => {
    assert.equal(trimBlanks('ab \t cd  ef', 2, 9), 'cd');
    assert.equal(trimBlanks('a\t ', 0, 3), 'a\t');
    assert.equal(trimBlanks('   ', 0, 3), '');
  });
});
