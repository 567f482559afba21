import type { AccessRule, PathMatching } from '../bundle/types.ts';
import type { RuleMatch } from './access-evaluator.ts';
import { compareHosts, type HostPattern, matchesHost } from './host-pattern.ts';
import { decodeSegment, type NormalizedPath } from './normalize-path.ts';
import { parseMatch } from './parse-match.ts';
import { type PathPattern, parameterNames } from './path-pattern.ts';
import { PathTree, type PathVisitor } from './path-tree.ts';

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze(Object.create(null));

/** One host, path and method list of one rule. */
interface Candidate {
  readonly rule: AccessRule;
  readonly index: number;
  readonly host: HostPattern | null;
  readonly pattern: PathPattern;
  /** Shared by all requests when the pattern has no parameters. */
  readonly match: RuleMatch | null;
}

class MatchWithParams implements RuleMatch {
  readonly name: string;
  readonly index: number;
  readonly #pattern: PathPattern;
  readonly #path: NormalizedPath;
  #params: Readonly<Record<string, string>> | null = null;

  constructor(candidate: Candidate, path: NormalizedPath) {
    this.name = candidate.rule.name;
    this.index = candidate.index;
    this.#pattern = candidate.pattern;
    this.#path = path;
  }

  get params(): Readonly<Record<string, string>> {
    this.#params ??= readParams(this.#pattern, this.#path);
    return this.#params;
  }
}

function readParams(pattern: PathPattern, path: NormalizedPath): Readonly<Record<string, string>> {
  const params: Record<string, string> = Object.create(null);
  let start = 1;
  for (const segment of pattern.segments) {
    const slash = path.indexOf('/', start);
    const end = slash < 0 ? path.length : slash;
    if (segment.kind === 'parameter') params[segment.name] = decodeSegment(path.slice(start, end));
    start = end + 1;
  }
  return params;
}

/** The candidates of one path shape, best first for each method. */
class Candidates {
  readonly #all: Candidate[] = [];
  readonly #byMethod = new Map<string, readonly Candidate[]>();
  #others: readonly Candidate[] = [];

  add(candidate: Candidate): void {
    this.#all.push(candidate);
  }

  /** Orders what was added; called once, after the last `add`. */
  seal(): void {
    const methods = new Set(this.#all.flatMap((candidate) => candidate.rule.match.methods));
    if (methods.has('GET')) methods.add('HEAD');
    for (const method of methods) this.#byMethod.set(method, this.#bestFirst(method));
    this.#others = this.#bestFirst(null);
  }

  for(method: string): readonly Candidate[] {
    return this.#byMethod.get(method) ?? this.#others;
  }

  #bestFirst(method: string | null): readonly Candidate[] {
    return this.#all
      .map((candidate) => ({ candidate, methodRank: methodRank(candidate.rule.match.methods, method) }))
      .filter(({ methodRank }) => methodRank !== null)
      .sort(
        (a, b) =>
          compareHosts(a.candidate.host, b.candidate.host) ||
          a.methodRank! - b.methodRank! ||
          a.candidate.index - b.candidate.index,
      )
      .map(({ candidate }) => candidate);
  }
}

/** Null: does not match. `method` null stands for every method that no rule of the shape names. */
function methodRank(methods: readonly string[], method: string | null): number | null {
  if (methods.length === 0) return 2;
  if (method === null) return null;
  if (methods.includes(method)) return 0;
  return method === 'HEAD' && methods.includes('GET') ? 1 : null;
}

/** Finds the rule of a request in a segment tree. Synchronous and not re-entrant. */
export class RuleFinder implements PathVisitor<Candidates> {
  readonly #tree: PathTree<Candidates>;
  #host = '';
  #method = '';
  #found: Candidate | null = null;

  constructor(rules: readonly AccessRule[], matching: PathMatching) {
    this.#tree = new PathTree(matching);
    const leaves = new Set<Candidates>();
    for (const [index, rule] of rules.entries()) {
      const { hosts, patterns } = parseMatch(rule.match, `rule "${rule.name}"`);
      for (const pattern of patterns) {
        const leaf = this.#tree.leafFor(pattern, () => new Candidates());
        leaves.add(leaf);
        const match = parameterNames(pattern).length === 0 ? { name: rule.name, index, params: NO_PARAMS } : null;
        for (const host of hosts.length === 0 ? [null] : hosts) leaf.add({ rule, index, host, pattern, match });
      }
    }
    for (const leaf of leaves) leaf.seal();
  }

  /** The contract is AccessEvaluator.findRule. */
  find(host: string, path: NormalizedPath, method: string): RuleMatch | null {
    this.#host = host;
    this.#method = method;
    this.#found = null;
    this.#tree.walk(path, this);
    const found = this.#found as Candidate | null;
    if (found === null) return null;
    return found.match ?? new MatchWithParams(found, path);
  }

  visit(candidates: Candidates): boolean {
    for (const candidate of candidates.for(this.#method)) {
      if (candidate.host !== null && !matchesHost(candidate.host, this.#host)) continue;
      this.#found = candidate;
      return true;
    }
    return false;
  }
}
