import type { Logger } from 'pino';
import { type Clock, pause, systemClock } from './clock.ts';
import { type KubeClient, KubeError } from './kube-client.ts';
import type { KubeMetrics } from './kube-metrics.ts';
import type { KubeObject, ObjectKey, ResourceType } from './objects.ts';

/** coordination.k8s.io/v1 Lease. */
export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    /** RFC 3339 with microseconds. */
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

/** Where Leases are. */
export const LEASES: ResourceType<Lease> = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};

/** What a candidate for leadership is told. */
export interface ElectionOptions {
  /** Best one of its own, with a time-out of half of `renewMs`: no renewal waits behind other requests, none hangs too long. */
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace'>;
  readonly lease: ObjectKey;
  /** Different for each process, also for one that starts again under the same pod name. */
  readonly identity: string;
  /** Called once. */
  readonly onLeading: () => void;
  /** Called once, when leadership was lost: the process must end, for others are about to lead. */
  readonly onLost: () => void;
  readonly log: Logger;
  readonly metrics: KubeMetrics;
  readonly clock?: Clock;
  /** From 0 up to 1. */
  readonly random?: () => number;
  readonly times?: ElectionTimes;
}

/** Times of an election: leaseMs > renewMs > retryMs. */
export interface ElectionTimes {
  /** So long after the last renewal that they saw, others take the Lease; whole seconds. */
  readonly leaseMs: number;
  /** So long after its last renewal a leader gives up. */
  readonly renewMs: number;
  readonly retryMs: number;
}

const TIMES: ElectionTimes = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2000 };
/** Candidates spread out, as in client-go. */
const JITTER = 1.2;

/**
 * A candidate for leadership by Lease, as client-go's leaderelection. Time is counted from what this process saw, never
 * from what other clocks wrote; a leader counts from before it sent a renewal and candidates from after they saw it, so
 * that the one has stopped `leaseMs - renewMs` before the next begins.
 */
export class LeaderElection {
  readonly #options: ElectionOptions;
  readonly #times: ElectionTimes;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  /** The Lease as last seen, and when this content was first seen. */
  #seen: { readonly lease: Lease; readonly spec: string; readonly at: number } | null = null;
  /** Leadership lasts until then; null: not leading. */
  #until: number | null = null;
  #cancelDeadline = (): void => {};

  constructor(options: ElectionOptions) {
    this.#options = options;
    this.#times = options.times ?? TIMES;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
  }

  start(): void {
    this.#options.metrics.leader.set({ name: this.#options.lease.name }, 0);
    this.#running = this.#run();
  }

  get leading(): boolean {
    return this.#until !== null && this.#clock.now() < this.#until;
  }

  /** Stops, and gives the Lease back where it is ours, for others to take at once: call it when all that a leader does has ended. */
  async release(): Promise<void> {
    this.#end();
    await this.#running;
    const lease = this.#seen?.lease;
    if (lease?.spec?.holderIdentity !== this.#options.identity) return;
    const { leaseTransitions = 0 } = lease.spec;
    // Whatever fails here, the Lease ends by itself.
    await this.#options.client.replace(LEASES, { ...lease, spec: { leaseTransitions } }).catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { retryMs } = this.#times;
    while (!this.#stop.signal.aborted) {
      await this.#attempt().catch((error: unknown) => this.#failed(error));
      const jitter = this.leading ? 0 : JITTER * this.#random();
      await pause(this.#clock, retryMs * (1 + jitter), this.#stop.signal);
    }
  }

  /** Takes or renews the Lease where it is ours to take. */
  async #attempt(): Promise<void> {
    const { client, lease: key } = this.#options;
    if (this.leading && this.#seen) {
      try {
        return await this.#hold(this.#seen.lease);
      } catch (error) {
        if (!isRace(error)) throw error;
        // Another wrote it, or an answer of ours was lost: look again at once.
      }
    }
    const lease = await client.get(LEASES, key);
    if (lease) this.#see(lease);
    if (this.#stop.signal.aborted) return;
    if (!this.#isTaken()) await this.#hold(lease);
    else if (this.leading) this.#lose('another holds the Lease');
  }

  /** Writes our name over `lease` as it was read; null: there is none. */
  async #hold(lease: Lease | null): Promise<void> {
    const { client, lease: metadata } = this.#options;
    const sentAt = this.#clock.now();
    const spec = this.#renewed(lease?.spec);
    const written = lease
      ? await client.replace(LEASES, { ...lease, spec })
      : await client.create(LEASES, { metadata, spec });
    this.#see(written);
    if (!this.#stop.signal.aborted) this.#lead(sentAt);
  }

  #see(lease: Lease): void {
    const spec = JSON.stringify(lease.spec);
    const at = spec === this.#seen?.spec ? this.#seen.at : this.#clock.now();
    this.#seen = { lease, spec, at };
  }

  /** Whether another may still lead: also when its Lease was deleted, or its name taken out by hand. One given back has no duration. */
  #isTaken(): boolean {
    if (!this.#seen) return false;
    const { holderIdentity, leaseDurationSeconds = 0 } = this.#seen.lease.spec ?? {};
    if (holderIdentity === this.#options.identity) return false;
    return this.#clock.now() < this.#seen.at + leaseDurationSeconds * 1000;
  }

  #renewed(before: Lease['spec']): NonNullable<Lease['spec']> {
    const { identity } = this.#options;
    const now = microTime(this.#clock.epoch());
    const same = before?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: this.#times.leaseMs / 1000,
      acquireTime: (same && before.acquireTime) || now,
      renewTime: now,
      leaseTransitions: (before?.leaseTransitions ?? 0) + (before && !same ? 1 : 0),
    };
  }

  #lead(sentAt: number): void {
    const until = sentAt + this.#times.renewMs;
    const left = until - this.#clock.now();
    if (left <= 0) return; // the answer came too late to lead on it
    const first = this.#until === null;
    this.#until = until;
    this.#cancelDeadline();
    this.#cancelDeadline = this.#clock.after(left, () => this.#lose('the Lease could not be renewed in time'));
    if (!first) return;
    const { lease, identity, log, metrics, onLeading } = this.#options;
    metrics.leader.set({ name: lease.name }, 1);
    log.info({ lease: lease.name, identity }, 'leading');
    onLeading();
  }

  #lose(reason: string): void {
    this.#end();
    const { lease, identity, log, onLost } = this.#options;
    log.error({ lease: lease.name, identity, reason }, 'leadership lost');
    onLost();
  }

  #end(): void {
    this.#stop.abort();
    this.#until = null;
    this.#cancelDeadline();
    this.#options.metrics.leader.set({ name: this.#options.lease.name }, 0);
  }

  #failed(error: unknown): void {
    const { lease, log } = this.#options;
    if (!isRace(error)) log.warn({ lease: lease.name, leading: this.leading, err: error }, 'Lease not reached');
  }
}

const RACES: readonly string[] = ['Conflict', 'AlreadyExists', 'NotFound'];

function isRace(error: unknown): boolean {
  return error instanceof KubeError && RACES.includes(error.reason);
}

/** Kubernetes' MicroTime: exactly six digits. */
function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000Z');
}
