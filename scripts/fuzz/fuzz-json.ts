import assert from 'node:assert/strict';
import { parseStrictJson as parseBody } from '../../policy/evaluate/body/strict-json.ts';
import { parseStrictJson as parseToken } from '../../sidecar/tokens/strict-json.ts';
import { mutateText, pick } from './mutate.ts';
import { referenceJson } from './reference-json.ts';
import type { Target } from './target.ts';

const SEEDS = [
  '{"a":"x","b":[1,2.5,-0,1e3],"c":null}',
  '{"\\u0061":{"a":{"a":1}},"b":"\\"\\\\\\/\\b\\f\\n\\r\\t"}',
  '[[[]],{},[{"x":true}],false]',
  '{"__proto__":{"constructor":1},"t":"é😀\\ud83d\\ude00"}',
  '9007199254740991',
  '{"a":1,"b":{"c":[[["deep"]]]},"\\u0061":2}',
  '[[[[[[[1]]]]]]]',
  '"text"',
];
const PIECES = [
  ...'{}[],:"\\+-.eE0123456789 \n\t\0',
  ...[
    '"a":',
    '"__proto__":',
    '\\u0061',
    '\\ud800',
    'null',
    'tru',
    'true',
    '1e999',
    '9007199254740993',
    '\ufeff',
    '😀',
    '\ud800',
    '\u2028',
  ],
  ...[
    '[[[[[[[',
    '[[[[[[[]]]]]]]',
    '{"a":1,"\\u0061":1}',
    '"a":{"a":',
    '"a":1,',
    '0.1e-400',
    '"a":1,"a":2',
    ',]',
    '01',
    '-',
  ],
];
const MAX_DEPTH = 6;

/** JSON as tokens and bodies are read, two readers, against a third with a grammar of its own. */
export const json: Target = {
  next: (random) => mutateText(pick(SEEDS, random), PIECES, 4, random),

  check: (text) => {
    const expected = referenceJson(text);
    const ofToken = parseToken(text, MAX_DEPTH);
    const ofBody = parseBody(text, MAX_DEPTH);
    if (expected === null || expected.twice || expected.depth > MAX_DEPTH) {
      assert.deepEqual([ofToken, ofBody.ok], [undefined, false]);
      return expected === null ? 'no JSON' : 'refused';
    }
    assert.deepEqual(ofToken, expected.value);
    if (ofBody.ok) assert.deepEqual(ofBody.value, expected.value);
    // Bodies may hold no number that a double changes, and no lone surrogate.
    else
      assert.ok(
        /\d{16}|e\+?\d{3}|\.|e/i.test(text) || !text.isWellFormed() || /\\u[dD][89a-fA-F]/.test(text),
        ofBody.message,
      );
    return ofBody.ok ? 'read' : 'refused by bodies alone';
  },
};
