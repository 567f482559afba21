import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UsableRecipients } from '../../operator/escrow/recipients.ts';
import { generateKey } from '../../operator/signing-keys/generate-key.ts';
import { type ReconcileResult, reconcileKeySet } from '../../operator/signing-keys/reconcile-key-set.ts';
import { MemoryKeyStore } from '../../operator/signing-keys/testing/memory-key-store.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { KeySetAlgorithm } from '../../policy/keys/algorithms.ts';
import type { Escrow } from '../../policy/keys/escrow.ts';
import { encodeEscrowedKey } from '../../policy/keys/escrow-document.ts';
import { activeKid } from '../../policy/keys/outputs.ts';
import type { KeySetSpec } from '../../policy/keys/spec.ts';
import { HOUR, SPEC } from '../../policy/keys/testing/fixtures.ts';
import { type Restored, type RestoreInput, restoreKeySet } from './restore-key-set.ts';

const KEY_SET = `${SPEC.namespace}/${SPEC.name}`;
const SEAL = 'sealed:';

/** Whoever adds the seal can take it off. */
const RECIPIENTS: UsableRecipients = {
  kind: 'Usable',
  fingerprints: ['A'],
  encrypt: async (text) => SEAL + text,
};

/** A key set under a real reconciler, with an escrow. */
class Drill {
  readonly store = new MemoryKeyStore();
  spec: KeySetSpec;
  now = 1_000_000_000_000;

  constructor(algorithm: KeySetAlgorithm = 'ES256') {
    this.spec = { ...SPEC, algorithm, escrow: { recipientsSecret: 'ops', required: true } };
  }

  reconcile(): Promise<ReconcileResult> {
    const { spec, store } = this;
    return reconcileKeySet({
      spec,
      store,
      now: () => this.now,
      generateKey,
      recipients: async () => RECIPIENTS,
      acknowledgements: [],
    });
  }

  /** Rotates once: a retired key, an active one, and with key pairs a standby. */
  async rotate(): Promise<void> {
    this.spec = { ...this.spec, rotateRequest: String(this.now) };
    await this.reconcile();
    this.now += 24 * HOUR;
    await this.reconcile();
  }

  get escrow(): Escrow {
    assert.ok(this.store.escrow !== null);
    return this.store.escrow;
  }

  get kids(): readonly (readonly [string, string])[] {
    return (this.store.keyring?.keys ?? []).map(({ kid, phase }) => [kid, phase]);
  }

  restore(change: Partial<RestoreInput> = {}): Promise<Restored> {
    return restoreKeySet({
      keySet: KEY_SET,
      store: this.store,
      escrow: this.escrow,
      revocations: this.spec.revocations,
      status: { serial: 0, kids: [] },
      decrypt: async (message) => {
        if (message.startsWith(SEAL)) return message.slice(SEAL.length);
        throw new PortcullisError('config_invalid', 'gpg failed');
      },
      replace: false,
      acceptLoss: false,
      ...change,
    });
  }
}

async function rotated(algorithm?: KeySetAlgorithm): Promise<Drill> {
  const drill = new Drill(algorithm);
  await drill.reconcile();
  await drill.rotate();
  return drill;
}

async function refusal(work: Promise<unknown>): Promise<PortcullisError> {
  return work.then(
    () => assert.fail('was not refused'),
    (error: unknown) => {
      assert.ok(error instanceof PortcullisError, String(error));
      return error;
    },
  );
}

for (const algorithm of ['ES256', 'HS256', 'Fernet'] as const) {
  for (const alsoLost of ['nothing else', 'outputs'] as const) {
    test(`${algorithm}: a lost keyring, and ${alsoLost}: the same keys go on`, async () => {
      const drill = await rotated(algorithm);
      const before = { kids: drill.kids, outputs: drill.store.outputs };
      assert.ok(before.outputs !== null);
      drill.store.keyring = null;
      if (alsoLost === 'outputs') {
        drill.store.outputs = null;
        drill.store.exports = null;
      }
      const halted = (await drill.reconcile()).end;
      assert.ok(halted.kind === 'Halt' && halted.reason === 'KeyringLost');
      const { keyring, lost, revoked } = await drill.restore({ status: { serial: 1, kids: ['dropped-long-ago'] } });
      assert.deepEqual([lost, revoked], [[], []]);
      assert.equal(keyring.serial, before.outputs.serial + 1);
      assert.deepEqual(drill.kids, before.kids);
      const { end, outputs } = await drill.reconcile();
      assert.equal(end.kind, 'Wait');
      assert.deepEqual({ ...outputs, serial: before.outputs.serial }, before.outputs);
      assert.equal(drill.escrow.index?.serial, keyring.serial);
      await drill.rotate();
      assert.notEqual(activeKid(drill.store.outputs!), activeKid(before.outputs));
    });
  }
}

