import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemoryKubeClient } from '../../operator/kube/testing/memory-kube-client.ts';
import { SIGNING_KEY_SETS } from '../../operator/resources.ts';
import { decodeKeySet, type KeySetObject } from './find-key-set.ts';
import { revocationEffect } from './revocation-effect.ts';
import { type RevokeOptions, revoke, runRevoke } from './run-revoke.ts';
import { fernetObject, hours, keySetObject, NOW } from './testing/key-set-object.ts';
import { memoryIo } from './testing/memory-io.ts';

const KEY = { namespace: 'auth', name: 'trading' };
const KUBECONFIG = new URL('testing/kubeconfig.yaml', import.meta.url).pathname;

/** A cluster with one key set, and `revoke` run on it. */
async function world(object: KeySetObject) {
  const client = new MemoryKubeClient();
  await client.create(SIGNING_KEY_SETS, object);
  const io = memoryIo(() => NOW);
  return {
    client,
    io,
    run: (kid: string, options: Partial<RevokeOptions> = {}) =>
      revoke(
        client,
        {
          namespace: 'auth',
          keySet: 'trading',
          kid,
          reason: 'laptop stolen',
          isUnknownAllowed: false,
          json: false,
          confirm: null,
          ...options,
        },
        io,
      ),
    revocations: async () =>
      ((await client.get(SIGNING_KEY_SETS, KEY))?.spec as { readonly revocations?: unknown } | undefined)?.revocations,
    writes: () => client.requests.filter(({ verb }) => verb === 'patch').length,
  };
}

describe('portcullis revoke', () => {
  it('appends to the revocations, says what follows, and what to commit', async () => {
    const before = { kid: 'older', reason: 'x' };
    const { run, revocations, io, client } = await world(keySetObject({ revocations: [before] }));
    assert.equal(await run('active'), 0);
    assert.deepEqual(await revocations(), [before, { kid: 'active', reason: 'laptop stolen' }]);
    assert.deepEqual((await client.get(SIGNING_KEY_SETS, KEY))?.status, keySetObject().status);
    assert.equal(io.out(), 'auth/trading: key active revoked\n');
    assert.match(io.err(), /it signs now: key standby, which is published already, signs in its place at once/);
    assert.match(
      io.err(),
      /from Git, commit .*\nspec:\n {2}revocations:\n {4}- kid: "active"\n {6}reason: "laptop stolen"\n$/,
    );
  });

  it('begins the list where there is none', async () => {
    const { run, revocations } = await world(keySetObject());
    await run('retired');
    assert.deepEqual(await revocations(), [{ kid: 'retired', reason: 'laptop stolen' }]);
  });

  it('loses nothing that others append meanwhile', async () => {
    const { client, run, revocations } = await world(keySetObject());
    let others = 0;
    client.before = async ({ verb }) => {
      if (verb !== 'patch' || others === 3) return;
      const found = await client.get(SIGNING_KEY_SETS, KEY);
      assert.ok(found !== null);
      const spec = found.spec as { readonly revocations?: readonly object[] };
      const kid = `other-${++others}`;
      await client.replace(SIGNING_KEY_SETS, {
        ...found,
        spec: { ...spec, revocations: [...(spec.revocations ?? []), { kid }] },
      });
    };
    assert.equal(await run('active'), 0);
    assert.deepEqual(await revocations(), [
      { kid: 'other-1' },
      { kid: 'other-2' },
      { kid: 'other-3' },
      { kid: 'active', reason: 'laptop stolen' },
    ]);
  });

  it('never writes into another key set that took the name meanwhile', async () => {
    const { client, run } = await world(keySetObject());
    let done = false;
    client.before = async ({ verb }) => {
      if (verb !== 'patch' || done) return;
      done = true;
      await client.delete(SIGNING_KEY_SETS, KEY);
      await client.create(SIGNING_KEY_SETS, keySetObject());
    };
    await assert.rejects(run('active'), { message: /was deleted meanwhile; nothing was revoked/ });
  });

  it('gives up when others never let it', async () => {
    const { client, run } = await world(keySetObject());
    client.before = async ({ verb }) => {
      if (verb === 'patch')
        await client.replace(SIGNING_KEY_SETS, (await client.get(SIGNING_KEY_SETS, KEY)) as KeySetObject);
    };
    await assert.rejects(run('active'), {
      retry: 'later',
      message: /others keep changing auth\/trading; nothing was revoked/,
    });
  });

  it('does nothing to a key that is revoked already', async () => {
    const { run, writes, io } = await world(keySetObject({ revocations: [{ kid: 'gone' }] }));
    assert.equal(await run('gone', { json: true }), 0);
    assert.equal(writes(), 0);
    assert.deepEqual(JSON.parse(io.out()), { ...KEY, kid: 'gone', state: null, successor: null, isNew: false });
  });

  it('refuses a kid that the key set does not have, and lists those that it has', async () => {
    const { run, writes } = await world(keySetObject());
    await assert.rejects(run('actve'), {
      code: 'config_invalid',
      message:
        'auth/trading has no key actve; did you mean active?; it has retired (Retired), active (Active), standby (Standby). To revoke it all the same, add --unknown',
    });
    assert.equal(writes(), 0);
    assert.equal(await run('actve', { isUnknownAllowed: true }), 0);
    assert.equal(writes(), 1);
  });

  for (const [yes, code] of [
    [true, 0],
    [false, 1],
  ] as const) {
    it(`asks, after it said what follows, and takes ${yes ? 'yes' : 'no'} for an answer`, async () => {
      const { run, writes, io } = await world(keySetObject());
      let said = '';
      const confirm = async () => {
        said = io.err();
        return yes;
      };
      assert.equal(await run('active', { confirm }), code);
      assert.match(said, /every token that it signed is refused/);
      assert.equal(writes(), yes ? 1 : 0);
    });
  }

  const flags: readonly [name: string, argv: readonly string[], says: RegExp][] = [
    ['no reason', ['trading', 'active', '--yes'], /--reason TEXT is required/],
    ['no terminal to ask on', ['trading', 'active', '--reason', 'x'], /standard input is no terminal; add --yes/],
    ['no kid', ['trading', '--reason', 'x', '--yes'], /wants NAME KID, not 1/],
  ];
  for (const [name, argv, says] of flags) {
    it(`refuses ${name}`, async () => {
      const io = memoryIo(() => NOW);
      const stdin = (async function* (): AsyncGenerator<Uint8Array> {})();
      assert.equal(await runRevoke(['--kubeconfig', KUBECONFIG, ...argv], { ...io, stdin }), 2);
      assert.match(io.err(), says);
    });
  }
});

