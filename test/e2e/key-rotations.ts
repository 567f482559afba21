import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { OPERATOR_NAMESPACE } from './installation.ts';
import { readyPods, serviceAddress, tokenFor } from './look.ts';
import type { Stage } from './scenario.ts';
import { withoutFailure } from './steady-load.ts';
import { app, hastyKeys, policy, service } from './trading.ts';
import { documents, type Manifest, until, type World } from './world.ts';

/** `E2E_ROTATIONS` says how many; CI sees fifty. */
const ROTATIONS = Number(process.env['E2E_ROTATIONS'] ?? 50);
const KILL_EVERY_MS = 20_000;
const RIVAL = 'rival';
const TRADER = { sub: 'tom', roles: ['trader'] };

/** Keys change every few seconds, two leaders know nothing of each other, operators die: no request with a valid token fails. */
export async function keyRotations({ world, scenario, ready }: Stage): Promise<void> {
  await scenario('rotations beside a rival and a killer', async (namespace) => {
    await startRival(world);
    await world.apply(
      namespace,
      hurriedKeys(),
      policy('orders'),
      service('web', { 'access-policy': 'orders' }),
      app('web'),
    );
    await ready(namespace, 'app=web', 1);
    const url = `http://${await serviceAddress(world, namespace, 'web')}/orders`;
    const minted: string[] = [];
    const headers = async (): Promise<Record<string, string>> => {
      const token = await tokenFor(world, namespace, 'trading', TRADER, '60s');
      minted.push(token);
      return { authorization: `Bearer ${token}` };
    };
    const kids = new Set<string>();
    let killed = 0;
    let shown = 0;
    /** Every token that is still alive, whichever key signed it. */
    const showAll = async (): Promise<void> => {
      for (const token of minted) {
        if ((decodeJwt(token).exp ?? 0) * 1_000 < Date.now() + 1_000) continue;
        const { status } = await world.client.request({ url, headers: { authorization: `Bearer ${token}` } });
        assert.equal(status, 200, `a token of key ${decodeProtectedHeader(token).kid}`);
        shown++;
      }
    };
    const refusals = async (): Promise<string> => {
      const [pod] = await readyPods(world, namespace, 'app=web');
      const { body } = await world.client.request({ url: `http://${pod.status.podIP}:14181/metrics` });
      return (body.match(/^portcullis_jwt_validation_failures_total.*$/gm) ?? []).join('\n');
    };
    const unharmed = await withoutFailure({ client: world.client, url, perSecond: 20, headers }, async () => {
      const killer = new AbortController();
      const killing = killAtRandom(world, killer.signal, () => killed++);
      try {
        await until(
          `${ROTATIONS} rotations`,
          async () => {
            const keys = await world.get('signingkeyset', 'trading', namespace);
            for (const { kid, state } of keys.status?.keys ?? []) if (state !== 'Standby') kids.add(kid);
            await showAll();
            return kids.size > ROTATIONS;
          },
          { timeoutMs: ROTATIONS * 15_000, everyMs: 1_000 },
        );
      } finally {
        killer.abort();
        await killing;
      }
    }).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${await refusals()}`, { cause: error });
    });
    await world.kubectl(['delete', 'deployment', RIVAL, '-n', OPERATOR_NAMESPACE]);
    return `${kids.size - 1} rotations, ${killed} operators killed, two leaders: ${unharmed}; ${minted.length} tokens shown ${shown} times until they expired, 0 refused`;
  });
}

/** T 60s, R 4s, P 1s, S 1s: a new key signs every four seconds, and a token outlives some fifteen of them. */
function hurriedKeys(): Manifest {
  const keys = hastyKeys();
  keys.spec = {
    ...keys.spec,
    maxTokenLifetime: '60s',
    rotation: { period: '4s', prePublish: '2s', maxKeys: 32, ackTimeout: '5m' },
    propagation: '1s',
  };
  return keys;
}

/** A second Deployment of the operator that stands for a Lease of its own: both lead. */
async function startRival(world: World): Promise<void> {
  const deployment = await world.get('deployment', 'portcullis', OPERATOR_NAMESPACE);
  const config = await world.get('configmap', 'portcullis', OPERATOR_NAMESPACE);
  const [role, ...others] = documents(
    await world.kubectl(['get', 'role', 'portcullis', '-n', OPERATOR_NAMESPACE, '-o', 'yaml']),
  );
  assert.deepEqual(others, []);
  for (const rule of role.rules) if (rule.resourceNames !== undefined) rule.resourceNames.push(RIVAL);
  const labels = { app: RIVAL };
  const { template } = deployment.spec;
  template.metadata.labels = labels;
  template.spec.volumes[0].configMap.name = RIVAL;
  delete template.spec.topologySpreadConstraints;
  await world.apply(
    OPERATOR_NAMESPACE,
    { ...role, metadata: { name: 'portcullis' } },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: RIVAL },
      data: { 'config.yaml': config.data['config.yaml'].replace('leaseName: portcullis', `leaseName: ${RIVAL}`) },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: RIVAL },
      spec: { replicas: 1, selector: { matchLabels: labels }, template },
    },
  );
  await until(
    'a rival that leads',
    async () => (await world.get('lease', RIVAL, OPERATOR_NAMESPACE))?.spec.holderIdentity,
  );
}

/** Ends one operator pod after the other, without grace, until `signal` says enough. */
async function killAtRandom(world: World, signal: AbortSignal, onKilled: () => void): Promise<void> {
  while (!signal.aborted) {
    await sleep(KILL_EVERY_MS, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const pods = await readyPods(world, OPERATOR_NAMESPACE);
    const pod = pods[Math.floor(Math.random() * pods.length)];
    if (pod === undefined) continue;
    const now = ['--grace-period=0', '--force', '--ignore-not-found'];
    await world.kubectl(['delete', 'pod', pod.metadata.name, '-n', OPERATOR_NAMESPACE, ...now]);
    onKilled();
  }
}
