import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { KEY_SET_ALGORITHMS } from '../../policy/keys/algorithms.ts';
import { HOUR, MINUTE, rotating, SPEC } from '../../policy/keys/testing/fixtures.ts';
import type { SigningKeySetStatus } from '../resources.ts';
import { generateKey } from './generate-key.ts';
import { type KeySetPicture, keySetStatus } from './key-set-status.ts';
import { reconcileKeySet } from './reconcile-key-set.ts';
import { fakeRecipients } from './testing/fake-recipients.ts';
import { ESCROWED, ReconcileBench } from './testing/reconcile-bench.ts';

const FERNET = { ...SPEC, algorithm: 'Fernet', maxTokenLifetimeMs: null } as const;

/** A key set of which the status is told after each pass. */
class StatusBench extends ReconcileBench {
  status: SigningKeySetStatus = {};

  async look(change: Partial<KeySetPicture> = {}): Promise<SigningKeySetStatus> {
    const result = await this.reconcile();
    const { spec, at: now, acknowledged: acknowledgements, status: previous } = this;
    const found = keySetStatus({ spec, result, acknowledgements, conflict: null, previous, now, ...change });
    const conditions = found.conditions.map((condition) => ({ ...condition, lastTransitionTime: '' }));
    this.status = { ...found, conditions };
    return this.status;
  }
}

function condition({ conditions = [] }: SigningKeySetStatus, wanted: string): string {
  const found = conditions.find(({ type }) => type === wanted);
  return `${found?.status} ${found?.reason}: ${found?.message}`;
}

test('the status says what signs, what is next, and when each key goes', async () => {
  const bench = new StatusBench({ ...ESCROWED, rotateRequest: 'monday' });
  const created = '2001-09-09T01:46:40Z';
  const { conditions: _, pods: __, ...first } = await bench.look();
  assert.match(first.nextRotation ?? '', /^2001-10-09T0[12]:/);
  assert.deepEqual(first, {
    serial: 2,
    activeKey: 'k1',
    nextKey: 'k2',
    nextRotation: first.nextRotation,
    rotateRequest: 'monday',
    keys: [
      { kid: 'k1', state: 'Active', algorithm: 'ES256', createdAt: created, activatedAt: created },
      { kid: 'k2', state: 'Standby', algorithm: 'ES256', createdAt: created },
    ],
    escrow: { recipients: ['AAAA'] },
  });
  assert.equal(condition(bench.status, 'Ready'), 'True Written: key k1 signs; keys that verify: 2; serial 2');
  bench.at += 721 * HOUR;
  const { keys = [], activeKey, nextKey } = await bench.look();
  const at = (ms: number) => new Date(bench.at + ms).toISOString().replace('.000', '');
  assert.deepEqual([activeKey, nextKey], ['k2', 'k3']);
  assert.deepEqual(keys[0], {
    kid: 'k1',
    state: 'Retired',
    algorithm: 'ES256',
    createdAt: created,
    activatedAt: created,
    retiredAt: at(0),
    removedAfter: at(HOUR + 3 * MINUTE),
  });
  bench.at += HOUR + 3 * MINUTE;
  assert.deepEqual(
    (await bench.look()).keys?.map(({ kid }) => kid),
    ['k2', 'k3'],
    'it goes when it was said to',
  );
});

test('a Fernet set encrypts, and its retired keys are never said to go', async () => {
  const bench = new StatusBench(FERNET);
  assert.match(
    condition(await bench.look(), 'Ready'),
    /^True Written: key k1 encrypts; keys that decrypt: 1; serial 1$/,
  );
  bench.spec = { ...FERNET, rotateRequest: 'now' };
  await bench.look();
  bench.at += 24 * HOUR;
  const { keys = [] } = await bench.look();
  assert.deepEqual(
    keys.map(({ kid, state, removedAfter }) => [kid, state, removedAfter]),
    [
      ['k1', 'Retired', undefined],
      ['k2', 'Active', undefined],
    ],
  );
});

test('what was known before a loss or a rollback stays known, and the serial never goes down', async () => {
  const bench = new StatusBench();
  await bench.look();
  const older = bench.store.keyring;
  bench.at += 721 * HOUR;
  const { conditions: _, ...before } = await bench.look();
  for (const [reason, keyring] of [
    ['KeyringLost', null],
    ['RolledBack', older],
  ] as const) {
    bench.store.keyring = keyring;
    const { conditions: __, ...after } = await bench.look();
    assert.deepEqual(after, before, reason);
    assert.match(condition(bench.status, 'Ready'), new RegExp(`^False ${reason}: `));
    assert.match(condition(bench.status, 'Degraded'), new RegExp(`^True ${reason}: `));
    assert.match(condition(bench.status, 'Accepted'), /^True Accepted/);
  }
  bench.store.keyring = null;
  bench.status = {};
  const { activeKey, serial } = await bench.look();
  assert.deepEqual([activeKey, serial], ['k2', before.serial], 'of the outputs, where nothing else is left');
});

test('a status that was lost is built again', async () => {
  const bench = new StatusBench(ESCROWED);
  const before = await bench.look();
  bench.status = {};
  assert.deepEqual(await bench.look(), before);
});

