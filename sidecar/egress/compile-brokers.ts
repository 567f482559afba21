import type { EgressAllow, EgressConfig } from '../../policy/bundle/egress.ts';
import type { LimitsBundle } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { DEFAULT_PATH_MATCHING, type NormalizedPath } from '../../policy/evaluate/normalize-path.ts';
import { valueOrThrow } from '../../policy/evaluate/parse-result.ts';
import { parsePattern } from '../../policy/evaluate/path-pattern.ts';
import { PathTree } from '../../policy/evaluate/path-tree.ts';
import { type Denial, denial } from '../pipeline/filter.ts';
import type { Demand, LimiterStore } from '../stores/limiter-store.ts';
import type { BrokerTarget } from './broker-connections.ts';

/** One broker as requests need it. */
export interface CompiledBroker {
  readonly name: string;
  /** Host header. */
  readonly authority: string;
  readonly target: BrokerTarget;
  /** Whether the policy lets a request through; its path is the one behind the broker's name. */
  allows(method: string, path: NormalizedPath): boolean;
  /** What each try is counted by; null: it is not. */
  readonly demand: Demand | null;
  readonly waitMs: number;
  readonly retry: EgressConfig['retry'];
  readonly circuitBreaker: EgressConfig['circuitBreaker'];
  readonly credential: { readonly header: string; readonly line: string } | null;
  readonly notAllowed: Denial;
  readonly overRate: Denial;
  readonly circuitOpen: Denial;
}

/** The brokers of a policy, and what their requests are decided by. */
export interface CompiledEgress {
  readonly byName: ReadonlyMap<string, CompiledBroker>;
  readonly limiter: LimiterStore;
  readonly shadow: boolean;
}

/** Compiles the egress of a limits bundle; null: it has none. Throws PortcullisError `bundle_invalid`. */
export function compileEgress(limits: LimitsBundle | null, limiter: LimiterStore): CompiledEgress | null {
  if (limits?.egress === undefined) return null;
  return { byName: compileBrokers(limits), limiter, shadow: limits.mode === 'Shadow' };
}

/** Compiles its brokers, by name. Throws as `compileEgress`. */
export function compileBrokers(limits: LimitsBundle): CompiledEgress['byName'] {
  return new Map(limits.egress?.map((config) => [config.name, compileBroker(config, limits)]));
}

function compileBroker(config: EgressConfig, { namespace, name: policy }: LimitsBundle): CompiledBroker {
  const { name, origin, ca, allowPrivateAddresses, rate, waitMs, retry, credential } = config;
  const owner = `egress "${name}"`;
  const url = URL.parse(origin);
  if (url?.protocol !== 'https:' || url.origin !== origin) {
    throw new PortcullisError('bundle_invalid', `${owner}: ${JSON.stringify(origin)} is no https origin`);
  }
  if (credential !== null && /[^\t\x20-\x7e]/.test(credential.header + credential.value)) {
    throw new PortcullisError('bundle_invalid', `${owner}: the credential is not the value of a header`);
  }
  return {
    name,
    authority: url.host,
    target: { origin, ca, allowPrivateAddresses },
    allows: compileAllow(config.allow, owner),
    demand:
      rate === null
        ? null
        : {
            plan: {
              name,
              algorithm: rate.burst === 0 ? 'SlidingWindow' : 'TokenBucket',
              ...rate,
              onStoreFailure: 'LocalShare',
            },
            // No limit has a `~` in its name.
            key: `${namespace}/${policy}/~egress/${name}`,
          },
    waitMs,
    retry,
    circuitBreaker: config.circuitBreaker,
    credential:
      credential === null ? null : { header: credential.header, line: `${credential.header}: ${credential.value}\r\n` },
    notAllowed: denial('egress_not_allowed', 'egress', name),
    overRate: denial('rate_limited', 'egress', name),
    circuitOpen: denial('egress_circuit_open', 'egress', name),
  };
}

function compileAllow(allow: readonly EgressAllow[], owner: string): CompiledBroker['allows'] {
  const tree = new PathTree<(readonly string[])[]>(DEFAULT_PATH_MATCHING);
  for (const { methods, paths } of allow) {
    for (const path of paths) tree.leafFor(valueOrThrow(parsePattern(path), owner), () => []).push(methods);
  }
  let wanted = '';
  let found = false;
  const visitor = {
    visit(leaf: readonly (readonly string[])[]): boolean {
      found ||= leaf.some(
        (methods) => methods.length === 0 || methods.includes(wanted) || (wanted === 'HEAD' && methods.includes('GET')),
      );
      return found;
    },
  };
  return (method, path) => {
    wanted = method;
    found = false;
    tree.walk(path, visitor);
    return found;
  };
}
