import type { JwksConfig, JwtAuthenticator, VerificationKey } from '../../policy/bundle/types.ts';
import { parseJwkSet } from './parse-jwk-set.ts';

/** What became of one fetch. */
export type JwksOutcome =
  | { readonly config: JwksConfig; readonly keys: readonly string[]; readonly skipped: readonly string[] }
  | { readonly config: JwksConfig; readonly error: unknown };

/** What fetching keys needs of the world. */
export interface ExternalJwksPorts {
  /** The document at the URI. */
  readonly fetch: (config: JwksConfig) => Promise<Uint8Array>;
  /** Milliseconds of a clock that nobody sets. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Calls once after so many milliseconds; returns what takes it back. */
  readonly after: (ms: number, run: () => void) => () => void;
  readonly report: (outcome: JwksOutcome) => void;
}

/** Between two fetches of one URI, whoever asks for them. */
export const MIN_INTERVAL_MS = 10_000;
/** Of a `refresh` each fetch may come early, so that the pods of a deployment do not ask at once. */
const JITTER = 0.1;
/** After a failure the next attempt comes so much sooner. */
const RETRY = 0.1;
/** How many times `refresh` keys may be old under `onFailure: Deny`. */
const STALE = 2;

/**
 * The keys of issuers outside, by the JWKS URIs of the authenticators in use: fetched at once and every `refresh`, and when
 * somebody asks because of a key that is not known, one fetch at a time and none within 10 s of the last. The last good set is
 * kept; under Deny until it is twice `refresh` old.
 */
export class ExternalJwks {
  readonly #ports: ExternalJwksPorts;
  readonly #sources = new Map<string, JwksSource>();
  #version = 0;

  constructor(ports: ExternalJwksPorts) {
    this.#ports = ports;
  }

  /** Another number whenever the keys of some issuer have changed. */
  get version(): number {
    return this.#version;
  }

  /** Seconds since the last good fetch by URI, the oldest where there are several; Infinity: there was none. */
  ages(): ReadonlyMap<string, number> {
    const ages = new Map<string, number>();
    for (const { config, ageMs } of this.#sources.values()) {
      ages.set(config.uri, Math.max(ages.get(config.uri) ?? 0, ageMs / 1_000));
    }
    return ages;
  }

  /** Issuers whose keys could not be had: for twice `refresh`, or ever. Seconds since the last good fetch by URI; null: there was none. */
  stale(): ReadonlyMap<string, number | null> {
    const stale = new Map<string, number | null>();
    for (const source of this.#sources.values()) {
      if (!source.isStale) continue;
      stale.set(source.config.uri, source.ageMs === Number.POSITIVE_INFINITY ? null : Math.floor(source.ageMs / 1_000));
    }
    return stale;
  }

