import {
  MAX_LINKS,
  type RefreshSession,
  type RefreshTokenStore,
  type Rotation,
  type Successor,
} from './refresh-tokens.ts';

const DEFAULT_MAX_FAMILIES = 100_000;

interface Link {
  readonly hash: string;
  readonly salt: string;
  readonly replacedAt: number;
}

interface Family {
  readonly session: RefreshSession;
  readonly expiresAt: number;
  liveHash: string;
  /** Oldest first. */
  links: readonly Link[];
}

/**
 * Families in the memory of this process. Above `maxFamilies` (default 100,000) the oldest login is forgotten, which costs its
 * user a login and nothing else.
 */
export class MemoryRefreshTokens implements RefreshTokenStore {
  readonly #maxFamilies: number;
  /** In the order of their logins. */
  readonly #families = new Map<string, Family>();

  constructor(maxFamilies = DEFAULT_MAX_FAMILIES) {
    this.#maxFamilies = maxFamilies;
  }

  /** Families held now. */
  get size(): number {
    return this.#families.size;
  }

  async begin(
    family: string,
    hash: string,
    session: RefreshSession,
    lifetimeMs: number,
    now: number,
  ): Promise<boolean> {
    for (const [oldest, { expiresAt }] of this.#families) {
      if (expiresAt > now && this.#families.size < this.#maxFamilies) break;
      this.#families.delete(oldest);
    }
    this.#families.set(family, { session, expiresAt: now + lifetimeMs, liveHash: hash, links: [] });
    return true;
  }

  async rotate(
    id: string,
    hash: string,
    { salt, hash: nextHash }: Successor,
    graceMs: number,
    now: number,
  ): Promise<Rotation> {
    const family = this.#families.get(id);
    if (family === undefined || now >= family.expiresAt) return { kind: 'Unknown' };
    const { session, expiresAt } = family;
    const links = family.links.filter(({ replacedAt }) => now - replacedAt < graceMs);
    if (family.liveHash === hash) {
      links.push({ hash, salt, replacedAt: now });
      family.liveHash = nextHash;
    }
    family.links = links.slice(-MAX_LINKS);
    const from = family.links.findIndex((link) => link.hash === hash);
    if (from === -1) {
      this.#families.delete(id);
      return { kind: 'Reused', session };
    }
    const salts = family.links.slice(from).map((link) => link.salt);
    return { kind: 'Rotated', session, salts, expiresInMs: expiresAt - now };
  }

  async count(now: number): Promise<number> {
    let living = 0;
    for (const { expiresAt } of this.#families.values()) if (expiresAt > now) living++;
    return living;
  }

  async revoke(family: string): Promise<boolean> {
    this.#families.delete(family);
    return true;
  }
}
