import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import type { RequestFacts } from './access-evaluator.ts';
import { type CelExpression, compileCel } from './cel.ts';
import { ConditionContext } from './condition-context.ts';

const FACTS: RequestFacts = {
  method: 'POST',
  query: '?account=a1&tag=x&tag=y',
  headers: ['x-team', 'blue', 'accept', 'a', 'accept', 'b'],
  clientAddress: '10.1.2.3',
  receivedAt: Date.UTC(2026, 0, 5, 14, 30),
};
const CLAIMS = { sub: 'u1', roles: ['trader', 'team-blue'], level: 5, note: null, deep: { list: [{ id: 'u1' }] } };

function compiled(source: string): CelExpression {
  const result = compileCel(source, 'rule');
  assert.ok(result.ok, result.ok ? '' : result.message);
  return result.value;
}

function evaluate(source: string, claims: Record<string, unknown> = CLAIMS): boolean {
  return compiled(source).evaluate(new ConditionContext(FACTS, claims, { params: { id: 'u1' } }));
}

const values: readonly (readonly [source: string, value: boolean])[] = [
  ['claims.sub == path.id', true],
  ['claims.sub == "u2"', false],
  ['"trader" in claims.roles', true],
  ['claims.level >= 5 && claims.level == 5', true],
  ['claims.note == null', true],
  ['has(claims.absent) && claims.absent == "x"', false],
  ['claims.deep.list[0].id == path["id"]', true],
  ['claims.roles.exists(r, r.startsWith("team-"))', true],
  ['claims.roles.exists(r, r.matches("^team-(blue|red)$"))', true],
  ['claims.sub.matches("^[0-9]+$")', false],
  ['claims.roles.all(r, ["trader", "team-blue"].exists(s, s == r))', true],
  ['query.account == "a1"', true],
  ['headers["x-team"] == "blue" && headers.accept == "a, b"', true],
  ['method == "POST" && source.ip.startsWith("10.")', true],
  ['now.getHours() == 14 && now.getDayOfWeek() == 1', true],
  ['now < timestamp("2026-01-05T14:30:01Z")', true],
  ['path.id.split("-", 10).size() == 1', true],
  ['claims.absent == "x" || true', true],
];
for (const [source, value] of values) test(`cel: ${source}`, () => assert.equal(evaluate(source), value));

const failing = [
  'claims.absent == "x"',
  'claims.sub.absent == "x"',
  'claims.note.id == "x"',
  'claims.roles[7] == "x"',
  'claims.sub > 3',
  'path.other == "x"',
  'headers.absent == "x"',
  'query.tag == "y"',
  'has(query.tag)',
  'claims.constructor == "x"',
  'claims.roles.exists(path, path.id == "u1")',
  'now.getHours("Nowhere/Land") == 1',
];
for (const source of failing) {
  const expression = compiled(source);
  test(`cel throws: ${source}`, () => {
    assert.throws(() => expression.evaluate(new ConditionContext(FACTS, CLAIMS, { params: { id: 'u1' } })));
  });
}

test('cel: without identity there are no claims', () => {
  assert.throws(() => compiled('claims.sub == "u1"').evaluate(new ConditionContext(FACTS, null, null)));
});

const refused: readonly (readonly [source: string, position: number | null, message: RegExp])[] = [
  ['claims.sub', 0, /of type dyn, not bool; compare it/],
  ['"x"', 0, /of type string, not bool/],
  [
    'method == "GET" && who == "x"',
    19,
    /Unknown variable: who; there are claims, headers, method, now, path, query, source/,
  ],
  ['method ==', 9, /Unexpected token/],
  ['method == 1', 0, /no such overload: string == int/],
  ['source.port == 1', 7, /No such key: port/],
  ['now.matches("x")', 0, /overload for '.*Timestamp\.matches\(string\)'/],
  ['claims.sub.matches(claims.pattern)', 0, /literal pattern/],
  ['matches(method, "x")', 0, /is a method/],
  ['method.matches("(?=x)")', 15, /refused by RE2 .*no lookahead/],
  ['method.matches("(a{100}){100}")', 15, /RE2|too large/],
  ['method.matches("(a{99}b{99}c{99}){9}")', 15, /too large/],
  ['claims.a.all(x, claims.b.all(y, x == y))', 0, /too many steps/],
  ['claims.a.all(x, x in claims.b)', 0, /too many steps/],
  ['claims.a.map(x, x + "y").all(x, claims.b.exists(y, x == y))', 0, /too many steps/],
  ['path.id.split(",").size() == 1', 0, /split needs a limit/],
  ['path.id.split(",", -1).size() == 1', 0, /split needs a limit/],
  ['cel.bind(x, method, x == "GET")', 0, /cel\.bind is not supported/],
  ['headers["X-Team"] == "x"', 0, /write headers\["x-team"\]/],
  ['headers.Accept == "x"', 0, /write headers\["accept"\]/],
  [`method == "${'x'.repeat(2048)}"`, 0, /at most 2048/],
  [`${'('.repeat(40)}true${')'.repeat(40)}`, 24, /maxDepth/],
  [Array(100).fill('1==1').join('||'), null, /maxAstNodes \(256\); write a shorter/],
];
for (const [source, position, message] of refused) {
  test(`cel refused: ${source.slice(0, 60)}`, () => {
    const result = compileCel(source, 'rule');
    assert.ok(!result.ok);
    assert.match(result.message, message);
    if (position !== null) assert.equal(result.position, position);
  });
}

