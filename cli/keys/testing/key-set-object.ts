import type { SigningKeySetStatus } from '../../../operator/resources.ts';
import type { KeySetObject } from '../find-key-set.ts';

/** 2026-06-01T12:00:00Z, the time at which these tests are. */
export const NOW = Date.UTC(2026, 5, 1, 12);

/** RFC 3339, so many hours from NOW. */
export function hours(count: number): string {
  return `${new Date(NOW + count * 3_600_000).toISOString().slice(0, 19)}Z`;
}

/** A condition as the operator writes it. */
export function condition(type: string, status: 'True' | 'False', reason: string, message = '') {
  return { type, status, reason, message, lastTransitionTime: hours(-1) };
}

const STATUS: SigningKeySetStatus = {
  observedGeneration: 1,
  conditions: [
    condition('Accepted', 'True', 'Accepted'),
    condition('Ready', 'True', 'Written', 'key active signs; 3 verify, serial 7'),
    condition('Enforced', 'True', 'Acknowledged', 'all 3 pods have serial 7'),
    condition('Degraded', 'False', 'AsExpected'),
  ],
  pods: { matched: 3, current: 3, stale: 0 },
  serial: 7,
  activeKey: 'active',
  nextKey: 'standby',
  nextRotation: hours(72),
  keys: [
    {
      kid: 'retired',
      state: 'Retired',
      algorithm: 'RS256',
      createdAt: hours(-800),
      activatedAt: hours(-700),
      retiredAt: hours(-3),
      removedAfter: hours(1),
    },
    { kid: 'active', state: 'Active', algorithm: 'ES256', createdAt: hours(-720), activatedAt: hours(-3) },
    { kid: 'standby', state: 'Standby', algorithm: 'ES256', createdAt: hours(-30) },
  ],
};

/** SigningKeySet auth/trading: ES256, prePublish 24h, a standby key made 30 hours ago; with changes. */
export function keySetObject(
  spec: Readonly<Record<string, unknown>> = {},
  status: Readonly<{ [Member in keyof SigningKeySetStatus]?: SigningKeySetStatus[Member] | undefined }> = {},
): KeySetObject {
  return {
    apiVersion: 'portcullis.dev/v1alpha1',
    kind: 'SigningKeySet',
    metadata: { namespace: 'auth', name: 'trading', generation: 1 },
    spec: {
      algorithm: 'ES256',
      issuer: 'https://auth.example',
      audiences: ['trading-api'],
      maxTokenLifetime: '1h',
      ...spec,
    },
    status: { ...STATUS, ...status } as SigningKeySetStatus,
  };
}

/** Spec and status of a Fernet key set. */
export function fernetObject(): KeySetObject {
  const none = { issuer: undefined, audiences: undefined, maxTokenLifetime: undefined };
  const { spec, ...object } = keySetObject(
    { algorithm: 'Fernet' },
    {
      keys: [{ kid: 'active', state: 'Active', algorithm: 'Fernet', createdAt: hours(-9), activatedAt: hours(-9) }],
    },
  );
  return { ...object, spec: JSON.parse(JSON.stringify({ ...(spec as object), ...none })) };
}
