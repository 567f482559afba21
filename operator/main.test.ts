import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { selfSigned } from './kube/testing/self-signed.ts';
import { CONFIG_FILE } from './testing/config-file.ts';

test('SIGTERM ends an operator that still waits for the API server', async (t) => {
  const server = createServer(await selfSigned(), () => {});
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const directory = await mkdtemp(join(tmpdir(), 'portcullis-operator-main-'));
  const [config, kubeConfig] = [join(directory, 'config.yaml'), join(directory, 'kubeconfig')];
  await writeFile(config, CONFIG_FILE);
  const { port } = server.address() as AddressInfo;
  const context = { cluster: 'a', user: 'a' };
  await writeFile(
    kubeConfig,
    JSON.stringify({
      clusters: [{ name: 'a', cluster: { server: `https://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'a', user: { token: 'a' } }],
      contexts: [{ name: 'a', context }],
      'current-context': 'a',
    }),
  );
  const operator = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), '--config', config], {
    env: { ...process.env, KUBECONFIG: kubeConfig, POD_NAMESPACE: 'portcullis', POD_NAME: 'operator-0' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  t.after(async () => {
    operator.kill('SIGKILL');
    server.closeAllConnections();
    server.close();
    await rm(directory, { recursive: true });
  });

  await once(server, 'request');
  operator.kill('SIGTERM');
  // Not by the signal itself: the first process of a container does not end by that.
  assert.deepEqual(await once(operator, 'exit'), [0, null]);
});
