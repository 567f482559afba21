import assert from 'node:assert/strict';
import { decodeProtectedHeader } from 'jose';
import { OPERATOR_NAMESPACE } from './installation.ts';
import { condition, serviceAddress, tokenFor } from './look.ts';
import type { Stage } from './scenario.ts';
import { app, calmKeys, policy, service } from './trading.ts';
import { type Manifest, until, type World } from './world.ts';

const TRADER = { sub: 'tom', roles: ['trader'] };
const ALGORITHMS = ['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'];

/** What people do with keys: look, rotate, revoke, change the algorithm, let others verify, encrypt. */
export async function keyUses({ world, scenario, ready }: Stage): Promise<void> {
  const { client } = world;
  const portcullis = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await world.portcullis(args);
    assert.equal(code, 0, `portcullis ${args.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  };

  await scenario('every algorithm in turn', async (namespace) => {
    const keys = calmKeys();
    await world.apply(namespace, keys, policy('orders'), service('web', { 'access-policy': 'orders' }), app('web'));
    await ready(namespace, 'app=web', 1);
    const url = `http://${await serviceAddress(world, namespace, 'web')}/orders`;
    const seen: string[] = [];
    for (const algorithm of ALGORITHMS) {
      await world.patch('sks', 'trading', namespace, { spec: { algorithm } });
      const token = await until(`a token of ${algorithm}`, async () => {
        const minted = await tokenFor(world, namespace, 'trading', TRADER, '20s');
        return decodeProtectedHeader(minted).alg === algorithm && minted;
      });
      const { status } = await client.request({ url, headers: { authorization: `Bearer ${token}` } });
      assert.equal(status, 200, algorithm);
      seen.push(algorithm);
    }
    return `${seen.join(', ')}: each 200 the moment it signs`;
  });

  await scenario('kubectl portcullis keys, rotate, revoke', async (namespace) => {
    await world.apply(namespace, calmKeys());
    const first = await activeKey(world, namespace);
    const at = ['trading', '-n', namespace];
    await until('a next key', async () => (await world.get('sks', 'trading', namespace)).status.nextKey);
    const table = await world.kubectl(['get', 'sks', ...at]);
    assert.match(table, /ACTIVE KEY +NEXT KEY +NEXT ROTATION/);
    assert(table.includes(first));
    assert((await portcullis('keys', ...at)).includes(first));
    await portcullis('rotate', ...at, '--wait', '--timeout', '60s');
    const second = await activeKey(world, namespace);
    assert.notEqual(second, first);
    await portcullis('revoke', 'trading', second, '-n', namespace, '--reason', 'laptop stolen', '--yes');
    const third = await until('another key', async () => {
      const now = await activeKey(world, namespace);
      return now !== second && now;
    });
    const shown = JSON.parse(await portcullis('keys', ...at, '-o', 'json'));
    assert(JSON.stringify(shown).includes(third) && !JSON.stringify(shown).includes(second));
    const reasons = new Set((await world.list('events', namespace)).map(({ reason }) => reason));
    for (const reason of ['Prepared', 'Published', 'Activated', 'Retired', 'Revoked']) {
      assert(reasons.has(reason), `Event ${reason}, of ${[...reasons].join(' ')}`);
    }
    return `rotated ${short(first)} to ${short(second)}, revoked it, ${short(third)} signs; Events ${[...reasons].join(', ')}`;
  });

  await scenario('verifiers outside the cluster', async (namespace) => {
    await world.apply(namespace, calmKeys());
    const kid = await activeKey(world, namespace);
    const address = await serviceAddress(world, OPERATOR_NAMESPACE, 'portcullis-jwks');
    const url = `http://${address}/jwks/${namespace}/trading`;
    const reply = await until('the key served', async () => {
      const got = await client.request({ url });
      return got.status === 200 && got.body.includes(kid) && got;
    });
    const { keys } = JSON.parse(reply.body);
    assert(keys.every((key: Manifest) => key.d === undefined && key.use === 'sig'));
    const again = await client.request({ url, headers: { 'if-none-match': String(reply.headers['etag']) } });
    assert.equal(again.status, 304);
    const host = new URL(calmKeys().spec.issuer).host;
    const discovery = await client.request({
      url: `${url}/.well-known/openid-configuration`,
      headers: { host },
    });
    assert.equal(JSON.parse(discovery.body).issuer, calmKeys().spec.issuer);
    return `${keys.length} keys, ${reply.headers['cache-control']}, 304 for the same ETag; ${JSON.parse(discovery.body).jwks_uri}`;
  });

  await scenario('Fernet', async (namespace) => {
    const keys = { ...calmKeys(), spec: fernetSpec() };
    await world.apply(namespace, keys);
    await until('keys for apps', () => world.get('secret', 'trading-fernet', namespace));
    const fernet = async (command: string, stdin: string): Promise<string> => {
      const { code, stdout, stderr } = await world.portcullis(
        ['fernet', command, '--secret', `${namespace}/trading-fernet`],
        stdin,
      );
      assert.equal(code, 0, stderr);
      return stdout.trim();
    };
    const token = await fernet('encrypt', 'api-key-of-the-broker');
    const first = await activeKey(world, namespace);
    await portcullis('rotate', 'trading', '-n', namespace, '--wait', '--timeout', '60s');
    assert.equal(await fernet('decrypt', token), 'api-key-of-the-broker');
    const rotated = await fernet('rotate', token);
    assert.notEqual(rotated, token);
    await portcullis('revoke', 'trading', first, '-n', namespace, '--reason', 'rotated out', '--yes');
    await until('the key gone', async () => {
      const secret = await world.get('secret', 'trading-fernet', namespace);
      return Buffer.from(secret.data.keys, 'base64').toString().trim().split('\n').length === 1;
    });
    assert.equal(await fernet('decrypt', rotated), 'api-key-of-the-broker');
    return 'encrypted, keys rotated, still decrypted; re-encrypted, old key revoked, decrypted by the new one alone';
  });
}

function fernetSpec(): Manifest {
  const { rotation, propagation, jwksMaxAge, clockSkew } = calmKeys().spec;
  return { algorithm: 'Fernet', rotation, propagation, jwksMaxAge, clockSkew };
}

function activeKey(world: World, namespace: string): Promise<string> {
  return until('a key that signs', async () => {
    const keys = await world.get('sks', 'trading', namespace);
    return condition(keys, 'Ready').status === 'True' && keys.status.activeKey;
  });
}

function short(kid: string): string {
  return kid.slice(0, 6);
}
