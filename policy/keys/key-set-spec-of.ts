import { parseDuration } from '../api/duration.ts';
import { ANNOTATIONS } from '../api/names.ts';
import { prePublishOf, type SigningKeySet } from '../api/signing-key-set.ts';
import type { DeletionSpec, EscrowSpec, KeySetSpec } from './spec.ts';

/**
 * What the planner needs of a decoded resource. `deletedWith`: what becomes of its keys if it is being deleted. Throws
 * RangeError on values that decoding would have refused.
 */
export function keySetSpecOf({ metadata, spec }: SigningKeySet, deletedWith: DeletionSpec | null = null): KeySetSpec {
  const { namespace, name } = metadata;
  const { rotation } = spec;
  return {
    namespace,
    name,
    uid: metadata.uid ?? `${namespace}/${name}`,
    algorithm: spec.algorithm,
    maxTokenLifetimeMs: spec.maxTokenLifetime === undefined ? null : milliseconds(spec.maxTokenLifetime),
    propagationMs: milliseconds(spec.propagation),
    jwksMaxAgeMs: milliseconds(spec.jwksMaxAge),
    clockSkewMs: milliseconds(spec.clockSkew),
    rotation: {
      periodMs: milliseconds(rotation.period),
      prePublishMs: milliseconds(prePublishOf(spec)),
      maxKeys: rotation.maxKeys,
      ackTimeoutMs: milliseconds(rotation.ackTimeout),
      notBefore: rotation.notBefore === undefined ? null : instant(rotation.notBefore),
      suspend: rotation.suspend,
    },
    rotateRequest: metadata.annotations?.[ANNOTATIONS.rotateRequestedAt] || null,
    revocations: spec.revocations.map(({ kid, reason }) => ({ kid, reason: reason ?? 'no reason given' })),
    escrow: spec.escrow === undefined ? null : escrowOf(spec.escrow),
    acceptedLoss: acceptedLoss(metadata.annotations?.[ANNOTATIONS.recover]),
    deletion: deletedWith,
  };
}

function escrowOf({ recipientsSecretRef, required }: NonNullable<SigningKeySet['spec']['escrow']>): EscrowSpec {
  return { recipientsSecret: recipientsSecretRef.name, required };
}

/** The serial in `regenerate@SERIAL`; null: nothing, or nothing that can be read, is accepted. */
function acceptedLoss(annotation: string | undefined): number | null {
  const serial = /^regenerate@(0|[1-9]\d{0,14})$/.exec(annotation ?? '')?.[1];
  return serial === undefined ? null : Number(serial);
}

function milliseconds(duration: string): number {
  const parsed = parseDuration(duration);
  if (parsed === undefined) throw new RangeError(`not a duration: ${duration}`);
  return parsed;
}

function instant(text: string): number {
  const parsed = Date.parse(text);
  if (Number.isNaN(parsed)) throw new RangeError(`not an RFC 3339 date and time: ${text}`);
  return parsed;
}
