import { setTimeout } from 'node:timers/promises';
import { FallbackLimiter } from './fallback-limiter.ts';
import { Leases, type Wish } from './leases.ts';
import type { Admission, Demand, LimiterStore, LimitPlan, Quota } from './limiter-store.ts';
import { consumeScript, leaseScript, type ScriptClock } from './lua/consume-script.ts';
import { causeOf, type OnStateChange, RedisConnection } from './redis-connection.ts';
import { LuaScript } from './redis-script.ts';
import { RememberedDenials } from './remembered-denials.ts';

const DEFAULT_TIMEOUT_MS = 20;
const COUNTERS_LOST = -1;
const NUMBERS_PER_QUOTA = 3;

/** Settings of a RedisStore. */
export interface RedisStoreOptions {
  /** As `parseRedisUrl` takes it, credentials included. */
  readonly redisUrl: string;
  /** PEM: the only authorities that may vouch for a server; without: the public ones. */
  readonly ca?: string | undefined;
  /** Processes with the same group share counters: the namespace/name of the policy. */
  readonly group: string;
  /** Name of this process among the replicas; unique. */
  readonly replica: string;
  /** The most that a call may add to a request; default 20. */
  readonly timeoutMs?: number;
  readonly onStateChange?: OnStateChange;
  /** `caller` counts by `callerNow`, for tests; default `server`. */
  readonly clock?: ScriptClock;
  /** Default: the `now` of consume(). */
  readonly callerNow?: () => number;
  /** Milliseconds that no one sets; default performance.now(). */
  readonly monotonic?: () => number;
}

/**
 * Counts in Redis, shared by all processes of a group, by Redis's clock: one EVALSHA a request, or one for many where limits are
 * large enough to be leased (leases.ts). A counter that denied is not asked again before its `retryAfterMs`. While Redis does not
 * answer, and for one window after it lost its counters, `onStoreFailure` decides.
 */
export class RedisStore implements LimiterStore {
  /** What else is kept in this Redis may use it too. */
  readonly connection: RedisConnection;
  readonly #fallback = new FallbackLimiter();
  readonly #denials = new RememberedDenials();
  readonly #leases = new Leases();
  readonly #script: LuaScript;
  readonly #leaseScript: LuaScript;
  readonly #keyPrefix: string;
  readonly #callerNow: ((now: number) => number) | null;
  readonly #monotonic: () => number;
  readonly #timeoutMs: number;
  #epochChanges = 0;
  #lostAt: number | null = null;

  constructor(options: RedisStoreOptions) {
    const clock = options.clock ?? 'server';
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#callerNow = clock === 'caller' ? (options.callerNow ?? ((now) => now)) : null;
    this.#monotonic = options.monotonic ?? (() => performance.now());
    this.#script = new LuaScript(consumeScript(clock));
    this.#leaseScript = new LuaScript(leaseScript(clock));
    // All keys of a group carry one hash tag: in a Redis Cluster one script can reach only one slot.
    this.#keyPrefix = `portcullis:{${options.group}}:`;
    this.connection = new RedisConnection({
      redisUrl: options.redisUrl,
      ca: options.ca,
      replica: options.replica,
      epochKey: `${this.#keyPrefix}epoch`,
      replicasKey: `${this.#keyPrefix}replicas`,
      timeoutMs: this.#timeoutMs,
      onStateChange: (available, cause) => {
        this.#leases.clear();
        options.onStateChange?.(available, cause);
      },
    });
  }

  get available(): boolean {
    return this.connection.state === 'available';
  }

  get replicas(): number {
    return this.connection.replicas;
  }