test('an older keyring in its place is replaced when asked, and its tombstones are kept', async () => {
  const drill = await rotated();
  const old = drill.store.keyring;
  assert.ok(old !== null);
  await drill.rotate();
  const { kids, escrow } = drill;
  const tombstone = { kid: 'stolen', reason: 'leaked', revokedAt: 1 };
  drill.store.keyring = { ...old, tombstones: [tombstone], maxTime: drill.now + 1 };
  const halted = (await drill.reconcile()).end;
  assert.ok(halted.kind === 'Halt' && halted.reason === 'RolledBack');
  const error = await refusal(drill.restore());
  assert.match(error.message, /has a keyring, of serial \d+; nothing was done\. .*--replace/);
  assert.deepEqual(drill.store.keyring.serial, old.serial);
  const { keyring } = await drill.restore({ replace: true });
  assert.deepEqual(drill.kids, kids);
  assert.deepEqual(keyring.tombstones, [tombstone]);
  assert.equal(keyring.maxTime, drill.now + 1);
  assert.equal(keyring.serial, escrow.index!.serial + 1);
  assert.equal((await drill.reconcile()).end.kind, 'Wait');
});

test('revoked keys do not come back, and a revoked active key is replaced before anything is published', async () => {
  const drill = await rotated();
  const [[retired = ''] = [], [active = ''] = [], [standby = ''] = []] = drill.kids;
  drill.store.keyring = null;
  drill.spec = { ...drill.spec, revocations: [active, standby].map((kid) => ({ kid, reason: 'stolen' })) };
  const { revoked } = await drill.restore();
  assert.deepEqual(revoked, [standby]);
  const { outputs } = await drill.reconcile();
  const kids = outputs?.verificationKeys.map(({ kid }) => kid) ?? [];
  assert.ok(kids.includes(retired) && !kids.includes(active) && !kids.includes(standby));
});

test('an old escrow brings no revoked key back to sign, though the resource was made again without its revocations', async () => {
  for (const remembers of ['keyring', 'escrow'] as const) {
    const drill = await rotated();
    const { escrow: old, spec } = drill;
    const stolen = old.index!.keys.find(({ phase }) => phase === 'Active')!.kid;
    const revocations = [{ kid: stolen, reason: 'stolen' }];
    drill.spec = { ...spec, revocations };
    await drill.reconcile();
    if (remembers === 'escrow') drill.store.keyring = null;
    else drill.store.escrow = old;
    const again = { escrow: old, replace: true, acceptLoss: true };
    const error = await refusal(drill.restore({ ...again, revocations: [] }));
    assert.match(
      error.message,
      new RegExp(`${stolen}, which signs by the escrow, was revoked since.* --unknown -n auth`),
    );
    await drill.restore(again);
    assert.equal((await drill.reconcile()).end.kind, 'Wait');
    assert.ok(!drill.kids.some(([kid]) => kid === stolen));
  }
});

test('what is newer than the escrow is never lost in silence', async () => {
  const drill = await rotated();
  const old = drill.escrow;
  await drill.rotate();
  const newest = drill.kids.filter(([kid]) => !old.index!.keys.some((key) => key.kid === kid)).map(([kid]) => kid);
  assert.equal(newest.length, 1);
  const serial = drill.store.outputs!.serial;
  drill.store.keyring = null;
  for (const source of ['outputs', 'status', 'traces'] as const) {
    const error = await refusal(
      drill.restore({
        escrow: old,
        store: {
          readOutputs: async () => (source === 'outputs' ? drill.store.outputs : null),
          readEscrow: async () => null,
          readTraces: async () => (source === 'traces' ? { serial } : null),
          readKeyring: async () => null,
          writeKeyring: async () => assert.fail('written'),
        },
        status: source === 'status' ? { serial, kids: newest } : { serial: 0, kids: [] },
      }),
    );
    assert.equal(error.code, 'config_invalid');
    assert.match(error.message, new RegExp(`serial ${old.index!.serial}, but serial ${serial} has been written`));
    if (source !== 'traces') assert.match(error.message, new RegExp(`it lacks ${newest[0]}`));
    assert.match(error.message, /--accept-loss/);
  }
  assert.equal(drill.store.keyring, null);
  const { keyring, lost } = await drill.restore({ escrow: old, acceptLoss: true });
  assert.deepEqual(lost, [`${newest[0]}: not in the escrow`]);
  assert.equal(keyring.serial, serial + 1);
  assert.equal((await drill.reconcile()).end.kind, 'Wait');
});

