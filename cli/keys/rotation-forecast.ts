import type { SigningKeySetStatus } from '../../operator/resources.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { keySetSpecOf } from '../../policy/keys/key-set-spec-of.ts';
import { maturityMs } from '../../policy/keys/spec.ts';
import { moment } from './relative-time.ts';

/** When the next key can sign, if it is asked to. */
export interface RotationForecast {
  /** Epoch milliseconds; null: nobody can say. */
  readonly earliest: number | null;
  /** For people. */
  readonly lines: readonly string[];
}

/** The standby key that would sign next, and from when on it has been published long enough (epoch milliseconds). */
export interface NextKey {
  readonly kid: string;
  readonly maturesAt: number;
}

/** By the status, which tells when a key was made: the operator counts from when it saw it published, a moment later. */
export function nextKeyOf(keySet: SigningKeySet, { keys = [] }: SigningKeySetStatus): NextKey | null {
  const spec = keySetSpecOf(keySet);
  const standby = keys.find(({ state, algorithm }) => state === 'Standby' && algorithm === spec.algorithm);
  return standby === undefined
    ? null
    : { kid: standby.kid, maturesAt: Date.parse(standby.createdAt) + maturityMs(spec) };
}

/** When a rotation that is asked for at `now` (epoch milliseconds) can happen, and what it waits for. Pure. */
export function rotationForecast(keySet: SigningKeySet, status: SigningKeySetStatus, now: number): RotationForecast {
  const { rotation } = keySet.spec;
  if (rotation.suspend) {
    return { earliest: null, lines: ['rotation is suspended: it happens once spec.rotation.suspend is false'] };
  }
  const next = nextKeyOf(keySet, status);
  const earliest = Math.max(now, next?.maturesAt ?? now + maturityMs(keySetSpecOf(keySet)));
  const which = next === null ? 'the next key is made now' : `the next key is ${next.kid}`;
  const when = earliest === now ? 'already' : moment(rfc3339(earliest), now);
  const published = `${which}; it has been published for long enough ${when}`;
  return { earliest, lines: [published, ...acknowledgements(status.pods?.matched ?? 0, rotation.ackTimeout)] };
}

function acknowledgements(pods: number, ackTimeout: string): string[] {
  if (pods === 0) return [];
  const patience = /^0+(h|m|s|ms)$/.test(ackTimeout)
    ? 'however long that takes (rotation.ackTimeout 0s)'
    : `but no longer than ${ackTimeout} more (rotation.ackTimeout)`;
  return [`then it waits until all pods, ${pods} now, have loaded it, ${patience}`];
}

/** An RFC 3339 time in whole seconds, not before `at` (epoch milliseconds). */
export function rfc3339(at: number): string {
  return `${new Date(Math.ceil(at / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}
