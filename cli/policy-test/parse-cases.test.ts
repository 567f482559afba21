import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseCases } from './parse-cases.ts';

const parse = (text: string) => parseCases({ file: 'cases.yaml', text });

describe('parseCases', () => {
  it('reads short and long forms, and claims that are named once', () => {
    const { cases, problems } = parse(`
- { name: short, request: 'get /orders?x=1', claims: &tom { sub: tom, desk: { id: 7 } }, expect: allow }
- name: long
  request:
    method: post
    path: /orders
    host: api.example
    headers: { Origin: "https://app.example" }
    from: 2001:db8::1
    at: 2026-01-31T09:00:00+01:00
  claims: *tom
  expect: { decision: deny, status: 403, code: forbidden, rule: orders }
- { name: nobody, request: GET /, claims: null, expect: 401 }
`);
    assert.deepEqual(problems, []);
    const claims = { sub: 'tom', desk: { id: 7 } };
    const [short, long, nobody] = cases;
    assert.deepEqual(short, {
      file: 'cases.yaml',
      line: 2,
      name: 'short',
      request: {
        method: 'GET',
        target: '/orders?x=1',
        host: 'localhost',
        headers: [],
        client: '127.0.0.1',
        credential: { claims },
      },
      at: null,
      expect: { decision: 'allow' },
      bodyFile: null,
    });
    assert.deepEqual(long, {
      file: 'cases.yaml',
      line: 3,
      name: 'long',
      request: {
        method: 'POST',
        target: '/orders',
        host: 'api.example',
        headers: [['Origin', 'https://app.example']],
        client: '2001:db8::1',
        credential: { claims },
      },
      at: Date.UTC(2026, 0, 31, 8),
      expect: { decision: 'deny', status: 403, code: 'forbidden', rule: 'orders' },
      bodyFile: null,
    });
    assert.deepEqual([nobody?.request.credential, nobody?.expect], [null, { status: 401 }]);
  });

  const one = (more: string, name = 'a') => `- { name: ${name}, request: GET /, ${more} }`;
  const wrong: readonly (readonly [name: string, text: string, problems: readonly string[]])[] = [
    ['not YAML', '- {', ['cases.yaml:1:4 not YAML: ']],
    ['empty', '', ['cases.yaml:1:1 must be a list, not null']],
    ['no list', 'name: a', ['cases.yaml:1:1 must be a list, not an object']],
    ['an empty list', '[]', ['cases.yaml:1:1 must have at least 1 item, not 0']],
    ['two documents', '[]\n---\n[]', ['cases.yaml:2:1 not YAML: ']],
    ['a case that is none', '- x', ['cases.yaml:1:3 [0]: must be an object, not "x"']],
    [
      'nothing in it',
      '- {}',
      [
        'cases.yaml:1:3 [0].expect: is required: allow, deny, a status such as 401, or an object',
        'cases.yaml:1:3 [0].name: is required: what the case is about',
        'cases.yaml:1:3 [0].request: is required: METHOD PATH, or an object with method and path',
      ],
    ],
    ['a slip', one('expcet: deny, expect: deny'), ['cases.yaml:1:30 [0].expcet: unknown field; did you mean expect?']],
    [
      'a slip deeper down',
      one('expect: { rul: x, code: x }').replace('GET /', '{ method: GET, path: /, form: 10.0.0.1 }'),
      [
        'cases.yaml:1:47 [0].request.form: unknown field; did you mean from?',
        'cases.yaml:1:75 [0].expect.rul: unknown field; did you mean rule?',
        'cases.yaml:1:83 [0].expect.code: must be one of token_missing',
      ],
    ],
    [
      'a request that is no line',
      '- { name: a, request: GET, expect: deny }',
      ['cases.yaml:1:14 [0].request: must be METHOD PATH, such as GET /orders, not "GET"'],
    ],
    [
      'expectations that are none',
      `${one('expect: alow')}\n${one('expect: { rule: null }')}\n${one('expect: []')}\n${one('expect: { decision: no }')}`,
      [
        'cases.yaml:1:30 [0].expect: must be allow, deny or a status such as 401, not "alow"; did you mean allow?',
        'cases.yaml:2:30 [1].expect: must say decision, status, code or rule',
        'cases.yaml:3:30 [2].expect: must be an object, not a list',
        'cases.yaml:4:40 [3].expect.decision: must be one of allow, deny, not "no"',
      ],
    ],
    [
      'limits',
      `${one('expect: 429')}\n${one('expect: { code: store_unavailable }', 'b')}`,
      [
        'cases.yaml:1:30 [0].expect: is never the outcome here: rate limits are not counted',
        'cases.yaml:2:30 [1].expect: is never the outcome here: rate limits are not counted',
      ],
    ],
    ['claims', one('claims: tom, expect: allow'), ['cases.yaml:1:30 [0].claims: must be an object, not "tom"']],
    [
      'address, instant and header',
      one('expect: deny').replace('GET /', '{ method: GET, path: /, from: x, at: now, headers: { X: 1 } }'),
      [
        'cases.yaml:1:47 [0].request.from: must be an IP address',
        'cases.yaml:1:56 [0].request.at: write an instant such as 2026-01-31T00:00:00Z (RFC 3339)',
        'cases.yaml:1:76 [0].request.headers.X: must be a string, not 1; put it in quotes: "1"',
      ],
    ],
    [
      'two bodies',
      one('body: 1, bodyFile: x, expect: deny'),
      ['cases.yaml:1:39 [0].bodyFile: stands beside body; leave one of the two out'],
    ],
    [
      'one name for two cases',
      `${one('expect: deny')}\n${one('expect: deny')}`,
      ['cases.yaml:2:5 [1].name: "a" stands at [0] already; each may stand once'],
    ],
  ];
  for (const [name, text, problems] of wrong) {
    it(`says everything that is wrong: ${name}`, () => {
      const parsed = parse(text);
      assert.deepEqual(parsed.cases, []);
      assert.equal(parsed.problems.length, problems.length, parsed.problems.join('\n'));
      for (const [index, beginning] of problems.entries()) {
        const said = parsed.problems[index] ?? '';
        assert.ok(said.startsWith(beginning), said);
      }
    });
  }
});
