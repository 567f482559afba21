import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { subjectId } from './blocks.ts';

const HASHED = /^login=sha256:[A-Za-z0-9_-]{43}$/;

describe('subjectId', () => {
  const asItIs = ['ann', 'ann@desk.example', 'Ünal Öz', '山田', '2001:db8::/64', "o'neill=1", '🦊'];
  for (const name of asItIs) it(`${name} is shown`, () => assert.equal(subjectId('login', name), `login=${name}`));

  const hashed: readonly (readonly [what: string, name: string])[] = [
    ['what is long', 'x'.repeat(161)],
    ['an escape sequence', 'ann\x1b[2J'],
    ['a second line', 'ann\nip=192.0.2.1  Block'],
    ['a separator of lines', 'ann\u2028'],
    ['a space that is none', 'ann\u00a0'],
    ['reversed text', 'ann\u202enna'],
    ['an invisible character', 'a\u200bnn'],
    ['half a character, which Redis would store as another', 'ann\ud800'],
    ['what looks like a hash', subjectId('login', 'x'.repeat(161)).slice('login='.length)],
  ];
  for (const [what, name] of hashed) it(`${what} is not`, () => assert.match(subjectId('login', name), HASHED));

  it('no two share a hash', () => {
    assert.equal(new Set(hashed.map(([, name]) => subjectId('login', name))).size, hashed.length);
  });
});
