import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { AccessRule, PathMatching, RequestMatch } from '../bundle/types.ts';
import { RuleFinder } from '../evaluate/rule-finder.ts';
import { checkMatch } from './compile-match.ts';
import { Findings } from './finding.ts';
import { reportOverlaps } from './rule-overlap.ts';

const strict: PathMatching = { case: 'Sensitive', trailingSlash: 'Strict', parameters: 'Refuse' };

function ruleOf(match: Partial<RequestMatch>, index: number): AccessRule {
  return { name: `r${index}`, match: { hosts: [], paths: [], methods: [], ...match }, allow: [{ anonymous: true }] };
}

function overlaps(rules: readonly AccessRule[], matching: PathMatching): Findings {
  const findings = new Findings();
  const compared = rules.map(({ name, match }) => ({ name, match: checkMatch(match, [], new Findings()) }));
  reportOverlaps(compared, matching, findings);
  return findings;
}

/** Indexes of the rules of which is said that no request ever falls under them. */
function saidDead(findings: Findings): number[] {
  const whole = findings.all.filter(({ message }) => /^(has the same match|can never match)/.test(message));
  return whole.map(({ path }) => Number(path[2])).sort((a, b) => a - b);
}

describe('overlapping rules', () => {
  const table: readonly [
    name: string,
    rules: readonly Partial<RequestMatch>[],
    says: readonly RegExp[],
    matching?: PathMatching,
  ][] = [
    ['nothing to report', [{ paths: ['/a'] }, { paths: ['/{x}'] }, { paths: ['/**'] }], []],
    ['methods named before methods omitted', [{ paths: ['/a'] }, { paths: ['/a'], methods: ['GET'] }], []],
    ['a host before every host', [{ paths: ['/a'] }, { paths: ['/a'], hosts: ['x.y'] }], []],
    ['the same', [{ paths: ['/a'] }, { paths: ['/a'] }], [/has the same match as rule "r0"/]],
    [
      'the same in another order',
      [{ paths: ['/a', '/b'] }, { paths: ['/b', '/a'] }],
      [/has the same match as rule "r0"/],
    ],
    [
      'covered by two',
      [{ paths: ['/a'] }, { paths: ['/b'] }, { paths: ['/a', '/b'] }],
      [/can never match.*"r0", "r1"/],
    ],
    ['covered by a wider one', [{ paths: ['/a', '/b'] }, { paths: ['/b'] }], [/can never match.*"r0"/]],
    ['covered in part', [{ paths: ['/a'] }, { paths: ['/a', '/b'] }], [/rule "r0" decides every method \/a already/]],
    ['twins within a rule', [{ paths: ['/{x}', '/{y}'] }], [/matches the same paths as paths\[0\]/]],
    [
      'a rest of which nothing is left',
      [{ paths: ['/a/**'] }, { paths: ['/a', '/a/'] }, { paths: ['/a/{x}/**'] }],
      [/can never match.*"r1", "r2"/],
    ],
    ['a rest of which the slash is left', [{ paths: ['/a/**'] }, { paths: ['/a'] }, { paths: ['/a/{x}/**'] }], []],
    [
      'letters that are not told apart',
      [{ paths: ['/a'] }, { paths: ['/A'] }],
      [/has the same match/],
      { ...strict, case: 'Insensitive' },
    ],
    [
      'letters beyond ASCII are told apart always',
      [{ paths: ['/caf%C3%A9'] }, { paths: ['/caf%C3%89'] }],
      [],
      { ...strict, case: 'Insensitive' },
    ],
    [
      'encoded braces and stars are literals',
      [{ paths: ['/{x}'] }, { paths: ['/%7B%7D'] }, { paths: ['/a/**'] }, { paths: ['/a/%2A%2A'] }],
      [],
    ],
  ];
  for (const [name, matches, says, matching = strict] of table) {
    it(name, () => {
      const found = overlaps(matches.map(ruleOf), matching).all;
      assert.equal(found.length, says.length, JSON.stringify(found));
      for (const [index, pattern] of says.entries()) assert.match(found[index]!.message, pattern);
    });
  }

  it('are reported exactly when RuleFinder never finds them', () => {
    const segment = fc.constantFrom('a', 'A', 'b', '{x}', '{y}');
    const path = fc
      .tuple(fc.array(segment, { maxLength: 2 }), fc.constantFrom('', '', '/', '/**'))
      .map(
        ([segments, end]) =>
          segments.map((part) => `/${part}`).join('') + (segments.length === 0 && end === '' ? '/' : end),
      )
      .filter((text) => !/\{(.)\}\/\{\1\}/.test(text));
    const match = fc.record({
      hosts: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.constant(['x.y']), fc.constant(['*.y'])),
      paths: fc.uniqueArray(path, { minLength: 1, maxLength: 3 }),
      methods: fc.oneof(fc.constant([]), fc.uniqueArray(fc.constantFrom('GET', 'HEAD', 'POST'), { minLength: 1 })),
    });
    const matching = fc.record({
      case: fc.constantFrom('Sensitive' as const, 'Insensitive' as const),
      trailingSlash: fc.constantFrom('Strict' as const, 'Ignore' as const),
      parameters: fc.constant('Refuse' as const),
    });
    const requests = everyRequest();
    fc.assert(
      fc.property(fc.array(match, { minLength: 1, maxLength: 8 }), matching, (matches, how) => {
        const rules = matches.map(ruleOf);
        const finder = new RuleFinder(rules, how);
        const alive = new Set(requests.map(([host, target, method]) => finder.find(host, target, method)?.index));
        const dead = [...rules.keys()].filter((index) => !alive.has(index));
        assert.deepEqual(saidDead(overlaps(rules, how)), dead);
      }),
      { numRuns: Number(process.env['FC_RUNS'] ?? 300) },
    );
  });
});

/** Requests that tell all of those rules apart: z stands for every segment that no rule names, PUT for every such method. */
function everyRequest(): [host: string, path: string, method: string][] {
  const segments = ['a', 'A', 'b', 'z'];
  let paths = [''];
  const all = ['/'];
  for (let depth = 0; depth < 4; depth++) {
    paths = paths.flatMap((path) => segments.map((segment) => `${path}/${segment}`));
    all.push(...paths, ...paths.map((path) => `${path}/`));
  }
  return ['x.y', 'w.y', 'z'].flatMap((host) =>
    ['GET', 'HEAD', 'POST', 'PUT'].flatMap((method) =>
      all.map((path): [string, string, string] => [host, path, method]),
    ),
  );
}
