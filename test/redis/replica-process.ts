import type { LimitPlan } from '../../sidecar/stores/limiter-store.ts';
import { RedisStore } from '../../sidecar/stores/redis-store.ts';

/** What the test tells a replica. */
export interface ReplicaTask {
  readonly redisUrl: string;
  readonly replica: string;
  readonly plan: LimitPlan;
  readonly forMs: number;
  readonly pauseMs: number;
}

/** What a replica tells the test: for each admission when it was asked and answered, in epoch milliseconds. */
export interface ReplicaReport {
  readonly admissions: readonly (readonly [number, number])[];
  readonly degraded: number;
}

const now = (): number => performance.timeOrigin + performance.now();

async function run({ redisUrl, replica, plan, forMs, pauseMs }: ReplicaTask): Promise<ReplicaReport> {
  const store = new RedisStore({ redisUrl, group: 'ns/policy', replica, timeoutMs: 5000 });
  const admissions: [number, number][] = [];
  let degraded = 0;
  const end = now() + forMs;
  while (now() < end) {
    const asked = now();
    const admission = await store.consume([{ plan, key: 'user:alice' }], Math.floor(asked));
    if (admission.degraded) degraded++;
    else if (admission.admitted) admissions.push([asked, now()]);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  await store.close();
  return { admissions, degraded };
}

process.once('message', async (task: ReplicaTask) => {
  process.send?.(await run(task));
  process.disconnect?.();
});
