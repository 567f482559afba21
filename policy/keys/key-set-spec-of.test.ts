import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeResource } from '../api/decode.ts';
import { keySetSpecOf } from './key-set-spec-of.ts';
import { HOUR, MINUTE } from './testing/fixtures.ts';

function specOf(spec: Record<string, unknown>, metadata: Record<string, unknown> = {}) {
  const decoded = decodeResource({
    apiVersion: 'portcullis.dev/v1alpha1',
    kind: 'SigningKeySet',
    metadata: { name: 'trading', ...metadata },
    spec: { algorithm: 'ES256', issuer: 'https://auth.example', audiences: ['api'], maxTokenLifetime: '1h', ...spec },
  });
  if (!('resource' in decoded)) throw new Error(JSON.stringify(decoded.problems));
  assert(decoded.resource.kind === 'SigningKeySet');
  return keySetSpecOf(decoded.resource);
}

test('defaults, in milliseconds', () => {
  assert.deepEqual(specOf({}), {
    namespace: 'default',
    name: 'trading',
    uid: 'default/trading',
    algorithm: 'ES256',
    maxTokenLifetimeMs: HOUR,
    propagationMs: 2 * MINUTE,
    jwksMaxAgeMs: 10 * MINUTE,
    clockSkewMs: MINUTE,
    rotation: {
      periodMs: 720 * HOUR,
      prePublishMs: 24 * HOUR,
      maxKeys: 8,
      ackTimeoutMs: 24 * HOUR,
      notBefore: null,
      suspend: false,
    },
    rotateRequest: null,
    revocations: [],
    escrow: null,
    acceptedLoss: null,
    deletion: null,
  });
});

test('prePublish defaults to an hour for a symmetric algorithm', () => {
  assert.equal(specOf({ algorithm: 'HS256' }).rotation.prePublishMs, HOUR);
});

test('notBefore, revocations and the rotate annotation', () => {
  const spec = specOf(
    { rotation: { notBefore: '2026-01-31T00:00:00Z' }, revocations: [{ kid: 'a', reason: 'stolen' }, { kid: 'b' }] },
    { annotations: { 'portcullis.dev/rotate-requested-at': 'monday' } },
  );
  assert.equal(spec.rotation.notBefore, Date.UTC(2026, 0, 31));
  assert.equal(spec.rotateRequest, 'monday');
  assert.deepEqual(spec.revocations, [
    { kid: 'a', reason: 'stolen' },
    { kid: 'b', reason: 'no reason given' },
  ]);
});
