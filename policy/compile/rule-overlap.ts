import type { PathMatching } from '../bundle/types.ts';
import { type HostPattern, matchesHost } from '../evaluate/host-pattern.ts';
import type { PathPattern } from '../evaluate/path-pattern.ts';
import { foldAscii } from '../evaluate/path-tree.ts';
import type { CheckedMatch } from './compile-match.ts';
import type { Findings } from './finding.ts';
import { listed } from './suggest.ts';

/** A rule as far as matching is concerned; `match` null: not understood, left out of the comparison. */
export interface RuleToCompare {
  readonly name: string;
  readonly match: CheckedMatch | null;
}

/** One host, path and method that a rule speaks about; `method` null: every method not named by others. */
interface Cell {
  readonly rule: number;
  readonly host: HostPattern | null;
  readonly pattern: number;
  readonly shape: string;
  readonly method: string | null;
}

/**
 * Reports rules that can never decide a request, wholly or in part, by the order in which `RuleFinder` prefers rules:
 * the same match as a rule above, or every request of theirs taken by others.
 */
export function reportOverlaps(rules: readonly RuleToCompare[], matching: PathMatching, findings: Findings): void {
  const shapes = new Shapes(matching);
  const cells = rules.map((rule, index) => (rule.match === null ? [] : cellsOf(rule.match, index, shapes)));
  const first = new Map<string, Cell>();
  const byShape = Map.groupBy(cells.flat(), (cell) => cell.shape);
  for (const [index, own] of cells.entries()) {
    const taken: { cell: Cell; by: readonly number[] }[] = [];
    for (const cell of own) {
      const key = JSON.stringify([hostText(cell.host), cell.shape, cell.method]);
      const earlier = first.get(key);
      if (earlier === undefined) first.set(key, cell);
      else if (earlier.rule === index) reportTwin(cell, earlier, findings);
      const by = earlier === undefined ? takersOfRest(cell, byShape, shapes) : [earlier.rule];
      if (by !== null && !by.includes(index)) taken.push({ cell, by });
    }
    if (taken.length > 0) reportTaken(index, own, taken, cells, rules, findings);
  }
}

function cellsOf(match: CheckedMatch, rule: number, shapes: Shapes): Cell[] {
  const methods = match.methods.length === 0 ? [null] : match.methods;
  return match.patterns.flatMap((pattern, at) =>
    match.hosts.flatMap((host) =>
      methods.map((method) => ({ rule, host, pattern: at, shape: shapes.of(pattern), method })),
    ),
  );
}

function reportTwin(cell: Cell, earlier: Cell, findings: Findings): void {
  if (cell.pattern === earlier.pattern) return;
  const path = ['spec', 'rules', cell.rule, 'match', 'paths', cell.pattern];
  findings.error(path, `matches the same paths as paths[${earlier.pattern}]; keep one of the two`);
}

function reportTaken(
  index: number,
  own: readonly Cell[],
  taken: readonly { cell: Cell; by: readonly number[] }[],
  cells: readonly (readonly Cell[])[],
  rules: readonly RuleToCompare[],
  findings: Findings,
): void {
  const path = ['spec', 'rules', index, 'match'];
  const takers = [...new Set(taken.flatMap(({ by }) => by))];
  const names = listed(takers.map((rule) => `"${rules[rule]!.name}"`));
  if (taken.length < own.length) {
    const examples = taken.map(({ cell }) => describe(cell, rules[index]!));
    findings.error(path, `rule ${names} decides ${listed(examples)} already; remove that from one of the two`);
  } else if (takers.length === 1 && cells[takers[0]!]!.length === own.length && takers[0]! < index) {
    findings.error(
      path,
      `has the same match as rule ${names}; put the entries of both under one rule's allow, or remove one`,
    );
  } else {
    const message = `can never match: every request that it describes is decided by rule ${names}`;
    findings.error(path, `${message}; remove it, or match something that those leave`);
  }
}

function describe(cell: Cell, rule: RuleToCompare): string {
  const pattern = rule.match!.patterns[cell.pattern]!.text;
  return `${cell.method ?? 'every method'} ${hostText(cell.host)}${pattern}`;
}

/**
 * A pattern that ends with `**` leaves nothing to itself when more specific ones cover its prefix, with and without a
 * slash, and everything below it. The rules that do so, or null.
 */
function takersOfRest(cell: Cell, byShape: ReadonlyMap<string, readonly Cell[]>, shapes: Shapes): number[] | null {
  if (!cell.shape.endsWith(REST)) return null;
  const takerOf = (shape: string): number[] | null => {
    const found = byShape.get(shape)?.find((other) => other.rule !== cell.rule && covers(other, cell));
    return found === undefined ? null : [found.rule];
  };
  const allBelow = (prefix: string, depth: number): number[] | null => {
    if (depth === 0) return null;
    const itself = takerOf(prefix === '' ? '/' : prefix);
    const slash = prefix === '' || shapes.ignoreSlash ? [] : takerOf(`${prefix}/`);
    if (itself === null || slash === null) return null;
    const deeper = `${prefix}/${PARAMETER}`;
    const below = takerOf(deeper + REST) ?? allBelow(deeper, depth - 1);
    return below === null ? null : [...itself, ...slash, ...below];
  };
  return allBelow(cell.shape.slice(0, -REST.length), 8);
}

/** Whether every request of `cell`, its path aside, is one of `other` too. */
function covers(other: Cell, cell: Cell): boolean {
  const method =
    other.method === null || other.method === cell.method || (other.method === 'GET' && cell.method === 'HEAD');
  return method && coversHost(other.host, cell.host);
}

function coversHost(wide: HostPattern | null, narrow: HostPattern | null): boolean {
  if (wide === null) return true;
  if (narrow === null) return false;
  if (narrow.wildcard) return wide.wildcard && narrow.value.endsWith(wide.value);
  return matchesHost(wide, narrow.value);
}

function hostText(host: HostPattern | null): string {
  return host === null ? '' : `${host.wildcard ? '*' : ''}${host.value}`;
}

// No literal of a pattern holds a backslash; braces and stars it may hold, encoded.
const PARAMETER = '\\{}';
const REST = '/\\**';

/** Patterns with one shape match the same paths, whatever their parameters are called. */
class Shapes {
  readonly ignoreSlash: boolean;
  readonly #foldCase: boolean;

  constructor(matching: PathMatching) {
    this.ignoreSlash = matching.trailingSlash === 'Ignore';
    this.#foldCase = matching.case === 'Insensitive';
  }

  of(pattern: PathPattern): string {
    const parts = pattern.segments.map((segment) => (segment.kind === 'literal' ? segment.text : PARAMETER));
    const path = parts.map((part) => `/${part}`).join('');
    const folded = this.#foldCase ? foldAscii(path) : path;
    if (pattern.rest) return folded + REST;
    if (pattern.segments.length === 0) return '/';
    return pattern.trailingSlash && !this.ignoreSlash ? `${folded}/` : folded;
  }
}
