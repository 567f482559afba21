import { RevocationView, revocationId } from './revocation-view.ts';
import type { RevocationStore, RevocationVerdict } from './revocations.ts';

/**
 * Revocations in the memory of this process, at most `maxEntries` (default 100,000). What comes on top is refused, and every token that is
 * not known to be revoked is `unknown` from then on: nothing is un-revoked for want of room.
 */
export class MemoryRevocations implements RevocationStore {
  readonly #view: RevocationView;

  constructor(maxEntries?: number) {
    this.#view = new RevocationView(maxEntries);
  }

  async revokeToken(jti: string, untilMs: number, now: number): Promise<boolean> {
    this.#view.add({ id: revocationId(jti), until: untilMs, notBefore: null }, now);
    return !this.#view.overflowed;
  }

  async revokeSubject(sub: string, notBeforeMs: number, untilMs: number, now: number): Promise<boolean> {
    this.#view.add({ id: revocationId(sub), until: untilMs, notBefore: notBeforeMs }, now);
    return !this.#view.overflowed;
  }

  check(jti: string | null, sub: string | null, iatMs: number): RevocationVerdict {
    if (this.#view.isRevoked(jti, sub, iatMs)) return 'revoked';
    return this.#view.overflowed ? 'unknown' : 'ok';
  }

  async refresh(): Promise<void> {}

  close(): void {}
}
