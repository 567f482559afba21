import type { LimitConfig, LimitsBundle, PathMatching } from '../bundle/types.ts';
import { type HostPattern, matchesHost } from './host-pattern.ts';
import type { LimitPlan } from './limit-plan.ts';
import { DEFAULT_PATH_MATCHING, type NormalizedPath } from './normalize-path.ts';
import { type ParsedMatch, parseMatch } from './parse-match.ts';
import { PathTree, type PathVisitor } from './path-tree.ts';
import { compileSubjectKey, type SubjectKey } from './subject-key.ts';

/** A limit at one tier: how it counts, and under which key. */
export interface TierCounter {
  readonly plan: LimitPlan;
  /** Policy, limit and tier; the subject completes it. */
  readonly keyPrefix: string;
}

/** One limit with a plan for each tier. */
export interface CompiledLimit {
  readonly name: string;
  readonly subject: SubjectKey;
  /** By tier; null and absent: unlimited. */
  readonly counters: ReadonlyMap<string, TierCounter | null>;
}

/** Finds the limits of a request; all that match apply. The lists are shared between requests. */
export interface LimitMatcher {
  /** Limits that need nothing but the address, decided before authentication: one counter for all tiers. */
  byAddress(host: string, path: NormalizedPath, method: string): readonly AddressLimit[];
  /** All others, decided when identity and tier are known. */
  bySubject(host: string, path: NormalizedPath, method: string): readonly CompiledLimit[];
  /** Limits with `lane: Reserved`, decided before all others once a request is authenticated. */
  reserved(host: string, path: NormalizedPath, method: string): readonly CompiledLimit[];
  /** False: no lane is open to this request, whoever sends it. Costs nothing where no limit has `lane: Reserved`. */
  isReservedCandidate(host: string, path: NormalizedPath, method: string): boolean;
}

/** A limit whose key is the address alone and whose rate is the same for every tier. */
export interface AddressLimit {
  readonly name: string;
  readonly counter: TierCounter;
}

/**
 * Compiles the limits of a policy. A limit with an empty match applies to everything; one for GET applies to HEAD too.
 * @param matching of the access policy beside it, so that both read a path alike
 * @throws PortcullisError `bundle_invalid`
 */
export function compileLimitMatcher(
  bundle: LimitsBundle,
  matching: PathMatching = DEFAULT_PATH_MATCHING,
): LimitMatcher {
  const addressLimits = new LimitGroup<AddressLimit>(matching);
  const subjectLimits = new LimitGroup<CompiledLimit>(matching);
  const reservedLimits = new LimitGroup<CompiledLimit>(matching);
  for (const config of bundle.limits) {
    const match = parseMatch(config.match, `limit "${config.name}"`);
    const prefix = `${bundle.namespace}/${bundle.name}/${config.name}/`;
    const rates = Object.values(config.rates);
    const [first] = rates;
    if (rates.every((rate) => rate === null)) continue;
    const same = rates.every((rate) => rate?.limit === first?.limit && rate?.windowMs === first?.windowMs);
    const reserved = config.lane === 'Reserved';
    if (same && !reserved && config.key.length === 1 && config.key[0] === 'ip') {
      const counter = counterOf(config, first ?? null, `${prefix}*/`);
      if (counter !== null) addressLimits.add({ name: config.name, counter }, match, config.match.methods);
      continue;
    }
    const counters = new Map<string, TierCounter | null>();
    for (const [tier, rate] of Object.entries(config.rates))
      counters.set(tier, counterOf(config, rate, `${prefix}${tier}/`));
    const limit = { name: config.name, subject: compileSubjectKey(config.key), counters };
    (reserved ? reservedLimits : subjectLimits).add(limit, match, config.match.methods);
  }
  const findReserved = (host: string, path: NormalizedPath, method: string) => reservedLimits.find(host, path, method);
  return {
    byAddress: (host, path, method) => addressLimits.find(host, path, method),
    bySubject: (host, path, method) => subjectLimits.find(host, path, method),
    reserved: findReserved,
    isReservedCandidate: (host, path, method) => findReserved(host, path, method).length > 0,
  };
}

function counterOf(config: LimitConfig, rate: LimitConfig['rates'][string], keyPrefix: string): TierCounter | null {
  if (rate === null || rate === undefined) return null;
  const { name, algorithm, burst, cost = 1, onStoreFailure } = config;
  return {
    plan: { name, algorithm, limit: rate.limit, windowMs: rate.windowMs, burst, cost, onStoreFailure },
    keyPrefix,
  };
}

/** A limit's claim on one path shape. */
interface Claim {
  readonly index: number;
  readonly hosts: readonly HostPattern[];
  readonly methods: readonly string[];
}

/** Above this many combinations all are forgotten: requests choose them, and parameters allow 2^n. */
const MAX_COMBINATIONS = 1000;

/** One set of limits that requests have matched; its successors add one limit with a higher index. */
class Combination<Limit> {
  readonly limits: readonly Limit[];
  readonly #next = new Map<number, Combination<Limit>>();

  constructor(limits: readonly Limit[]) {
    this.limits = limits;
  }

  next(index: number): Combination<Limit> | undefined {
    return this.#next.get(index);
  }

  extend(index: number, limit: Limit): Combination<Limit> {
    const next = new Combination([...this.limits, limit]);
    this.#next.set(index, next);
    return next;
  }
}

/** Finds every limit of a list that matches. Synchronous and not re-entrant. */
class LimitGroup<Limit> implements PathVisitor<Claim[]> {
  readonly #tree: PathTree<Claim[]>;
  readonly #limits: Limit[] = [];
  readonly #matched: boolean[] = [];
  #none = new Combination<Limit>([]);
  #combinations = 0;
  #unconditional = true;
  #host = '';
  #method = '';

  constructor(matching: PathMatching) {
    this.#tree = new PathTree(matching);
  }

  add(limit: Limit, { hosts, patterns }: ParsedMatch, methods: readonly string[]): void {
    const index = this.#limits.push(limit) - 1;
    this.#matched.push(false);
    for (const pattern of patterns) this.#tree.leafFor(pattern, () => []).push({ index, hosts, methods });
    const everyPath = patterns.some((pattern) => pattern.rest && pattern.segments.length === 0);
    this.#unconditional &&= everyPath && hosts.length === 0 && methods.length === 0;
  }

  find(host: string, path: NormalizedPath, method: string): readonly Limit[] {
    if (this.#unconditional) return this.#limits;
    this.#host = host;
    this.#method = method;
    this.#matched.fill(false);
    this.#tree.walk(path, this);
    if (this.#combinations > MAX_COMBINATIONS) {
      this.#none = new Combination([]);
      this.#combinations = 0;
    }
    let combination = this.#none;
    for (let index = 0; index < this.#limits.length; index++) {
      if (!this.#matched[index]) continue;
      const next = combination.next(index);
      if (next === undefined) this.#combinations++;
      combination = next ?? combination.extend(index, this.#limits[index]!);
    }
    return combination.limits;
  }

  visit(claims: Claim[]): boolean {
    for (const claim of claims) {
      if (matchesMethod(claim.methods, this.#method) && matchesAnyHost(claim.hosts, this.#host)) {
        this.#matched[claim.index] = true;
      }
    }
    return false;
  }
}

function matchesMethod(methods: readonly string[], method: string): boolean {
  return methods.length === 0 || methods.includes(method) || (method === 'HEAD' && methods.includes('GET'));
}

function matchesAnyHost(hosts: readonly HostPattern[], host: string): boolean {
  if (hosts.length === 0) return true;
  for (const pattern of hosts) if (matchesHost(pattern, host)) return true;
  return false;
}
