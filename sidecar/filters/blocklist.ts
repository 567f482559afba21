import type { LimitsBundle } from '../../policy/bundle/types.ts';
import type { LimitPlan } from '../../policy/evaluate/limit-plan.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { type Decision, type Denial, denial, type Filter } from '../pipeline/filter.ts';
import type { Block, BlockStore } from '../stores/blocks.ts';
import type { Admission, LimiterStore } from '../stores/limiter-store.ts';
import { byAddress, loginSubject, ownParts, type SubjectOf, subjectOf } from '../threats/subjects.ts';

/** The `reason` of a throttle's denials and its name in the RateLimit headers; no limit's name has a colon. */
export const THROTTLED = 'threats:abuse';

/** What the block layers of one RateLimitPolicy work with. */
export interface BlocklistOptions {
  readonly bundle: LimitsBundle;
  readonly blocks: BlockStore;
  readonly limiter: LimiterStore;
}

/** The layers that carry out measures; null where the policy has none that they could carry out. */
export interface BlockLayers {
  /** Before authentication. */
  readonly byAddress: Filter | null;
  /** After authentication: users, tenants, anonymous clients of an address, and names that are logged in under. */
  readonly bySubject: Filter | null;
  /** After the limits: who was slowed down. A Reserved lane passes it. */
  readonly throttle: Filter | null;
}

/** Builds the layers. All look-ups are in memory; only a throttled client's request is counted in the store. */
export function blockLayers({ bundle, blocks, limiter }: BlocklistOptions): BlockLayers {
  const { namespace, name, mode, limits, penalties, threats = {} } = bundle;
  const shadow = mode === 'Shadow';
  const punished = penalties === undefined ? [] : limits.map(({ key }) => subjectOf(key));
  const subjects = uniqueSubjects(bundle, punished);
  const addresses =
    punished.includes(byAddress) || threats.scanning !== undefined || threats.bruteForce?.keys.includes('ip') === true;
  const names = threats.bruteForce?.keys.includes('user') === true;

  /** Not in the way of whoever has logged in from there before: else anybody could lock anybody out. */
  const guard = async (user: string, exchange: Exchange): Promise<Denial | undefined> => {
    const block = blocks.any ? blocks.find('Block', loginSubject(user), exchange.receivedAt) : undefined;
    if (block === undefined) return undefined;
    if (await blocks.hasLoggedIn(loginSubject(user), exchange.addressKey, exchange.receivedAt)) return undefined;
    const denied = blocked(block, exchange);
    if (!shadow) return denied;
    exchange.shadowDenials ??= [];
    exchange.shadowDenials.push(denied);
    return undefined;
  };

  const bySubject = (exchange: Exchange): Decision => {
    if (names) exchange.loginGuard = guard;
    if (!blocks.any) return undefined;
    for (const subject of subjects) {
      const block = blocks.find('Block', subject(exchange), exchange.receivedAt);
      if (block !== undefined) return blocked(block, exchange);
    }
    return undefined;
  };

  return {
    byAddress: addresses
      ? {
          name: 'blocklist',
          shadow,
          onRequest: (exchange) => {
            if (!blocks.any) return undefined;
            const block = blocks.find('Block', byAddress(exchange), exchange.receivedAt);
            return block === undefined ? undefined : blocked(block, exchange);
          },
        }
      : null,
    bySubject: names || subjects.length > 0 ? { name: 'blocklist-by-subject', shadow, onRequest: bySubject } : null,
    throttle:
      threats.abuse === undefined ? null : throttle(`${namespace}/${name}`, threats.abuse, shadow, blocks, limiter),
  };
}

type Abuse = NonNullable<NonNullable<LimitsBundle['threats']>['abuse']>;

function throttle(
  policy: string,
  { key, throttle: rate }: Abuse,
  shadow: boolean,
  blocks: BlockStore,
  limiter: LimiterStore,
): Filter {
  const subject = subjectOf([key]) ?? byAddress;
  const plan: LimitPlan = {
    name: THROTTLED,
    algorithm: 'SlidingWindow',
    ...rate,
    burst: 0,
    onStoreFailure: 'LocalShare',
  };
  return {
    name: 'throttle',
    shadow,
    onRequest: (exchange) => {
      if (!blocks.any || exchange.reservedLane) return undefined;
      const slowed = blocks.find('Throttle', subject(exchange), exchange.receivedAt);
      if (slowed === undefined) return undefined;
      const demands = [{ plan, key: `${policy}/${THROTTLED}/${slowed.subject}` }];
      const settle = (admission: Admission): Decision => {
        if (!shadow) {
          exchange.demands = [...(exchange.demands ?? []), ...demands];
          exchange.quotas = [...(exchange.quotas ?? []), ...admission.quotas];
        }
        return admission.admitted ? undefined : denial('rate_limited', 'limit', THROTTLED);
      };
      const admission = limiter.consume(demands, exchange.receivedAt);
      return admission instanceof Promise ? admission.then(settle) : settle(admission);
    },
  };
}

/** One look-up for each kind of subject that can be blocked after authentication. */
function uniqueSubjects({ limits }: LimitsBundle, punished: readonly (SubjectOf | null)[]): readonly SubjectOf[] {
  const byKey = new Map<string, SubjectOf>();
  for (const [index, subject] of punished.entries()) {
    if (subject !== null && subject !== byAddress) byKey.set(String(ownParts(limits[index]?.key ?? [])), subject);
  }
  return [...byKey.values()];
}

function blocked({ subject, reason, until }: Block, { receivedAt }: Exchange): Denial {
  const seconds = Math.max(1, Math.ceil((until - receivedAt) / 1000));
  return denial('blocked', 'blocklist', `${reason}: ${subject}`, ['retry-after', String(seconds)]);
}
