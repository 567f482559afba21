import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LineCounter, parseDocument } from 'yaml';
import type { Path } from '../api/problem.ts';
import { describeProblem, locate } from './locate.ts';

const source = `# a comment
kind: K
spec:
  rules:
    - name: one
      allow: [{roles: [a, b]}]
    - &two
      "quoted name": x
    - *two
  1: number
`;

function place(text: string, path: Path): string {
  const lines = new LineCounter();
  const { line, column } = locate(parseDocument(text, { lineCounter: lines }), lines, path);
  return `${line}:${column}`;
}

describe('locate', () => {
  const table: readonly [name: string, path: Path, place: string][] = [
    ['the document', [], '2:1'],
    ['a member is where its key is', ['kind'], '2:1'],
    ['an item is where it begins', ['spec', 'rules', 0], '5:7'],
    ['within flow style', ['spec', 'rules', 0, 'allow', 0, 'roles', 1], '6:27'],
    ['a quoted key', ['spec', 'rules', 1, 'quoted name'], '8:7'],
    ['through an alias', ['spec', 'rules', 2, 'quoted name'], '8:7'],
    ['a key that is a number', ['spec', '1'], '10:3'],
    ['a member that is missing: its parent', ['spec', 'rules', 0, 'match', 'paths', 0], '5:7'],
    ['an item that is missing: the list', ['spec', 'rules', 9], '4:3'],
  ];
  for (const [name, path, expected] of table) it(name, () => assert.equal(place(source, path), expected));

  it('an empty text', () => assert.equal(place('', ['spec']), '1:1'));

  it('reads like a compiler', () => {
    const text = describeProblem('a.yaml', { line: 3, column: 5 }, ['spec', 'rules', 0], 'is wrong');
    assert.equal(text, 'a.yaml:3:5 spec.rules[0]: is wrong');
    assert.equal(describeProblem('a.yaml', { line: 1, column: 1 }, [], 'is wrong'), 'a.yaml:1:1 is wrong');
  });
});