test('keys of a set that began anew are not lost in silence', async () => {
  const drill = await rotated();
  const { escrow, kids, now } = drill;
  const fresh = new Drill();
  fresh.now = now + HOUR;
  await fresh.reconcile();
  const theirs = fresh.kids.map(([kid]) => kid);
  assert.ok(fresh.store.keyring!.serial < escrow.index!.serial);
  const error = await refusal(fresh.restore({ escrow, replace: true }));
  assert.match(error.message, new RegExp(`of serial \\d+; it lacks ${theirs.join(', ')}, so that`));
  const { lost } = await fresh.restore({ escrow, replace: true, acceptLoss: true });
  assert.deepEqual(
    lost,
    theirs.map((kid) => `${kid}: not in the escrow`),
  );
  assert.deepEqual(fresh.kids, kids);
  assert.equal((await fresh.reconcile()).end.kind, 'Wait');
});

test('somebody who writes a keyring meanwhile is not overwritten', async () => {
  const drill = await rotated();
  const { keyring } = drill.store;
  drill.store.keyring = null;
  const decrypt = async (message: string) => {
    drill.store.keyring = keyring;
    return message.slice(SEAL.length);
  };
  assert.equal((await refusal(drill.restore({ decrypt }))).code, 'keyring_conflict');
  assert.equal(drill.store.keyring, keyring);
});

/** What has been done to the escrow; the drill has lost its keyring, and has its outputs. */
const tampered: readonly {
  name: string;
  change: (drill: Drill, kids: readonly string[]) => Partial<Escrow> | Promise<Partial<Escrow>>;
  says: RegExp;
}[] = [
  { name: 'no index', change: () => ({ index: null }), says: /has no index/ },
  {
    name: 'of another key set',
    change: ({ escrow }) => ({ index: { ...escrow.index!, keySet: 'auth/other' } }),
    says: /is of key set auth\/other, not of auth\/trading/,
  },
  {
    name: 'messages swapped between kids',
    change: ({ escrow: { messages } }, [a = '', b = '']) => ({
      messages: { ...messages, [a]: messages[b]!, [b]: messages[a]! },
    }),
    says: /^the message of key \S+: it holds key /,
  },
  {
    name: 'a message missing',
    change: ({ escrow: { messages } }, [, active = '']) => {
      const { [active]: _, ...others } = messages;
      return { messages: others };
    },
    says: /^the message of key \S+: it is not in the escrow$/,
  },
  {
    name: 'a message that cannot be decrypted',
    change: ({ escrow: { messages } }, [retired = '']) => ({ messages: { ...messages, [retired]: 'x' } }),
    says: /^the message of key \S+: gpg failed\. To go on without this key: --accept-loss$/,
  },
  {
    name: 'a kid less in the index',
    change: ({ escrow: { index } }) => ({
      index: { ...index!, keys: index!.keys.filter(({ phase }) => phase !== 'Retired') },
    }),
    says: /^the escrow is of serial \d+; it lacks \S+, so that tokens and ciphertexts of these keys would be lost\./,
  },
];

for (const { name, change, says } of tampered) {
  test(`an escrow with ${name}: refused, nothing written`, async () => {
    const drill = await rotated();
    const kids = drill.kids.map(([kid]) => kid);
    drill.store.keyring = null;
    const escrow = { ...drill.escrow, ...(await change(drill, kids)) };
    assert.match((await refusal(drill.restore({ escrow }))).message, says);
    assert.equal(drill.store.keyring, null);
  });
}

test('a secret of somebody else under the kid of one that pods have: refused', async () => {
  for (const algorithm of ['HS256', 'Fernet'] as const) {
    const drill = await rotated(algorithm);
    const active = activeKid(drill.store.outputs!)!;
    drill.store.keyring = null;
    const theirs = { ...(await generateKey(algorithm)), kid: active };
    const messages = { ...drill.escrow.messages, [active]: SEAL + encodeEscrowedKey(KEY_SET, theirs) };
    const error = await refusal(drill.restore({ escrow: { ...drill.escrow, messages }, acceptLoss: true }));
    assert.match(error.message, /it is not the key that pods have/);
    assert.equal(drill.store.keyring, null);
  }
});

test('a key that does not sign and cannot be decrypted is given up when asked; the active one never', async () => {
  const drill = await rotated();
  const [[retired = ''] = [], [active = ''] = []] = drill.kids;
  drill.store.keyring = null;
  const broken = { ...drill.escrow, messages: { ...drill.escrow.messages, [active]: 'x' } };
  const error = await refusal(drill.restore({ escrow: broken, acceptLoss: true }));
  assert.equal(error.message, `the message of key ${active}: gpg failed`);
  const escrow = { ...drill.escrow, messages: { ...drill.escrow.messages, [retired]: 'x' } };
  const { lost } = await drill.restore({ escrow, acceptLoss: true });
  assert.deepEqual(lost, [`${retired}: gpg failed`]);
  assert.ok(!drill.kids.some(([kid]) => kid === retired));
  assert.equal((await drill.reconcile()).end.kind, 'Wait');
});
