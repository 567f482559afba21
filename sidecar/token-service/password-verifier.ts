import { Worker } from 'node:worker_threads';
import type { BcryptTask } from './bcrypt-worker.ts';
import { bcryptWorkerUrl } from './bcrypt-worker-url.ts';
import type { PasswordVerifier } from './ports.ts';

/** Logins that may wait when nothing else is said: at most some seconds of work. */
const DEFAULT_MAX_WAITING = 16;
const HEAP_MB = 16;

/** Settings of a password verifier. */
export interface PasswordVerifierOptions {
  /** Comparisons that may wait for the one under way; what comes on top is `overloaded`. Default 16. */
  readonly maxWaiting?: number;
}

/**
 * Computes bcrypt in one thread of its own, started by the first login, at a lower priority than the one that serves requests. Should the
 * thread fail, what waits is `overloaded` and the next login starts another.
 */
export function createPasswordVerifier(options: PasswordVerifierOptions = {}): PasswordVerifier {
  const maxPending = 1 + (options.maxWaiting ?? DEFAULT_MAX_WAITING);
  /** In the order in which the thread answers. */
  let pending: ((verdict: boolean | 'overloaded') => void)[] = [];
  let worker: Worker | null = null;

  function start(): Worker {
    // Neither environment nor flags of the process are its business.
    const limits = { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: HEAP_MB };
    const started = new Worker(bcryptWorkerUrl(), { env: {}, execArgv: [], resourceLimits: limits });
    started.on('message', (matches: boolean) => {
      pending.shift()?.(matches);
      if (pending.length === 0) started.unref();
    });
    // An error is followed by the exit.
    started.on('error', () => {});
    started.on('exit', () => {
      if (worker === started) worker = null;
      const unanswered = pending;
      pending = [];
      for (const answer of unanswered) answer('overloaded');
    });
    return started;
  }

  return {
    verify(password, hashes) {
      if (pending.length >= maxPending) return Promise.resolve('overloaded');
      worker ??= start();
      worker.ref();
      worker.postMessage({ password, hashes } satisfies BcryptTask);
      return new Promise((resolve) => pending.push(resolve));
    },
    async close() {
      await worker?.terminate();
    },
  };
}
