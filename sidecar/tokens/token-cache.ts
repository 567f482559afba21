import type { VerifiedToken } from './token-verifier.ts';

/** How much a token cache may hold. */
export interface TokenCacheBounds {
  readonly maxEntries: number;
  /** Estimated heap bytes of tokens and claims. */
  readonly maxBytes: number;
}

/** A cached token and what eviction needs to know of it. */
interface Slot {
  readonly token: string;
  readonly verified: VerifiedToken;
  readonly bytes: number;
  /** Hit since the hand last passed. */
  used: boolean;
  /** Its place on the clock. */
  position: number;
}

/** Heap bytes of an entry with empty claims: slot, token object, its place in the map and on the clock. */
const ENTRY_BYTES = 400;

/**
 * Verified tokens by the whole token: equal strings, never digests. Bounded in entries and bytes; when full it forgets
 * by second chance (a clock: what was hit since the hand last passed stays one more round), so that tokens seen once
 * do not push out those in use. Expiry is the caller's check, on every hit.
 */
export class TokenCache {
  readonly #slots = new Map<string, Slot>();
  readonly #clock: Slot[] = [];
  readonly #bounds: TokenCacheBounds;
  #hand = 0;
  #bytes = 0;

  constructor(bounds: TokenCacheBounds) {
    this.#bounds = bounds;
  }

  /** Number of tokens held. */
  get size(): number {
    return this.#clock.length;
  }

  /** Estimated heap bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The token's entry, whatever the time is; allocates nothing. */
  get(token: string): VerifiedToken | undefined {
    const slot = this.#slots.get(token);
    if (slot === undefined) return undefined;
    slot.used = true;
    return slot.verified;
  }

  /**
   * Remembers a token, forgetting others while a bound is exceeded; one larger than the whole cache is not kept. `token`
   * must be a string of its own, not a slice that keeps the header around it alive.
   */
  set(token: string, verified: VerifiedToken): void {
    const bytes = ENTRY_BYTES + token.length + heapBytes(verified.claims);
    this.delete(token);
    this.#add(token, verified, bytes);
  }

  /** Remembers copies, without their identities, of those of another cache's entries that `keep` chooses. */
  copyFrom(other: TokenCache, keep: (verified: VerifiedToken) => boolean): void {
    for (const { token, verified, bytes } of other.#clock) {
      if (keep(verified)) this.#add(token, { ...verified, identity: null }, bytes);
    }
  }

  /** Forgets a token, if it is there. */
  delete(token: string): void {
    const slot = this.#slots.get(token);
    if (slot !== undefined) this.#remove(slot);
  }

  #add(token: string, verified: VerifiedToken, bytes: number): void {
    if (bytes > this.#bounds.maxBytes) return;
    while (this.#clock.length >= this.#bounds.maxEntries || this.#bytes + bytes > this.#bounds.maxBytes) {
      this.#evictOne();
    }
    const slot: Slot = { token, verified, bytes, used: false, position: this.#clock.length };
    this.#slots.set(token, slot);
    this.#clock.push(slot);
    this.#bytes += bytes;
  }

  #evictOne(): void {
    for (;;) {
      if (this.#hand >= this.#clock.length) this.#hand = 0;
      const slot = this.#clock[this.#hand];
      if (slot === undefined) return;
      if (!slot.used) {
        this.#remove(slot);
        return;
      }
      slot.used = false;
      this.#hand++;
    }
  }

  #remove(slot: Slot): void {
    this.#slots.delete(slot.token);
    this.#bytes -= slot.bytes;
    const last = this.#clock.pop();
    if (last === undefined || last === slot) return;
    this.#clock[slot.position] = last;
    last.position = slot.position;
  }
}

/** Heap bytes of a JSON value in V8, rounded up: what an issuer puts into claims must not outgrow the bound. */
function heapBytes(value: unknown): number {
  if (typeof value === 'string') return 24 + value.length * 2;
  if (typeof value !== 'object' || value === null) return 16;
  let bytes = 48;
  if (Array.isArray(value)) {
    for (const element of value) bytes += 8 + heapBytes(element);
  } else {
    for (const [name, member] of Object.entries(value)) bytes += 48 + name.length + heapBytes(member);
  }
  return bytes;
}
