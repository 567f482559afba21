import type { Logger } from 'pino';
import type { AccessBundle, LimitsBundle } from '../policy/bundle/types.ts';
import { resolveConnection } from '../policy/evaluate/connection.ts';
import { openStores, type Stores } from './stores/open-stores.ts';

const CLOSE_OLD_STORES_MS = 5_000;
/** Where the policy does not say: what writes revocations opens their store, too. */
const MAX_STALENESS_MS = 1_000;

/** The stores of one sidecar: opened by what its policies say, kept for as long as they say the same. */
export class HeldStores {
  readonly #log: Logger;
  readonly #replica: string;
  #stores: Stores | null = null;
  #settings = '';

  /** `replica`: name of this process among those that share a store. */
  constructor(log: Logger, replica: string) {
    this.#log = log;
    this.#replica = replica;
  }

  /** Those in use; null: no policy is in force yet. */
  get current(): Stores | null {
    return this.#stores;
  }

  get available(): boolean {
    return this.#stores?.limiter.available ?? true;
  }

  /**
   * Opens the stores of these policies, unless they are open, and has `build` make something of them; only when it returns, they are
   * kept and the old ones closed. Rejects with what `openStores` or `build` throws.
   */
  async with<T>(access: AccessBundle, limits: LimitsBundle | null, build: (stores: Stores) => T): Promise<T> {
    const { store: config } = resolveConnection(access, limits);
    const idOf = ({ namespace, name }: AccessBundle | LimitsBundle) => `${namespace}/${name}`;
    const groups = { access: idOf(access), limits: idOf(limits ?? access) };
    const maxStalenessMs = access.revocation?.maxStalenessMs ?? MAX_STALENESS_MS;
    const settings = JSON.stringify([config, groups, config && maxStalenessMs]);
    const stores =
      this.#stores !== null && settings === this.#settings
        ? this.#stores
        : await openStores(config, {
            groups,
            replica: this.#replica,
            maxStalenessMs,
            onStateChange: (available, cause) => {
              if (available) this.#log.info({ reason: cause }, 'store answers');
              else this.#log.warn({ reason: cause }, 'store does not answer, onStoreFailure decides');
            },
            now: Date.now,
          });
    let built: T;
    try {
      built = build(stores);
    } catch (error) {
      if (stores !== this.#stores) void stores.close();
      throw error;
    }
    const old = this.#stores;
    this.#settings = settings;
    this.#stores = stores;
    if (old !== null && old !== stores) setTimeout(() => void old.close(), CLOSE_OLD_STORES_MS).unref();
    return built;
  }

  async close(): Promise<void> {
    await this.#stores?.close();
  }
}
