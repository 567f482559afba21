import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ChunkedDecoder } from './chunked-decoder.ts';
import { split } from './testing/wire-messages.ts';

interface Decoded {
  readonly body: string;
  /** Calls of the sink. */
  readonly calls: number;
  /** Bytes left over, or -1 for broken. */
  readonly left: number;
  readonly done: boolean;
  readonly overlong: boolean;
}

function decode(reads: readonly Buffer[]): Decoded {
  const decoder = new ChunkedDecoder();
  let body = '';
  let calls = 0;
  let left = 0;
  const sink = {
    onChunk: (data: Buffer) => {
      calls++;
      body += data.toString('latin1');
    },
  };
  for (const read of reads) {
    if (decoder.done) {
      left += read.length;
      continue;
    }
    const used = decoder.push(Buffer.from(read), sink);
    if (used < 0) return { body, calls, left: -1, done: false, overlong: decoder.overlong };
    left += read.length - used;
  }
  return { body, calls, left, done: decoder.done, overlong: false };
}
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

describe('ChunkedDecoder', () => {
  const good: readonly (readonly [name: string, wire: string, body: string, left: number])[] = [
    ['one chunk', '5\r\nhello\r\n0\r\n\r\n', 'hello', 0],
    ['hex in both cases', 'A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n', '01234567890123456789a', 0],
    ['zeros before a size', '00000005\r\nhello\r\n000\r\n\r\n', 'hello', 0],
    ['line ends as data', '4\r\n\r\n\r\n\r\n0\r\n\r\n', '\r\n\r\n', 0],
    ['extensions', '5;a;b=c;d="e; \\" f"\r\nhello\r\n0;last\r\n\r\n', 'hello', 0],
    ['trailers', '0\r\nX-A: 1\r\nX-B:\r\n\r\n', '', 0],
    ['what follows', '1\r\nx\r\n0\r\n\r\nGET /', 'x', 5],
  ];
  for (const [name, wire, body, left] of good) {
    it(`decodes ${name}, at once and byte by byte`, () => {
      assert.deepEqual({ ...decode([bytes(wire)]), calls: 0 }, { body, calls: 0, left, done: true, overlong: false });
      const single = [...wire].map(bytes);
      assert.deepEqual({ ...decode(single), calls: 0 }, { body, calls: 0, left, done: true, overlong: false });
    });
  }

  const broken: readonly (readonly [name: string, wire: string])[] = [
    ['no size', '\r\n'],
    ['a sign', '+1\r\nx\r\n'],
    ['0x', '0x1\r\nx\r\n'],
    ['a blank before', ' 1\r\nx\r\n'],
    ['a blank after', '1 \r\nx\r\n'],
    ['nine digits', '000000001\r\nx\r\n'],
    ['LF after the size', '1\nx\r\n'],
    ['CR and something else', '1\rx\r\n'],
    ['data longer than said', '1\r\nxy\r\n'],
    ['LF after the data', '1\r\nx\n'],
    ['an extension without a name', '1;\r\nx\r\n'],
    ['an extension with a blank', '1; a\r\nx\r\n'],
    ['a bare LF in an extension', '1;a\nb\r\nx\r\n'],
    ['an open quote', '1;a="b\r\nx\r\n'],
    ['a trailer without a colon', '0\r\nnothing\r\n\r\n'],
    ['a folded trailer', '0\r\nx: y\r\n z\r\n\r\n'],
    ['a length among the trailers', '0\r\nContent-Length: 5\r\n\r\n'],
    ['NUL in a trailer', '0\r\nx: \0\r\n\r\n'],
  ];
  for (const [name, wire] of broken) {
    it(`refuses ${name}`, () => {
      const { left, overlong } = decode([bytes(wire)]);
      assert.deepEqual([left, overlong], [-1, false]);
      assert.equal(decode([...wire].map(bytes)).left, -1);
    });
  }

  it('takes 16 KiB of extensions and trailers in all, in one chunk or over many', () => {
    const one = (length: number) => `1;${'a'.repeat(length)}\r\nx\r\n0\r\n\r\n`;
    assert.equal(decode([bytes(one(16_384))]).done, true);
    assert.equal(decode([bytes(one(16_385))]).overlong, true);
    assert.equal(decode([bytes(`1;${'a'.repeat(99)}\r\nx\r\n`.repeat(170))]).overlong, true);
    assert.equal(decode([bytes(`0\r\nx: ${'a'.repeat(20_000)}`)]).overlong, true);
  });

  it('a read of many small chunks is one call', () => {
    const { body, calls } = decode([bytes(`${'1\r\nx\r\n'.repeat(1_000)}0\r\n\r\n`)]);
    assert.deepEqual([body.length, calls], [1_000, 1]);
  });

  it('decodes what was encoded, however it is split', () => {
    const chunks = fc.array(fc.string({ minLength: 1, maxLength: 30, unit: 'binary-ascii' }), { maxLength: 6 });
    const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { maxLength: 6 });
    fc.assert(
      fc.property(chunks, places, (parts, cuts) => {
        const wire = `${parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('')}0\r\n\r\nrest`;
        const { body, left, done } = decode(split(bytes(wire), cuts));
        assert.deepEqual([body, left, done], [parts.join(''), 4, true]);
      }),
      { numRuns: Number(process.env['FC_RUNS'] ?? 2_000) },
    );
  });
});
