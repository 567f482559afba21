import { Gauge, type Registry } from 'prom-client';
import type { Keyring } from '../../policy/keys/keyring.ts';
import { rotationAt } from '../../policy/keys/next-key.ts';
import type { KeySetSpec } from '../../policy/keys/spec.ts';

interface Ages {
  /** Epoch milliseconds at which the oldest key of each phase was made. */
  readonly oldest: ReadonlyMap<string, number>;
  readonly rotationAt: number | null;
}

/** Ages of keys and lateness of rotations, computed when somebody scrapes. */
export class KeySetMetrics {
  readonly #keySets = new Map<string, Ages>();

  /** `now`: epoch milliseconds. */
  constructor(registry: Registry, now: () => number) {
    const keySets = this.#keySets;
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
  }

  /** Takes note of a key set as it now is. */
  observe(spec: KeySetSpec, keyring: Keyring): void {
    const oldest = new Map<string, number>();
    for (const { phase, createdAt } of keyring.keys) {
      const state = phase.toLowerCase();
      oldest.set(state, Math.min(createdAt, oldest.get(state) ?? createdAt));
    }
    this.#keySets.set(`${spec.namespace}/${spec.name}`, { oldest, rotationAt: rotationAt(spec, keyring) });
  }

  /** Says nothing more of a key set, by `namespace/name`. */
  forget(keySet: string): void {
    this.#keySets.delete(keySet);
  }
}

function labels(keySet: string): { namespace: string; name: string } {
  const [namespace = '', name = ''] = keySet.split('/');
  return { namespace, name };
}