test('a rotation that is due and waits for room is degraded, and says what makes room', async () => {
  const fernet = new StatusBench(rotating({ maxKeys: 3 }, FERNET));
  for (let days = 0; days < 80; days++) {
    assert.equal(condition(await fernet.look(), 'Degraded'), 'False AsExpected: ', `day ${days}`);
    fernet.at += 24 * HOUR;
  }
  fernet.at += 13 * 24 * HOUR;
  assert.equal(
    condition(await fernet.look(), 'Degraded'),
    'True MaxKeys: rotation waits for room: rotation.maxKeys 3 allows no more keys than the 3 held, and without maxTokenLifetime none goes by itself; re-encrypt what the oldest keys encrypted, then revoke them: k1, k2',
  );
  fernet.spec = { ...fernet.spec, revocations: [{ kid: 'k1', reason: 'done' }] };
  assert.equal(condition(await fernet.look(), 'Degraded'), 'False AsExpected: ', 'room was made');

  const jwt = new StatusBench(rotating({ maxKeys: 3 }, { ...SPEC, maxTokenLifetimeMs: 1000 * HOUR }));
  for (const rotateRequest of ['one', 'two', 'three']) {
    assert.equal(condition(await jwt.look(), 'Degraded'), 'False AsExpected: ', 'at the cap, and nothing is due');
    jwt.at += 24 * HOUR;
    jwt.spec = { ...jwt.spec, rotateRequest };
  }
  assert.match(
    condition(await jwt.look(), 'Degraded'),
    /^True MaxKeys: .* the 3 held; the next goes at 2001-10-21T17:49:40Z, or raise rotation.maxKeys$/,
  );
  jwt.spec = rotating({ suspend: true }, jwt.spec);
  assert.equal(condition(await jwt.look(), 'Degraded'), 'False AsExpected: ', 'who suspends it knows');
});

test('recipients that cannot be used are degraded, required or not', async () => {
  for (const [required, effect] of [
    [true, 'no key is made until then'],
    [false, 'keys are made without escrow'],
  ] as const) {
    const bench = new StatusBench({ ...SPEC, escrow: { recipientsSecret: 'ops', required } });
    await bench.look();
    bench.recipients = { kind: 'Unusable', message: 'entry "a" has expired' };
    const status = await bench.look();
    assert.equal(condition(status, 'Degraded'), `True EscrowUnavailable: entry "a" has expired; ${effect}`);
    assert.match(condition(status, 'Ready'), /^True Written/);
    assert.deepEqual(status.escrow?.recipients, ['AAAA'], 'who can decrypt what there is');
    bench.recipients = fakeRecipients('BBBB');
    assert.equal(condition(await bench.look(), 'Degraded'), 'False AsExpected: ');
    assert.deepEqual(bench.status.escrow?.recipients, ['BBBB']);
    bench.spec = SPEC;
    assert.equal((await bench.look()).escrow, undefined);
  }
});

test('a target that belongs to another is not accepted, and said wherever people look', async () => {
  const bench = new StatusBench();
  const status = await bench.look({ conflict: 'spec.secretName: taken' });
  assert.equal(condition(status, 'Accepted'), 'False Conflicted: spec.secretName: taken');
  assert.equal(condition(status, 'Degraded'), 'True Conflicted: spec.secretName: taken');
  assert.match(condition(status, 'Ready'), /^True/, 'its keys go on');
});

test('a rotate request that no status could hold does not keep the status from being written', async () => {
  const bench = new StatusBench({ ...SPEC, rotateRequest: `${'x'.repeat(255)}\u{1F600}` });
  const { rotateRequest = '' } = await bench.look();
  assert.equal(rotateRequest, `${'x'.repeat(255)}\uFFFD`);
});

test('property 11: no status and no event holds key material or a hash of it', async () => {
  for (const algorithm of KEY_SET_ALGORITHMS) {
    const bench = new StatusBench({ ...ESCROWED, algorithm });
    const secrets: string[] = [];
    bench.reconcile = () =>
      reconcileKeySet({
        ...bench.input(),
        generateKey: async (wanted) => {
          const key = await generateKey(wanted);
          secrets.push(...Object.values(key.privateMembers ?? {}), ...(key.jwk['k'] ? [key.jwk['k']] : []));
          return key;
        },
        onEvent: (event) => said.push(event),
      });
    const said: unknown[] = [];
    for (let days = 0; days < 70; days += 5) {
      said.push(await bench.look());
      bench.at += 5 * 24 * HOUR;
    }
    bench.spec = { ...bench.spec, revocations: [{ kid: bench.status.activeKey ?? '', reason: 'stolen' }] };
    said.push(await bench.look());
    bench.store.keyring = null;
    said.push(await bench.look());
    const text = JSON.stringify(said);
    assert.ok(secrets.length >= 3, algorithm);
    for (const secret of secrets) {
      const bytes = Buffer.from(secret, 'base64url');
      for (const value of [bytes, ...['sha256', 'sha512'].map((hash) => createHash(hash).update(bytes).digest())]) {
        for (const encoding of ['base64url', 'base64', 'hex'] as const) {
          assert.ok(!text.includes(value.toString(encoding)), `${algorithm} ${encoding}`);
        }
      }
    }
  }
});
