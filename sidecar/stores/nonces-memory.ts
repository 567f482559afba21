import { type NonceStore, type NonceUse, type NonceVerdict, nonceLifetimeMs } from './nonces.ts';

const DEFAULT_MAX_NONCES = 200_000;

/**
 * Nonces in the memory of this process, at most `max` (default 200,000); when it is full a new one is `unknown`: none is forgotten
 * early. Another process, or this one after a restart, knows nothing of them.
 */
export class MemoryNonces implements NonceStore {
  readonly #max: number;
  /** When each may be forgotten; in the order of their use, which with one tolerance is that of their ends. */
  readonly #ends = new Map<string, number>();

  constructor(max = DEFAULT_MAX_NONCES) {
    this.#max = max;
  }

  use(nonce: NonceUse, now: number): NonceVerdict {
    for (const [key, end] of this.#ends) {
      if (end > now) break;
      this.#ends.delete(key);
    }
    const key = `${nonce.client}:${nonce.nonce}`;
    if ((this.#ends.get(key) ?? 0) > now) return 'used';
    if (this.#ends.size >= this.#max) return 'unknown';
    this.#ends.set(key, now + nonceLifetimeMs(nonce));
    return 'new';
  }
}
