import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortcullisError } from '../../policy/errors.ts';
import { activeKid } from '../../policy/keys/outputs.ts';
import { HOUR, rotating, SPEC } from '../../policy/keys/testing/fixtures.ts';
import { type ReconcileInput, reconcileKeySet } from './reconcile-key-set.ts';
import { fakeRecipients, openedEscrow } from './testing/fake-recipients.ts';
import { MemoryKeyStore } from './testing/memory-key-store.ts';
import { ESCROW, ESCROWED, ending, message, READS, ReconcileBench, reasons } from './testing/reconcile-bench.ts';

test('a new key set comes to rest in one call and says when to come again', async () => {
  const bench = new ReconcileBench();
  const result = await bench.reconcile();
  assert.equal(reasons(result), 'Activated Published Prepared Published');
  assert.deepEqual(
    result.outputs?.verificationKeys.map(({ kid }) => kid),
    ['k1', 'k2'],
  );
  assert(result.end.kind === 'Wait' && result.end.until !== null);
  assert(result.end.until >= bench.at + 720 * HOUR && result.end.until < bench.at + 721 * HOUR);
  const keyset = ['writeKeyring', 'writeOutputs', 'writeExports', 'writeKeyring'];
  assert.deepEqual(bench.effects(), [...keyset, ...keyset]);
  assert.equal(reasons(await bench.reconcile()), '', 'nothing more to do');
  assert.deepEqual(bench.effects(), []);
});

test('property 12: at no moment does a keyring or an output have a key that is not escrowed', async () => {
  const bench = new ReconcileBench({ ...ESCROWED, revocations: [] });
  let looks = 0;
  bench.store.before = () => {
    const { keyring, outputs, escrow } = bench.store;
    const opened = openedEscrow('auth/trading', escrow);
    for (const { kid, jwk } of [...(keyring?.keys ?? []), ...(outputs?.verificationKeys ?? [])]) {
      assert.deepEqual(opened.get(kid)?.jwk, jwk, `${kid} is escrowed`);
      looks++;
    }
  };
  await bench.reconcile();
  const key = [
    'writeEscrow writeKeyring',
    'writeEscrow',
    'writeOutputs',
    'writeExports',
    'writeKeyring',
    'writeEscrow',
  ];
  assert.deepEqual(bench.effects(), [...key, ...key]);
  for (let days = 0; days < 90; days++) {
    bench.at += 24 * HOUR;
    if (days === 50) bench.spec = { ...bench.spec, revocations: [{ kid: `k${bench.keys - 1}`, reason: 'stolen' }] };
    await bench.reconcile();
  }
  assert(looks > 200 && bench.keys >= 4, `${looks} looks at ${bench.keys} keys`);
});

test('other recipients get every key; those before no new one', async () => {
  const bench = new ReconcileBench(ESCROWED);
  await bench.reconcile();
  const before = bench.store.escrow;
  bench.recipients = fakeRecipients('AAAA', 'BBBB');
  bench.effects();
  await bench.reconcile();
  assert.deepEqual(bench.effects(), ['writeEscrow']);
  const { recipients = [], messages = {} } = bench.store.escrow ?? {};
  assert.deepEqual(recipients, ['AAAA', 'BBBB']);
  for (const [kid, text] of Object.entries(messages)) assert.notEqual(text, before?.messages[kid]);
  const messagesNow = { ...messages };
  await bench.reconcile();
  assert.deepEqual(bench.store.escrow?.messages, messagesNow, 'encrypted once');
});

test('recipients that cannot be used: no key is made where they are required', async () => {
  const bench = new ReconcileBench(ESCROWED);
  bench.recipients = { kind: 'Unusable', message: 'Secret auth/ops does not exist; write it' };
  const halted = await bench.reconcile();
  assert.equal(ending(halted), 'Halt EscrowUnavailable');
  assert.match(message(halted), /could not be escrowed: Secret auth\/ops does not exist; write it/);
  assert.deepEqual(bench.effects(), []);
  assert.equal(bench.keys, 0);

  bench.recipients = fakeRecipients('AAAA');
  assert.equal(ending(await bench.reconcile()), 'Wait RotationPeriod');
  bench.recipients = { kind: 'Unusable', message: 'expired' };
  bench.at += 721 * HOUR;
  await bench.reconcile();
  assert.equal(bench.store.outputs && activeKid(bench.store.outputs), 'k2', 'what is escrowed rotates');
  assert.equal(bench.keys, 2, 'but there is no next key');
  bench.spec = { ...ESCROWED, revocations: [{ kid: 'k2', reason: 'stolen' }] };
  const revoked = await bench.reconcile();
  assert.equal(reasons(revoked), 'Revoked Forced Published', 'a revoked key is replaced all the same');
  assert.equal(ending(revoked), 'Wait EscrowUnavailable RotationPeriod PrivateHalfInUse TokensAlive');
});

