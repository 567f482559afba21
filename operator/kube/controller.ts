import { setImmediate as breathe } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Clock, systemClock } from './clock.ts';
import { KubeError, type Reconcile } from './kube-client.ts';
import type { KubeMetrics } from './kube-metrics.ts';
import { WorkQueue } from './work-queue.ts';

/** What a controller is made of. */
export interface ControllerOptions {
  /** Label of its metrics and logs. */
  readonly name: string;
  readonly reconcile: Reconcile;
  /** Keys worked on at once, each by one worker; default 1. */
  readonly workers?: number;
  readonly log: Logger;
  readonly metrics: KubeMetrics;
  readonly clock?: Clock;
}

/** A controller that runs. */
export interface Controller {
  /** Has the key reconciled soon; `namespace/name`, or `name`. */
  enqueue(key: string): void;
  /** Begins nothing more; resolves when what runs has ended. */
  stop(): Promise<void>;
}

/**
 * Runs `reconcile` for keys: again as it asks for, after a wait that grows when it throws, soon and without noise when
 * another writer was first (409).
 */
export function startController(options: ControllerOptions): Controller {
  const { name, workers = 1, metrics, clock = systemClock } = options;
  const queue = new WorkQueue(name, metrics, clock);
  metrics.reconcileErrors.inc({ controller: name }, 0);
  const running = Array.from({ length: workers }, () => work(queue, options, clock));
  return {
    enqueue: (key) => queue.add(key),
    async stop() {
      queue.shut();
      await Promise.all(running);
    },
  };
}

async function work(queue: WorkQueue, options: ControllerOptions, clock: Clock): Promise<void> {
  for (let key = await queue.next(); key !== null; key = await queue.next()) {
    const { name: controller, metrics } = options;
    const begun = clock.now();
    const result = await reconcileOnce(queue, options, key);
    metrics.reconcileSeconds.observe({ controller }, (clock.now() - begun) / 1000);
    metrics.reconciles.inc({ controller, result });
    queue.done(key);
    // Reconciliations that wait for nothing must not keep webhooks waiting.
    await breathe();
  }
}

async function reconcileOnce(queue: WorkQueue, options: ControllerOptions, key: string): Promise<string> {
  const { name: controller, reconcile, log, metrics } = options;
  try {
    const { afterMs } = await reconcile(key);
    queue.forget(key);
    if (afterMs === null) return 'success';
    queue.addAfter(key, afterMs);
    return 'requeue_after';
  } catch (error) {
    const known = error instanceof KubeError ? error : undefined;
    const waitMs = queue.retry(key, known?.retryAfterMs ?? 0);
    if (known?.reason === 'Conflict') {
      log.debug({ controller, key, waitMs }, 'another writer was first');
      return 'requeue';
    }
    metrics.reconcileErrors.inc({ controller });
    log.error({ controller, key, waitMs, err: error }, 'reconciliation failed');
    return 'error';
  }
}
