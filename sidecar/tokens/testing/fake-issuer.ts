import type { JwksConfig } from '../../../policy/bundle/types.ts';
import { ExternalJwks, type JwksOutcome } from '../external-jwks.ts';
import type { TestKey } from './token-fixtures.ts';

/** For tests: an issuer's JWKS and the clock of those who fetch it. */
export class FakeIssuer {
  /** What is published; null: fetches fail. */
  keys: readonly TestKey[] | null;
  /** Fetches that were begun, by URI. */
  readonly fetches: string[] = [];
  readonly outcomes: JwksOutcome[] = [];
  readonly jwks: ExternalJwks;
  /** Milliseconds. */
  now = 1_000;
  #timers: { readonly at: number; readonly run: () => void }[] = [];
  #held: Promise<void> | null = null;
  #release = (): void => {};

  constructor(keys: readonly TestKey[] | null) {
    this.keys = keys;
    this.jwks = new ExternalJwks({
      fetch: (config) => this.#fetch(config),
      now: () => this.now,
      random: () => 0.5,
      after: (ms, run) => {
        const timer = { at: this.now + ms, run };
        this.#timers.push(timer);
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer);
        };
      },
      report: (outcome) => this.outcomes.push(outcome),
    });
  }

  /** Makes fetches wait until `answer`. */
  hold(): void {
    this.#held = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  async answer(): Promise<void> {
    this.#release();
    this.#held = null;
    await settled();
  }

  /** Lets time pass, timers one after another. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      await settled();
      const next = this.#timers.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    this.now = end;
  }

  async #fetch({ uri }: JwksConfig): Promise<Uint8Array> {
    this.fetches.push(uri);
    await this.#held;
    if (this.keys === null) throw new Error('the issuer does not answer');
    const keys = this.keys.map(({ verification: { kid, algorithm, jwk } }) => ({ ...jwk, kid, alg: algorithm }));
    return Buffer.from(JSON.stringify({ keys }));
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