test('recipients that cannot be used: what is escrowed to them already is no leave for another key', async () => {
  const bench = new ReconcileBench({ ...ESCROWED, algorithm: 'HS256' });
  await bench.reconcile();
  bench.recipients = { kind: 'Unusable', message: 'expired' };
  bench.at += 721 * HOUR;
  assert.equal(ending(await bench.reconcile()), 'Wait EscrowUnavailable');
  assert.equal(bench.keys, 1);
});

test('recipients that cannot be used and are not required: keys are made, and escrowed once they can be', async () => {
  const bench = new ReconcileBench({ ...SPEC, escrow: { ...ESCROW, required: false } });
  bench.recipients = { kind: 'Unusable', message: 'expired' };
  await bench.reconcile();
  assert.equal(bench.store.outputs?.verificationKeys.length, 2);
  assert.equal(bench.store.escrow, null);
  bench.recipients = fakeRecipients('AAAA');
  await bench.reconcile();
  assert.deepEqual([...openedEscrow('auth/trading', bench.store.escrow).keys()], ['k1', 'k2']);
});

test('a key that was escrowed and never got into a keyring is no sign of a lost one', async () => {
  const bench = new ReconcileBench(ESCROWED);
  bench.store.before = (call) => {
    if (call === 'writeKeyring') throw new Error('killed');
  };
  await assert.rejects(bench.reconcile(), /killed/);
  assert.deepEqual(Object.keys(bench.store.escrow?.messages ?? {}), ['k1']);
  bench.store.before = () => undefined;
  const result = await bench.reconcile();
  assert.equal(result.outputs && activeKid(result.outputs), 'k2');
});

test('what apps read stands in somebody else’s way: said, and only revocation goes on', async () => {
  const bench = new ReconcileBench();
  bench.store.before = (call) => {
    if (call === 'writeExports') throw new PortcullisError('exports_refused', 'Secret auth/trading-jwks is not ours');
  };
  const refused = await bench.reconcile();
  assert.equal(ending(refused), 'Halt ExportsRefused');
  assert.equal(message(refused), 'Secret auth/trading-jwks is not ours');
  assert(refused.end.kind === 'Halt' && refused.end.until === bench.at + 60_000);
  assert.equal(reasons(refused), 'Activated');
  assert.equal(refused.outputs?.serial, 1);
  assert.equal(refused.keyring?.confirmed, 0, 'not published for anybody');
  bench.spec = { ...SPEC, revocations: [{ kid: 'k1', reason: 'stolen' }] };
  const revoked = await bench.reconcile();
  assert.equal(reasons(revoked), 'Revoked Forced');
  assert.equal(revoked.outputs && activeKid(revoked.outputs), 'k2');
  bench.store.before = () => undefined;
  assert.equal(ending(await bench.reconcile()), 'Wait RotationPeriod');
  assert.equal(bench.store.exports?.serial, bench.store.outputs?.serial);
});

test('a lost race is planned again, and the loser reports nothing', async () => {
  const bench = new ReconcileBench();
  const rival = new ReconcileBench();
  let raced = false;
  bench.store.before = async (call) => {
    if (call !== 'writeKeyring' || raced) return;
    raced = true;
    rival.keys = 100;
    await reconcileKeySet(rival.input(bench.store));
  };
  const result = await bench.reconcile();
  assert.equal(reasons(result), '');
  assert.equal(result.outputs && activeKid(result.outputs), 'k101');
});

test('a race for the escrow is planned again: both keys are there, one in the keyring', async () => {
  const bench = new ReconcileBench(ESCROWED);
  const rival = new ReconcileBench(ESCROWED);
  let raced = false;
  bench.store.before = async (call) => {
    if (call !== 'writeEscrow' || raced) return;
    raced = true;
    rival.keys = 100;
    await reconcileKeySet(rival.input(bench.store));
  };
  const result = await bench.reconcile();
  assert.equal(reasons(result), '');
  assert.deepEqual([...openedEscrow('auth/trading', bench.store.escrow).keys()], ['k101', 'k102']);
});