test('cel: a tier sees no path parameters', () => {
  const result = compileCel('path.id == "x"', 'tier');
  assert.ok(!result.ok);
  assert.match(result.message, /there are claims, headers, method, now, query, source$/);
});

test('cel: what an expression reads is known, variables of its own loops aside', () => {
  const { references } = compiled(
    'claims.roles.exists(query, query == path.id) && path["x"] == query.y && claims.roles.exists(now, now == "x")',
  );
  assert.deepEqual([...references.variables].sort(), ['claims', 'path', 'query']);
  assert.deepEqual([...references.pathParameters].sort(), ['id', 'x']);
});

test('cel: only the variables that are read are built', () => {
  const untouchable: RequestFacts = {
    ...FACTS,
    get headers(): readonly string[] {
      throw new Error('headers were built');
    },
    get query(): string {
      throw new Error('query was built');
    },
  };
  const context = new ConditionContext(untouchable, CLAIMS, { params: { id: 'u1' } });
  assert.equal(compiled('claims.sub == path.id').evaluate(context), true);
  assert.throws(() => compiled('headers.accept == "a"').evaluate(context), /headers were built/);
});

test('cel: matches runs RE2, and no more text than its budget', () => {
  const expression = compiled('claims.s.matches("^(a+)+$")');
  const run = (s: string): boolean => expression.evaluate(new ConditionContext(FACTS, { s }, null));
  // A native RegExp would take longer than the universe has for this one.
  assert.equal(run(`${'a'.repeat(5000)}!`), false);
  assert.equal(run('a'.repeat(5000)), true);
  assert.throws(() => run('a'.repeat(40_000)), /more text than one evaluation/);
  assert.equal(run('aaa'), true, 'the budget is of one evaluation');
});

describe('cel: rules about a body', () => {
  const about = (source: string, body: unknown): boolean => {
    const result = compileCel(source, 'body');
    assert.ok(result.ok, result.ok ? '' : result.message);
    return result.value.evaluate(new ConditionContext(FACTS, CLAIMS, { params: { id: 'u1' } }).withBody(body));
  };
  const numbers = (length: number): readonly number[] => Array.from({ length }, (_, at) => at);

  it('see the body beside the request', () => {
    assert.equal(about('body.user == claims.sub && body.user == path.id', { user: 'u1' }), true);
    assert.equal(about('timestamp(body.time) <= now', { time: '2026-01-05T14:30:00Z' }), true);
    assert.equal(about('timestamp(body.time) <= now', { time: '2026-01-05T14:30:01Z' }), false);
    assert.equal(about('body.low * 1.5 >= body.high && body.low > 0', { low: 2, high: 3 }), true);
    assert.equal(
      about('body.items.all(i, i.price > 0 && i.side in ["buy", "sell"])', { items: [{ price: 1, side: 'buy' }] }),
      true,
    );
    assert.equal(about('body.items.map(i, i.n).exists(n, n == 3.0)', { items: [{ n: 1 }, { n: 3 }] }), true);
    assert.equal(about('size(body) == 2 && body[1] == "x"', [1, 'x']), true);
  });

  it('throw where the body has no such member, inherited ones included', () => {
    for (const source of [
      'body.a == 1',
      'body.constructor == 1',
      'body.__proto__ == 1',
      'body.b.c == 1',
      'body.b > "x"',
    ]) {
      assert.throws(() => about(source, { b: 1 }), Error, source);
    }
  });

  it('are the only conditions that know it', () => {
    const result = compileCel('body.a == 1', 'rule');
    assert.ok(!result.ok && /there are claims, headers, method, now, path, query, source$/.test(result.message));
  });

  const words = numbers(10_000).map((at) => `w${at}`);
  const costly: readonly (readonly [source: string, small: unknown, large: unknown])[] = [
    ['body.all(x, x >= 0)', numbers(20_000), numbers(200_000)],
    ['body.all(x, body.exists(y, y == x))', numbers(50), numbers(2_000)],
    ['body.all(x, x in body)', numbers(100), numbers(10_000)],
    ['body.filter(x, x >= 0).map(x, x + 1.0).all(x, x > 0)', numbers(2_000), numbers(50_000)],
    ['body.l.all(x, !body.t.contains(x))', { l: words, t: '' }, { l: words, t: 'x'.repeat(60_000) }],
    ['body.l.all(x, size(x + body.t) > 0)', { l: words, t: '' }, { l: words, t: 'x'.repeat(60_000) }],
    ['body.l.all(x, body.a == body.b)', { l: [1], a: words, b: [...words] }, { l: words, a: words, b: [...words] }],
    ['body.l.all(x, body.a == body.b)', { l: words, a: {}, b: {} }, { l: words, a: [[words]], b: [[[...words]]] }],
    ['body.all(x, x.a > 0 || true)', numbers(100).map(() => ({})), numbers(2_000).map(() => ({}))],
    ['!body.exists(x, has(x.a))', numbers(2_000).map(() => ({})), numbers(100_000).map(() => ({}))],
  ];
  for (const [source, small, large] of costly) {
    it(`take a bounded number of steps: ${source}`, () => {
      assert.equal(about(source, small), true);
      const started = performance.now();
      assert.throws(() => about(source, large), /too many steps on a value of this size/);
      assert.ok(performance.now() - started < 1000);
    });
  }
});
