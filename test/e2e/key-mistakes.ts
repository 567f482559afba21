import assert from 'node:assert/strict';
import { condition } from './look.ts';
import type { Stage } from './scenario.ts';
import { hastyKeys } from './trading.ts';
import { type Manifest, until } from './world.ts';

/** What people get wrong with key sets: refused with what to write, and nothing that exists is overwritten. */
export async function keyMistakes({ world, scenario }: Stage): Promise<void> {
  /** Waits until a key set is not accepted; gives the message. */
  const refused = (name: string, namespace: string, reason: string): Promise<string> =>
    until(`${name} refused as ${reason}`, async () => {
      const accepted = condition(await world.get('sks', name, namespace), 'Accepted');
      return accepted.status === 'False' && accepted.reason === reason && accepted.message;
    });
  const ready = (name: string, namespace: string): Promise<boolean> =>
    until(`${name} ready`, async () => condition(await world.get('sks', name, namespace), 'Ready').status === 'True');

  await scenario('inequalities are refused at once', async (namespace) => {
    const said: string[] = [];
    for (const change of [{ jwksMaxAge: '1h' }, { maxTokenLifetime: '10m' }, { algorithm: 'HS1' }]) {
      const keys = hastyKeys();
      Object.assign(keys.spec, change);
      await assert.rejects(world.apply(namespace, keys), (error: Error) => {
        said.push(error.message);
        return true;
      });
    }
    assert.match(said[0]!, /prePublish/);
    assert.match(said[1]!, /maxKeys/);
    assert.match(said[2]!, /EdDSA/);
    return `${said.length} of 3, each with the field`;
  });

  await scenario("somebody else's Secret in the way", async (namespace) => {
    const secret: Manifest = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'trading-jwks' },
      stringData: { precious: 'data' },
    };
    await world.apply(namespace, secret, hastyKeys());
    const message = await refused('trading', namespace, 'Conflicted');
    assert.match(message, /secretName/);
    const kept = await world.get('secret', 'trading-jwks', namespace);
    assert.deepEqual(Object.keys(kept.data), ['precious']);
    await world.kubectl(['delete', 'secret', 'trading-jwks', '-n', namespace]);
    // Looked at again within a minute, and at once when the key set changes.
    await world.kubectl(['annotate', 'sks', 'trading', '-n', namespace, 'example.com/looked-at=again']);
    await ready('trading', namespace);
    return message;
  });

  await scenario('two sets with one target', async (namespace) => {
    const older = hastyKeys();
    older.spec.secretName = 'public-keys';
    await world.apply(namespace, older);
    await ready('trading', namespace);
    const younger = hastyKeys();
    younger.metadata.name = 'another';
    younger.spec.secretName = 'public-keys';
    await world.apply(namespace, younger);
    const message = await refused('another', namespace, 'Conflicted');
    assert.match(message, /trading/);
    return message;
  });

  await scenario('a recipient that is no key', async (namespace) => {
    const keys = hastyKeys();
    keys.spec.escrow = { recipientsSecretRef: { name: 'ops-pgp-keys' } };
    await world.apply(namespace, keys);
    const missing = await degraded('EscrowUnavailable', namespace);
    assert.match(missing, /ops-pgp-keys/);
    await world.apply(namespace, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'ops-pgp-keys', labels: { 'portcullis.dev/allow-reference': 'true' } },
      stringData: { 'ops.asc': 'not a key' },
    });
    const wrong = await until('another message', async () => {
      const { message = '' } = condition(await world.get('sks', 'trading', namespace), 'Degraded');
      return message.includes('ops.asc') && message;
    });
    assert.equal(
      await world.get('secret', `${namespace}.trading-keyring`, 'portcullis-system'),
      null,
      'no key was made',
    );
    return wrong;
  });

  function degraded(reason: string, namespace: string): Promise<string> {
    return until(`Degraded ${reason}`, async () => {
      const found = condition(await world.get('sks', 'trading', namespace), 'Degraded');
      return found.status === 'True' && found.reason === reason && found.message;
    });
  }
}
