import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Line, lineOf, splitLines } from './split-lines.ts';

function linesOf(chunks: readonly Uint8Array[]): Promise<Line[]> {
  return Readable.from(splitLines(Readable.from(chunks))).toArray();
}

const shown = (lines: readonly Line[]) => lines.map(({ content, ending }) => [content, ending].map(String));

test('lines with their endings', async () => {
  const text = Buffer.from('a\n\nb\r\n\r\nc\rd\ne');
  assert.deepEqual(shown(await linesOf([text])), [
    ['a', '\n'],
    ['', '\n'],
    ['b', '\r\n'],
    ['', '\r\n'],
    ['c\rd', '\n'],
    ['e', ''],
  ]);
  assert.deepEqual(await linesOf([Buffer.alloc(0)]), []);
  assert.deepEqual(shown([lineOf(Buffer.from('a\r'))]), [['a\r', '']]);
});

test('no byte is lost, and how the stream is cut makes no difference', async () => {
  const byte = fc.oneof(fc.constantFrom(0x0a, 0x0d), fc.nat(255));
  const chunk = fc.array(byte, { maxLength: 8 }).map((bytes) => Uint8Array.from(bytes));
  await fc.assert(
    fc.asyncProperty(fc.array(chunk), async (chunks) => {
      const whole = Buffer.concat(chunks);
      const lines = await linesOf(chunks);
      assert.deepEqual(Buffer.concat(lines.flatMap(({ content, ending }) => [content, ending])), whole);
      assert.deepEqual(shown(lines), shown(await linesOf([whole])));
      for (const { content } of lines) assert.ok(!content.includes(0x0a));
    }),
    { numRuns: Number(process.env['FC_RUNS'] ?? 500) },
  );
});