  consume(demands: readonly Demand[], now: number): Admission | Promise<Admission> {
    const denial = this.#denials.recall(demands, now);
    if (denial !== undefined) return denial;
    if (this.connection.state === 'available') {
      return this.#leases.spend(demands, this.#monotonic()) ?? this.#ask(demands, now);
    }
    if (this.connection.state === 'opening') return this.#askOnceOpened(demands, now);
    return this.#fallback.consume(demands, now, this.replicas);
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  async #askOnceOpened(demands: readonly Demand[], now: number): Promise<Admission> {
    await Promise.race([this.connection.opened, setTimeout(this.#timeoutMs, undefined, { ref: false })]);
    return this.available ? this.#ask(demands, now) : this.#fallback.consume(demands, now, this.replicas);
  }

  #ask(demands: readonly Demand[], now: number): Admission | Promise<Admission> {
    if (this.#isRecovering(demands, now)) return this.#fallback.consume(demands, now, this.replicas);
    const sentAt = this.#monotonic();
    const wishes = this.#leases.wishes(demands, this.replicas, sentAt);
    const script = wishes === null ? this.#script : this.#leaseScript;
    return new Promise((resolve) => {
      script.call(this.connection, this.#arguments(demands, wishes, now), (error, reply) => {
        const admission = this.#decide(demands, now, error, reply);
        if (wishes !== null) {
          const leased = isNumbers(reply) ? reply.slice(1 + demands.length * NUMBERS_PER_QUOTA) : [];
          this.#leases.settle(demands, admission.degraded ? null : admission.quotas, leased, sentAt);
        }
        resolve(admission);
      });
    });
  }

  #decide(demands: readonly Demand[], now: number, error: Error | null | undefined, reply: unknown): Admission {
    if (isNumbers(reply) && reply.length >= 1 + demands.length * NUMBERS_PER_QUOTA) {
      return this.#admission(demands, now, reply);
    }
    if (error instanceof Error) this.connection.fail(causeOf(error));
    else if (isNumbers(reply) && reply[0] === COUNTERS_LOST) this.connection.fail('counters lost');
    return this.#fallback.consume(demands, now, this.replicas);
  }

  #admission(demands: readonly Demand[], now: number, reply: readonly number[]): Admission {
    const admitted = reply[0] === 1;
    const quotas: Quota[] = [];
    for (let at = 1; quotas.length < demands.length; at += NUMBERS_PER_QUOTA) {
      quotas.push({ remaining: reply[at]!, resetMs: reply[at + 1]!, retryAfterMs: reply[at + 2]! });
    }
    if (!admitted) this.#denials.remember(demands, quotas, now);
    return { admitted, quotas, degraded: false };
  }

  /** True while counters that Redis lost could still have denied one of the demands. */
  #isRecovering(demands: readonly Demand[], now: number): boolean {
    if (this.#epochChanges !== this.connection.epochChanges) {
      this.#epochChanges = this.connection.epochChanges;
      this.#lostAt = now;
    }
    if (this.#lostAt === null) return false;
    const elapsed = now - this.#lostAt;
    return demands.some(({ plan }) => plan.onStoreFailure !== 'Allow' && elapsed < recoveryMs(plan));
  }

  #arguments(demands: readonly Demand[], wishes: readonly Wish[] | null, now: number): (string | number)[] {
    const args: (string | number)[] = [demands.length + 1, `${this.#keyPrefix}epoch`];
    for (const { plan, key } of demands) args.push(`${this.#keyPrefix}${plan.algorithm}:${plan.windowMs}:${key}`);
    args.push(this.connection.epoch);
    for (let i = 0; i < demands.length; i++) {
      const { algorithm, limit, windowMs, burst, cost = 1 } = demands[i]!.plan;
      args.push(algorithm, limit, windowMs, burst, cost);
      if (wishes !== null) args.push(wishes[i]!.units, wishes[i]!.forMs);
    }
    if (this.#callerNow !== null) args.push(this.#callerNow(now));
    return args;
  }
}

/** How long a full counter takes to be whole again. */
function recoveryMs(plan: LimitPlan): number {
  return plan.algorithm === 'TokenBucket' ? Math.ceil((plan.burst * plan.windowMs) / plan.limit) : plan.windowMs;
}

function isNumbers(reply: unknown): reply is number[] {
  return Array.isArray(reply) && reply.every((number) => typeof number === 'number');
}