describe('what follows a revocation', () => {
  const NEW_KEY = /a new key signs in its place at once; its tokens are refused until pods have it, within 120s/;
  const effects: readonly [
    name: string,
    object: KeySetObject,
    kid: string,
    effect: readonly unknown[],
    says: RegExp,
  ][] = [
    ['a matured successor', keySetObject(), 'active', ['Active', 'Standby'], /key standby, which is published already/],
    [
      'a successor not long enough published',
      keySetObject({ rotation: { prePublish: '31h' } }),
      'active',
      ['Active', 'NewKey'],
      NEW_KEY,
    ],
    [
      'no successor',
      keySetObject({}, { keys: [{ kid: 'active', state: 'Active', algorithm: 'ES256', createdAt: hours(-9) }] }),
      'active',
      ['Active', 'NewKey'],
      NEW_KEY,
    ],
    [
      'an HS set, which nobody outside verifies',
      keySetObject({ algorithm: 'HS256' }),
      'retired',
      ['Retired', null],
      /\(propagation\)$/,
    ],
    [
      'a retired key',
      keySetObject(),
      'retired',
      ['Retired', null],
      /every token that it signed is refused.* outside within 600s/,
    ],
    ['a standby key', keySetObject(), 'standby', ['Standby', null], /never been used; another one is made/],
    ['an unknown key', keySetObject(), 'none', [null, null], /should it come back, it is refused/],
    ['a Fernet key', fernetObject(), 'active', ['Active', 'NewKey'], /CANNOT BE READ ANY MORE: re-encrypt that first/],
  ];
  for (const [name, object, kid, [state, successor], says] of effects) {
    it(`is told for ${name}`, () => {
      const effect = revocationEffect(decodeKeySet(object), object.status ?? {}, kid, NOW);
      assert.deepEqual([effect.state, effect.successor], [state, successor]);
      assert.match(effect.lines.join('\n'), says);
    });
  }
});
