import { Gauge, type Registry } from 'prom-client';
import type { Keyring } from '../../policy/keys/keyring.ts';
import { rotationAt } from '../../policy/keys/next-key.ts';
import type { KeySetSpec } from '../../policy/keys/spec.ts';

interface Ages {
  /** Epoch milliseconds at which the oldest key of each phase was made. */
  readonly oldest: ReadonlyMap<string, number>;
  /** Epoch milliseconds; null: suspended. */
  readonly rotationAt: number | null;
}

/** Ages of keys, lateness of rotations and halts, computed when somebody scrapes. Key sets are named `namespace/name`. */
export class KeySetMetrics {
  readonly #keySets = new Map<string, Ages>();
  readonly #halted = new Map<string, string>();
  readonly #now: () => number;

  /** `now`: epoch milliseconds. */
  constructor(registry: Registry, now: () => number) {
    const [keySets, halted] = [this.#keySets, this.#halted];
    this.#now = now;
    new Gauge({
      name: 'portcullis_key_age_seconds',
      help: 'Age of the oldest key of a key set in each state (standby, active, retired).',
      labelNames: ['namespace', 'name', 'state'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [keySet, { oldest }] of keySets) {
          for (const [state, createdAt] of oldest) {
            this.set({ ...labels(keySet), state }, Math.max(0, now() - createdAt) / 1000);
          }
        }
      },
    });
    new Gauge({
      name: 'portcullis_rotation_overdue_seconds',
      help: 'How long a key set should have had its next key sign already; 0: it is not late.',
      labelNames: ['namespace', 'name'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [keySet, { rotationAt }] of keySets) {
          this.set(labels(keySet), Math.max(0, now() - (rotationAt ?? now())) / 1000);
        }
      },
    });
    new Gauge({
      name: 'portcullis_key_set_halted',
      help: 'Key sets that stand still until somebody helps, by the reason that their condition Ready names.',
      labelNames: ['namespace', 'name', 'reason'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [keySet, reason] of halted) this.set({ ...labels(keySet), reason }, 1);
      },
    });
  }

  /** Takes note of a key set as it now is. */
  observe(spec: KeySetSpec, keyring: Keyring): void {
    const keySet = `${spec.namespace}/${spec.name}`;
    const oldest = new Map<string, number>();
    for (const { phase, createdAt } of keyring.keys) {
      const state = phase.toLowerCase();
      oldest.set(state, Math.min(createdAt, oldest.get(state) ?? createdAt));
    }
    this.#keySets.set(keySet, { oldest, rotationAt: rotationAt(spec, keyring) ?? this.#dueSince(spec, keySet) });
  }

  /** Takes note of why a key set stands still; null: it does not. */
  halted(keySet: string, reason: string | null): void {
    if (reason === null) this.#halted.delete(keySet);
    else this.#halted.set(keySet, reason);
  }

  /** Says nothing more of a key set. */
  forget(keySet: string): void {
    this.#keySets.delete(keySet);
    this.#halted.delete(keySet);
  }

  /** Due at once, and no key to take its place (maxKeys, escrow): nothing else says since when. */
  #dueSince({ rotation }: KeySetSpec, keySet: string): number | null {
    return rotation.suspend ? null : Math.min(this.#now(), this.#keySets.get(keySet)?.rotationAt ?? this.#now());
  }
}

function labels(keySet: string): { namespace: string; name: string } {
  const [namespace = '', name = ''] = keySet.split('/');
  return { namespace, name };
}
