import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missingPrograms } from '../support/system-programs.ts';
import { OPERATOR_NAMESPACE } from './installation.ts';
import { condition, serviceAddress, tokenFor } from './look.ts';
import type { Stage } from './scenario.ts';
import { withoutFailure } from './steady-load.ts';
import { app, calmKeys, policy, service } from './trading.ts';
import { type Manifest, until } from './world.ts';

const TRADER = { sub: 'tom', roles: ['trader'] };

/** The restore drill of docs/operations.md, with a real gpg, under load. */
export async function keyRestores({ world, scenario, ready }: Stage): Promise<void> {
  const missing = missingPrograms({ gpg: 'gnupg' });
  if (missing !== null) throw new Error(missing);
  const home = await mkdtemp(join(tmpdir(), 'portcullis-gpg-'));
  const gpg = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await world.run('gpg', ['--homedir', home, '--batch', '--quiet', ...args]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const decrypt = ['--decrypt', `gpg --homedir ${home} --batch --quiet --decrypt`];
  const portcullis = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await world.portcullis(args);
    assert.equal(code, 0, `portcullis ${args.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  };

  try {
    await scenario('the restore drill', async (namespace) => {
      const secret = (what: string): string => `${namespace}.trading-${what}`;
      const inOperator = (what: string): Promise<Manifest | null> =>
        world.get('secret', secret(what), OPERATOR_NAMESPACE);
      const lose = (what: string): Promise<string> =>
        world.kubectl(['delete', 'secret', secret(what), '-n', OPERATOR_NAMESPACE]);
      const keySet = (): Promise<Manifest> => world.get('sks', 'trading', namespace);
      const halted = (reason: string): Promise<string> =>
        until(`halted: ${reason}`, async () => {
          const found = condition(await keySet(), 'Degraded');
          return found.reason === reason && found.message;
        });
      const healthy = (): Promise<boolean> =>
        until('healthy', async () => {
          const object = await keySet();
          return condition(object, 'Ready').status === 'True' && condition(object, 'Degraded').status === 'False';
        });

      await gpg('--passphrase', '', '--quick-generate-key', 'ops@example.com', 'future-default', 'default', '1y');
      const keys = calmKeys();
      keys.spec = { ...keys.spec, escrow: { recipientsSecretRef: { name: 'ops-pgp-keys' } } };
      keys.spec.maxTokenLifetime = '10m';
      const recipients: Manifest = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'ops-pgp-keys', labels: { 'portcullis.dev/allow-reference': 'true' } },
        stringData: { 'ops.asc': await gpg('--armor', '--export', 'ops@example.com') },
      };
      await world.apply(
        namespace,
        recipients,
        keys,
        policy('orders'),
        service('web', { 'access-policy': 'orders' }),
        app('web'),
      );
      await ready(namespace, 'app=web', 1);
      await healthy();
      const url = `http://${await serviceAddress(world, namespace, 'web')}/orders`;
      const token = await tokenFor(world, namespace, 'trading', TRADER, '10m');
      const headers = async (): Promise<Record<string, string>> => ({ authorization: `Bearer ${token}` });
      const revoked = (await keySet()).status.nextKey;
      await portcullis('revoke', 'trading', revoked, '-n', namespace, '--reason', 'drill', '--yes');
      await until('another next key', async () => ![undefined, revoked].includes((await keySet()).status.nextKey));
      await healthy();
      const said: string[] = [];

      const unharmed = await withoutFailure({ client: world.client, url, perSecond: 10, headers }, async () => {
        const before = (await keySet()).status;
        const backup = await inOperator('keyring');

        await lose('keyring');
        said.push(`keyring lost: ${(await halted('KeyringLost')).slice(0, 60)}…`);
        await portcullis('keys', 'restore', 'trading', '-n', namespace, ...decrypt);
        await healthy();
        assert.equal((await keySet()).status.activeKey, before.activeKey);
        said.push('restored');

        await portcullis('rotate', 'trading', '-n', namespace, '--wait', '--timeout', '60s');
        const after = (await keySet()).status.activeKey;
        delete backup?.metadata.resourceVersion;
        delete backup?.metadata.uid;
        await lose('keyring');
        await world.apply(OPERATOR_NAMESPACE, backup);
        said.push(`older backup: ${(await halted('RolledBack')).slice(0, 60)}…`);
        await portcullis('keys', 'restore', 'trading', '-n', namespace, '--replace', ...decrypt);
        await healthy();
        assert.equal((await keySet()).status.activeKey, after);

        await lose('outputs');
        await until('outputs again', () => inOperator('outputs'));
        await world.kubectl([
          'patch',
          'sks',
          'trading',
          '-n',
          namespace,
          '--subresource=status',
          '--type=json',
          '-p',
          '[{"op":"remove","path":"/status"}]',
        ]);
        await until('status again', async () => (await keySet()).status?.activeKey === after);
        said.push('outputs and status rebuilt');

        const escrow = await inOperator('escrow');
        const file = join(home, 'escrow.json');
        await writeFile(file, JSON.stringify(escrow));
        for (const what of ['keyring', 'outputs', 'escrow']) await lose(what);
        await halted('KeyringLost');
        await portcullis('keys', 'restore', 'trading', '-n', namespace, '--file', file, ...decrypt);
        await healthy();
        assert.equal((await keySet()).status.activeKey, after);
        said.push('all lost: restored from a file');
      });
      const kids = (await keySet()).status.keys.map(({ kid }: Manifest) => kid);
      assert(!kids.includes(revoked), 'what was revoked stays revoked');

      await lose('keyring');
      const message = await halted('KeyringLost');
      const serial = /regenerate@(\d+)/.exec(message)?.[1];
      const last = (await keySet()).status.activeKey;
      await world.kubectl([
        'annotate',
        'sks',
        'trading',
        '-n',
        namespace,
        `portcullis.dev/recover=regenerate@${serial}`,
      ]);
      await until('a new first key', async () => ![undefined, last].includes((await keySet()).status.activeKey));
      said.push(`loss accepted at serial ${serial}`);
      return `${said.join('; ')}; ${unharmed}`;
    });
  } finally {
    await world.run('gpgconf', ['--homedir', home, '--kill', 'gpg-agent']);
    await rm(home, { recursive: true, force: true });
  }
}
