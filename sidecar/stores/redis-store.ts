import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { FallbackLimiter } from './fallback-limiter.ts';
import type { Admission, Demand, LimiterStore, LimitPlan, Quota } from './limiter-store.ts';
import { consumeScript, type ScriptClock } from './lua/consume-script.ts';
import { causeOf, type OnStateChange, RedisConnection } from './redis-connection.ts';
import { RememberedDenials } from './remembered-denials.ts';

const DEFAULT_TIMEOUT_MS = 20;
const COUNTERS_LOST = -1;
const NUMBERS_PER_QUOTA = 3;

/** Settings of a RedisStore. */
export interface RedisStoreOptions {
  /** `redis://` or `rediss://` URL, credentials included. */
  readonly redisUrl: string;
  /** Processes with the same group share counters: the namespace/name of the policy. */
  readonly group: string;
  /** Name of this process among the replicas; unique. */
  readonly replica: string;
  /** The most that a call may add to a request; default 20. */
  readonly timeoutMs?: number;
  readonly onStateChange?: OnStateChange;
  /** `caller` counts by the `now` of consume(), for tests; default `server`. */
  readonly clock?: ScriptClock;
}

/**
 * Counts in Redis, shared by all processes of a group: one EVALSHA a request, by Redis's clock. A counter that denied is
 * not asked again before its `retryAfterMs`. While Redis does not answer, and for one window after it lost its counters,
 * `onStoreFailure` decides.
 */
export class RedisStore implements LimiterStore {
  /** What else is kept in this Redis may use it too. */
  readonly connection: RedisConnection;
  readonly #fallback = new FallbackLimiter();
  readonly #denials = new RememberedDenials();
  readonly #script: string;
  readonly #sha: string;
  readonly #keyPrefix: string;
  readonly #callerClock: boolean;
  readonly #timeoutMs: number;
  #epochChanges = 0;
  #lostAt: number | null = null;

  constructor(options: RedisStoreOptions) {
    const clock = options.clock ?? 'server';
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#callerClock = clock === 'caller';
    this.#script = consumeScript(clock);
    this.#sha = createHash('sha1').update(this.#script).digest('hex');
    // All keys of a group carry one hash tag: in a Redis Cluster one script can reach only one slot.
    this.#keyPrefix = `portcullis:{${options.group}}:`;
    this.connection = new RedisConnection({
      redisUrl: options.redisUrl,
      replica: options.replica,
      epochKey: `${this.#keyPrefix}epoch`,
      replicasKey: `${this.#keyPrefix}replicas`,
      timeoutMs: this.#timeoutMs,
      onStateChange: options.onStateChange ?? (() => {}),
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
    if (this.connection.state === 'available') return this.#ask(demands, now);
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
    return new Promise((resolve) => {
      const args = this.#arguments(demands, now);
      const settle = (error: Error | null | undefined, reply: unknown): void => {
        resolve(this.#decide(demands, now, error, reply));
      };
      this.connection.call('evalsha', [this.#sha, ...args], (error, reply) => {
        if (error?.message.startsWith('NOSCRIPT') === true && this.available) {
          this.connection.call('eval', [this.#script, ...args], settle);
        } else {
          settle(error, reply);
        }
      });
    });
  }

  #decide(demands: readonly Demand[], now: number, error: Error | null | undefined, reply: unknown): Admission {
    if (isNumbers(reply) && reply.length === 1 + demands.length * NUMBERS_PER_QUOTA) {
      return this.#admission(demands, now, reply);
    }
    if (error instanceof Error) this.connection.fail(causeOf(error));
    else if (isNumbers(reply) && reply[0] === COUNTERS_LOST) this.connection.fail('counters lost');
    return this.#fallback.consume(demands, now, this.replicas);
  }

  #admission(demands: readonly Demand[], now: number, reply: readonly number[]): Admission {
    const admitted = reply[0] === 1;
    const quotas: Quota[] = [];
    for (let at = 1; at < reply.length; at += NUMBERS_PER_QUOTA) {
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

  #arguments(demands: readonly Demand[], now: number): (string | number)[] {
    const args: (string | number)[] = [demands.length + 1, `${this.#keyPrefix}epoch`];
    for (const { plan, key } of demands) args.push(`${this.#keyPrefix}${plan.algorithm}:${plan.windowMs}:${key}`);
    args.push(this.connection.epoch);
    for (const { plan } of demands) args.push(plan.algorithm, plan.limit, plan.windowMs, plan.burst);
    if (this.#callerClock) args.push(now);
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