test('rivals that always win end in keyring_conflict, to be tried later', async () => {
  const bench = new ReconcileBench();
  await bench.reconcile();
  bench.spec = { ...SPEC, rotateRequest: 'now' };
  bench.store.writeKeyring = () => new MemoryKeyStore().writeKeyring(bench.store.keyring!, 'never');
  await assert.rejects(bench.reconcile(), { code: 'keyring_conflict', retry: 'later' });
});

test('what the store throws is thrown, and the next call goes on from there; no event is lost', async () => {
  const calls = [...READS.split(' '), 'writeKeyring', 'writeOutputs', 'writeExports', 'writeEscrow'];
  for (const call of calls) {
    for (let times = 1; times <= 3; times++) {
      const bench = new ReconcileBench(ESCROWED);
      let left = times;
      bench.store.before = (name) => {
        if (name === call && --left === 0) throw new Error('store is away');
      };
      const told: string[] = [];
      const input = (): ReconcileInput => ({ ...bench.input(), onEvent: ({ reason }) => told.push(reason) });
      const failed = await reconcileKeySet(input()).then(
        () => false,
        () => true,
      );
      const result = await reconcileKeySet(input());
      assert.equal(failed, left <= 0);
      assert.equal(ending(result), 'Wait RotationPeriod');
      assert.equal(result.outputs?.verificationKeys.length, 2, `${call} ${times}`);
      assert.equal(told.join(' '), 'Activated Published Prepared Published', `${call} ${times}`);
    }
  }
});

const NOTHING_TO_WAIT_FOR = { maxTokenLifetimeMs: 0, propagationMs: 0, jwksMaxAgeMs: 0, clockSkewMs: 0 };
const AT_ONCE = { periodMs: 2, prePublishMs: 1 };

test('all the revocations that a spec can hold fit one call', async () => {
  const bench = new ReconcileBench();
  await bench.reconcile();
  const revocations = Array.from({ length: 256 }, (_, index) => ({ kid: `other-${index}`, reason: 'a leak' }));
  bench.spec = { ...SPEC, revocations };
  assert.equal((await bench.reconcile()).keyring?.tombstones.length, 256);
});

test('a rotation that is faster than a call does not keep it, so that other key sets have their turn', async () => {
  const bench = new ReconcileBench({ ...SPEC, ...NOTHING_TO_WAIT_FOR, rotation: { ...SPEC.rotation, ...AT_ONCE } });
  const input = { ...bench.input(), now: () => bench.at++ };
  for (const keys of [3, 5, 7]) {
    const { end } = await reconcileKeySet(input);
    assert(end.kind === 'Wait' && end.until !== null && end.until <= bench.at, 'it comes again at once');
    assert.equal(bench.keys, keys);
  }
});

test('acknowledgements that do not come are waited for, and then passed over with a warning that names them', async () => {
  const bench = new ReconcileBench();
  await bench.reconcile();
  bench.spec = { ...SPEC, rotateRequest: 'now' };
  bench.acknowledged = [{ consumer: 'pod-a', serial: 1 }];
  bench.at += 24 * HOUR;
  const waiting = await bench.reconcile();
  assert(waiting.end.kind === 'Wait' && waiting.end.until === bench.at + 24 * HOUR);
  bench.at += 24 * HOUR;
  const { events } = await bench.reconcile();
  assert.match(events.find(({ reason }) => reason === 'ActivatedWithLaggards')?.message ?? '', /k2 signs.*pod-a/);
});

test('property 11: neither an event nor the escrow holds key material in the clear', async () => {
  for (const spec of [ESCROWED, { ...ESCROWED, algorithm: 'Fernet', maxTokenLifetimeMs: null } as const]) {
    const bench = new ReconcileBench(rotating({ maxKeys: 6 }, spec));
    const said: unknown[] = [];
    for (const revocations of [[], [{ kid: 'k1', reason: 'stolen' }]]) {
      bench.spec = { ...bench.spec, revocations };
      for (let days = 0; days < 100; days++) {
        const { events, end } = await bench.reconcile();
        said.push(...events, end, bench.store.escrow);
        bench.at += 24 * HOUR;
      }
    }
    const text = JSON.stringify(said);
    assert(text.includes('Revoked') && text.includes('Retired'));
    assert(!/private-|"[dkxy]-\d/.test(text));
  }
});
