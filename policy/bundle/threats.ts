import { type Check, count, list, name, object, oneOf, someOf } from './check.ts';
import type { Rate } from './types.ts';

/** Measures against whoever goes on after a limit has refused; see `OffenceRule`. */
export interface PenaltiesConfig {
  readonly after: number;
  readonly withinMs: number;
  readonly blockMs: number;
  readonly multiplier: number;
  readonly maxMs: number;
}

/** What attacks are told by, and what is done. */
export interface ThreatsConfig {
  readonly bruteForce?: {
    readonly failures: number;
    readonly withinMs: number;
    readonly keys: readonly ('ip' | 'user')[];
    readonly blockMs: number;
    /** Where the application does log-ins itself: patterns of paths, POST only. */
    readonly paths: readonly string[];
  };
  readonly abuse?: {
    readonly requests: number;
    readonly withinMs: number;
    readonly key: 'ip' | 'user' | 'tenant';
    readonly throttle: Rate;
    readonly forMs: number;
  };
  readonly scanning?: {
    readonly statuses: readonly number[];
    readonly count: number;
    readonly withinMs: number;
    readonly blockMs: number;
  };
  readonly exfiltration?: {
    readonly bytes: number;
    readonly withinMs: number;
    readonly key: 'ip' | 'user' | 'tenant';
  };
}

const subject = oneOf('ip', 'user', 'tenant');

/** Checks `penalties`, member for member. */
export const penalties: Check<PenaltiesConfig> = object<PenaltiesConfig>({
  after: count(1),
  withinMs: count(1),
  blockMs: count(1),
  multiplier: count(1),
  maxMs: count(1),
});

/** Checks `threats`, member for member. */
export const threats: Check<ThreatsConfig> = object<ThreatsConfig>(
  {
    bruteForce: object<NonNullable<ThreatsConfig['bruteForce']>>({
      failures: count(1),
      withinMs: count(1),
      keys: someOf(oneOf('ip', 'user')),
      blockMs: count(1),
      paths: list(name),
    }),
    abuse: object<NonNullable<ThreatsConfig['abuse']>>({
      requests: count(1),
      withinMs: count(1),
      key: subject,
      throttle: object<Rate>({ limit: count(1), windowMs: count(1) }),
      forMs: count(1),
    }),
    scanning: object<NonNullable<ThreatsConfig['scanning']>>({
      statuses: someOf(count(400)),
      count: count(1),
      withinMs: count(1),
      blockMs: count(1),
    }),
    exfiltration: object<NonNullable<ThreatsConfig['exfiltration']>>({
      bytes: count(1),
      withinMs: count(1),
      key: subject,
    }),
  },
  ['bruteForce', 'abuse', 'scanning', 'exfiltration'],
);