  /** Begins to fetch what `authenticators` need, besides what is fetched already. */
  open(authenticators: readonly JwtAuthenticator[]): void {
    for (const { jwks } of authenticators) {
      if (jwks === undefined || this.#sources.has(idOf(jwks))) continue;
      const same = [...this.#sources.values()].find(({ config }) => placeOf(config) === placeOf(jwks));
      this.#sources.set(idOf(jwks), new JwksSource(jwks, this.#ports, () => this.#version++, same));
    }
  }

  /** Fetches no more what `authenticators` do not need. */
  keepOnly(authenticators: readonly JwtAuthenticator[]): void {
    const needed = new Set(authenticators.map(({ jwks }) => jwks && idOf(jwks)));
    for (const [id, source] of this.#sources) {
      if (needed.has(id)) continue;
      source.stop();
      this.#sources.delete(id);
    }
  }

  /** The keys at a URI; null: none ever came, or they are too old. */
  keysOf(config: JwksConfig): readonly VerificationKey[] | null {
    return this.#sources.get(idOf(config))?.keys ?? null;
  }

  /** Resolves when a fetch that is under way, or begins by this, has ended, well or not; null: it is too early for another. */
  refetch(config: JwksConfig): Promise<void> | null {
    return this.#sources.get(idOf(config))?.refetch() ?? null;
  }
}

/** What is fetched from one URI for one way of using it. */
class JwksSource {
  readonly config: JwksConfig;
  readonly #ports: ExternalJwksPorts;
  readonly #changed: () => void;
  #document: Uint8Array | null = null;
  #keys: readonly VerificationKey[] | null = null;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #underWay: Promise<void> | null = null;
  #cancelNext = (): void => {};
  #cancelExpiry = (): void => {};
  #expired = false;
  /** Whether the last fetch that ended brought nothing. */
  #failed = false;
  #stopped = false;

  constructor(config: JwksConfig, ports: ExternalJwksPorts, changed: () => void, same: JwksSource | undefined) {
    this.config = config;
    this.#ports = ports;
    this.#changed = changed;
    if (same !== undefined && same.#document !== null) {
      try {
        this.#accept(same.#document, same.#fetchedAt);
      } catch {
        // Nothing in it is for these algorithms; the fetch says so.
      }
    }
    void this.refetch();
  }

  get ageMs(): number {
    return this.#ports.now() - this.#fetchedAt;
  }

  get isStale(): boolean {
    return this.#failed && (this.#keys === null || this.ageMs > STALE * this.config.refreshMs);
  }

  get keys(): readonly VerificationKey[] | null {
    return this.#expired ? null : this.#keys;
  }

  refetch(): Promise<void> | null {
    if (this.#underWay !== null) return this.#underWay;
    if (this.#stopped || this.#ports.now() - this.#triedAt < MIN_INTERVAL_MS) return null;
    return this.#begin();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelNext();
    this.#cancelExpiry();
  }

  #begin(): Promise<void> {
    this.#cancelNext();
    this.#triedAt = this.#ports.now();
    this.#underWay = this.#fetch().finally(() => {
      this.#underWay = null;
    });
    return this.#underWay;
  }

  async #fetch(): Promise<void> {
    const { config } = this;
    const { fetch, now, random, report } = this.#ports;
    let nextMs = config.refreshMs;
    try {
      const document = await fetch(config);
      if (this.#stopped) return;
      const skipped = this.#accept(document, now());
      this.#failed = false;
      report({ config, keys: (this.#keys ?? []).map(({ kid }) => kid), skipped });
    } catch (error) {
      if (this.#stopped) return;
      this.#failed = true;
      nextMs = Math.max(MIN_INTERVAL_MS, config.refreshMs * RETRY);
      report({ config, error });
    }
    const early = nextMs > MIN_INTERVAL_MS ? nextMs * JITTER * random() : 0;
    this.#cancelNext = this.#ports.after(Math.max(MIN_INTERVAL_MS, nextMs - early), () => void this.#begin());
  }

  /** Throws `key_refused` and changes nothing when the document is of no use; returns why some of its keys are not used. */
  #accept(document: Uint8Array, fetchedAt: number): readonly string[] {
    const { keys, skipped } = parseJwkSet(document, this.config.algorithms);
    const before = JSON.stringify(this.keys);
    this.#document = document;
    this.#keys = keys;
    this.#fetchedAt = fetchedAt;
    this.#cancelExpiry();
    this.#expired = false;
    if (this.config.onFailure === 'Deny') {
      const leftMs = Math.max(0, STALE * this.config.refreshMs - this.ageMs);
      this.#cancelExpiry = this.#ports.after(leftMs, () => {
        this.#expired = true;
        this.#changed();
      });
    }
    if (before !== JSON.stringify(this.keys)) this.#changed();
    return skipped;
  }
}

function idOf(config: JwksConfig): string {
  return JSON.stringify(config);
}

/** What decides which document comes. */
function placeOf({ uri, ca, allowPrivateAddresses }: JwksConfig): string {
  return JSON.stringify([uri, ca, allowPrivateAddresses]);
}
