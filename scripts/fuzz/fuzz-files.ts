import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parsePolicies } from '../../cli/local/parse-policies.ts';
import { parseCases } from '../../cli/policy-test/parse-cases.ts';
import { mutateText, pick } from './mutate.ts';
import type { Target } from './target.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const SEEDS = [
  read('examples/policies/access.yaml'),
  read('examples/policies/limits.yaml'),
  ...read('examples/policies-test/cases.yaml').split(/\n(?=- )/),
  'apiVersion: v1\nkind: Secret\nmetadata: { name: s, labels: { portcullis.dev/allow-reference: "true" } }\nstringData: { url: "x" }\n',
  '- { name: a, request: GET /, claims: &c { sub: x }, expect: allow }\n- { name: b, request: GET /, claims: *c, expect: 401 }',
];
const PIECES = [
  ...'{}[],:&*!|>#\'"%@` \n\t-?~0x',
  ...[
    '\n  ',
    '- ',
    '---\n',
    '...\n',
    '&a ',
    '*a',
    '<<: *c',
    '!!binary x',
    '!!js x',
    'null',
    '.inf',
    '0o7',
    '1e999',
    '\ufeff',
    '\0',
  ],
  ...[
    '__proto__: ',
    'name: a',
    'expect: 429',
    'expect: ',
    'request: GET *',
    'at: 2026-02-30T00:00:00Z',
    'from: ::1',
    'headers: ',
    'body: ',
  ],
];

/** Files that people write: cases of `portcullis test`, and policies. Problems with their places, never an exception. */
export const files: Target = {
  maxMs: 250, // three whole policies take a parser of YAML that long
  next: (random) => {
    const text = Array.from({ length: 1 + random(3) }, () => pick(SEEDS, random)).join(
      random(2) === 0 ? '\n' : '\n---\n',
    );
    return mutateText(text, PIECES, 4, random);
  },

  check: (text) => {
    const { cases, problems } = parseCases({ file: 'f', text });
    assert.ok(cases.length === 0 || problems.length === 0);
    for (const problem of problems) assert.match(problem, /^f:\d+:\d+ /);
    const parsed = parsePolicies([{ file: 'f', text }]);
    for (const problem of parsed.problems) assert.match(problem.text, /^f:\d+:\d+ /);
    return cases.length > 0 ? 'cases' : parsed.accessPolicies.length > 0 ? 'policies' : 'problems';
  },
};
