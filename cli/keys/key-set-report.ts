import type { CustomResource, SigningKeySetStatus } from '../../operator/resources.ts';

/** One key, as `keys -o json` shows it. Times are RFC 3339; null: that has not come yet. */
export interface KeyReport {
  readonly kid: string;
  readonly state: 'Standby' | 'Active' | 'Retired';
  readonly algorithm: string;
  readonly createdAt: string;
  readonly activatedAt: string | null;
  readonly retiredAt: string | null;
  /** From when on nothing that it signed is alive. */
  readonly removedAfter: string | null;
}

/** Something that a key set waits for, or suffers from. */
export interface Concern {
  /** As the condition has it, such as `Progressing`; `NotYetSeen` when the operator has not looked. */
  readonly reason: string;
  readonly message: string;
}

/** One SigningKeySet, as `keys -o json` shows it; null: the operator has not said. */
export interface KeySetReport {
  readonly namespace: string;
  readonly name: string;
  /** Of new keys. */
  readonly algorithm: string;
  readonly ready: boolean;
  readonly degraded: boolean;
  readonly suspended: boolean;
  readonly serial: number | null;
  readonly activeKey: string | null;
  readonly nextKey: string | null;
  /** RFC 3339. */
  readonly nextRotation: string | null;
  /** The last rotate request that the operator took note of. */
  readonly rotateRequest: string | null;
  /** Pods that verify with it, and how many of them have its latest serial. */
  readonly pods: { readonly matched: number; readonly current: number };
  /** Null: its keys are not escrowed, and nobody asked for it. No recipients: it was asked for and is not done. */
  readonly escrow: { readonly recipients: readonly string[] } | null;
  /** Oldest first. */
  readonly keys: readonly KeyReport[];
  readonly waitsFor: readonly Concern[];
}

/** What a key set's spec and status say. Pure; holds no key material, for the status holds none. */
export function keySetReport({ metadata, spec, status = {} }: CustomResource<SigningKeySetStatus>): KeySetReport {
  const { algorithm, rotation, escrow } = (spec ?? {}) as {
    readonly algorithm?: string;
    readonly rotation?: { readonly suspend?: boolean };
    readonly escrow?: object;
  };
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    algorithm: algorithm ?? '',
    ready: holds(status, 'Ready'),
    degraded: holds(status, 'Degraded'),
    suspended: rotation?.suspend === true,
    serial: status.serial ?? null,
    activeKey: status.activeKey ?? null,
    nextKey: status.nextKey ?? null,
    nextRotation: status.nextRotation ?? null,
    rotateRequest: status.rotateRequest ?? null,
    pods: { matched: status.pods?.matched ?? 0, current: status.pods?.current ?? 0 },
    escrow: escrow === undefined ? null : { recipients: status.escrow?.recipients ?? [] },
    keys: (status.keys ?? []).map(({ kid, state, algorithm, createdAt, activatedAt, retiredAt, removedAfter }) => ({
      kid,
      state,
      algorithm,
      createdAt,
      activatedAt: activatedAt ?? null,
      retiredAt: retiredAt ?? null,
      removedAfter: removedAfter ?? null,
    })),
    waitsFor: concerns(status, metadata.generation),
  };
}

function holds({ conditions = [] }: SigningKeySetStatus, type: string): boolean {
  return conditions.some((condition) => condition.type === type && condition.status === 'True');
}

/** What is not as it should be, each message once: a halt stands in several conditions. */
function concerns(
  { conditions = [], observedGeneration }: SigningKeySetStatus,
  generation: number | undefined,
): Concern[] {
  const found = new Map<string, Concern>();
  if (conditions.length === 0 || observedGeneration !== generation) {
    const message = 'the operator has not looked at this spec yet; is it running?';
    found.set(message, { reason: 'NotYetSeen', message });
  }
  for (const { type, status, reason, message } of conditions) {
    const wanted = type === 'Degraded' ? 'False' : 'True';
    if (status !== wanted && reason !== 'NoMatchingPods' && !found.has(message))
      found.set(message, { reason, message });
  }
  return [...found.values()];
}
