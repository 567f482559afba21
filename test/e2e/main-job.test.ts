import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { installPortcullis, OPERATOR_NAMESPACE, uninstallPortcullis, upgradePortcullis } from './installation.ts';
import { condition, podsOf, readyPods, serviceAddress, tokenFor } from './look.ts';
import { scrapedByPrometheus } from './prometheus.ts';
import { withoutFailure } from './steady-load.ts';
import { accessPolicy, hastyKeys, limitPolicy, redis, restrictedNamespace, TRADING, tradingApi } from './trading.ts';
import { type Manifest, part, timed, until, worldFor } from './world.ts';

test('the main job in a real cluster', async (t) => {
  const world = await worldFor(t);
  if (world === undefined) return;
  const { client } = world;
  /** A step; the ones after it need it, so that the first failure ends the test. */
  const step = async (name: string, work: () => Promise<string>): Promise<void> => {
    if (!(await part(t, name, work))) throw new Error(`step failed: ${name}`);
  };
  const token = (claims: object, lifetime = '15s'): Promise<string> =>
    tokenFor(world, TRADING, 'trading', claims, lifetime);
  const bearer = async (claims: object): Promise<Record<string, string>> => ({
    authorization: `Bearer ${await token(claims)}`,
  });
  const TRADER = { sub: 'tom', roles: ['trader'], tier: 'premium' };
  let url = '';

  /** Steady GET /orders while `work` goes on: none may fail. */
  const underLoad = (perSecond: number, work: () => Promise<void>): Promise<string> =>
    withoutFailure({ client, url: `${url}/orders`, perSecond, headers: () => bearer(TRADER) }, work);

  await step('helm install', async () => installPortcullis(world));

  await step('one kubectl apply: policies, Service and Deployment', async () => {
    await world.apply('default', restrictedNamespace(TRADING));
    const { service, deployment } = tradingApi();
    await world.apply(TRADING, ...redis(), hastyKeys(), accessPolicy(), limitPolicy(), service, deployment);
    const pods = await until('2 guarded pods ready', async () => {
      const ready = await readyPods(world, TRADING, 'app=trading-api');
      return ready.length === 2 && ready;
    });
    for (const pod of pods) {
      assert.equal(pod.spec.initContainers[0].name, 'portcullis');
      assert.equal(pod.spec.containers[0].ports[0].name, undefined, "the name of the port is the sidecar's now");
    }
    url = `http://${await serviceAddress(world, TRADING, 'trading-api')}`;
    await until('the Service answers', async () => (await client.request({ url: `${url}/orders` })).status === 401);
    return '2 of 2 pods with a sidecar, in a namespace that enforces the restricted profile';
  });

  await step('401, 200, 403, 429 through the Service', async () => {
    const at = async (claims: object | null, path: string): Promise<number> =>
      (await client.request({ url: url + path, headers: claims === null ? {} : await bearer(claims) })).status;
    assert.equal(await at(null, '/orders'), 401);
    assert.equal(await at(TRADER, '/orders'), 200);
    assert.equal(await at({ sub: 'vera', roles: ['viewer'], tier: 'premium' }, '/orders'), 403);
    assert.equal(await at({ sub: 'vera', roles: ['viewer'], tier: 'premium' }, '/users/vera'), 200);
    // A limit that nobody has met yet: the first calls of a process are slow, and what is slow counts as Redis away.
    await until('both pods count in Redis', async () => {
      const warm = await bearer({ sub: `warm-${Date.now()}`, roles: ['trader'] });
      await client.burst({ url: `${url}/orders`, headers: warm, count: 20 });
      const pods = await readyPods(world, TRADING, 'app=trading-api');
      const metrics = await Promise.all(
        pods.map(({ status }) => client.request({ url: `http://${status.podIP}:14181/metrics` })),
      );
      return metrics.every((reply) => /^portcullis_store_degraded 0$/m.test(reply.body));
    });
    const body = JSON.stringify({ user: 'tom', password: 'x' });
    const headers = { 'content-type': 'application/json' };
    const counted = async (): Promise<{ admitted: number; limited: number }> => {
      const replies = [];
      // One after the other: of forty at once one may find Redis slower than 20 ms, and be counted by its pod.
      while (replies.length < 40) {
        replies.push(await client.request({ url: `${url}/auth/login`, method: 'POST', headers, body }));
      }
      const limited = replies.filter(({ status }) => status === 429);
      assert(limited.every((reply) => reply.headers['ratelimit'] !== undefined));
      return { admitted: replies.filter(({ status }) => status === 200).length, limited: limited.length };
    };
    // A machine that stands still for 20 ms makes even one of those: then another window says.
    let { admitted, limited } = await counted();
    for (let window = 1; window < 3 && admitted !== 10; window++) {
      await sleep(61_000);
      ({ admitted, limited } = await counted());
    }
    assert.deepEqual([admitted, limited], [10, 30]);
    return `401, 200, 403; ${admitted} of 40 log-ins admitted by both pods together, 30 answered 429`;
  });

  await step('ticks flow', async () => {
    const answer = await client.ticks({
      url: `${url.replace('http', 'ws')}/ticks`,
      headers: await bearer(TRADER),
      count: 10,
    });
    assert.equal(answer.messages, 10);
    const anonymous = await client.ticks({ url: `${url.replace('http', 'ws')}/ticks`, count: 1 });
    assert.equal(anonymous.status, 401);
    return '10 messages over the WebSocket; without a token 401';
  });

  await step('kubectl portcullis status and explain', async () => {
    const status = await until('both pods enforce', async () => {
      const { code, stdout, stderr } = await world.portcullis([
        'status',
        'svc/trading-api',
        '-n',
        TRADING,
        '-o',
        'json',
      ]);
      assert.equal(stderr, '');
      assert.equal(code, 1, "the application's port is open beside the sidecar");
      const [report] = JSON.parse(stdout);
      return report.pods.every((pod: Manifest) => pod.enforced === 'yes' && pod.protected === 'no') && report;
    });
    assert.equal(status.pods.length, 2);
    assert.match(status.pods[0].why.join(), /3000/);
    const pod = status.pods[0].name;
    const explain = async (...args: string[]): Promise<Manifest> => {
      const { stdout, stderr } = await world.portcullis(['explain', pod, ...args, '-n', TRADING]);
      return stdout + stderr;
    };
    assert.match(await explain('GET', '/orders'), /result: 401/);
    assert.match(
      await explain('GET', '/orders', '--claims', JSON.stringify({ sub: 'vera', roles: ['viewer'] })),
      /result: 403/,
    );
    assert.match(
      await explain('GET', '/orders', '--claims', JSON.stringify({ sub: 'tom', roles: ['trader'] })),
      /result: .*(pass|forward|200)/,
    );
    return `enforced yes, protected no (${status.pods[0].why[0]}); explain says 401, 403 and forwarded`;
  });

  await step('Shadow denies nothing, Enforce denies', async () => {
    const put = async (mode: string): Promise<number> => {
      await world.patch('accesspolicy', 'orders', TRADING, { spec: { mode } });
      const { seconds } = await timed(() =>
        until(`mode ${mode} in force`, async () => {
          const policy = await world.get('accesspolicy', 'orders', TRADING);
          const enforced = condition(policy, 'Enforced');
          return (
            enforced.observedGeneration === policy.metadata.generation &&
            (enforced.status === 'True' || enforced.reason === 'Shadow')
          );
        }),
      );
      return seconds;
    };
    const shadow = await put('Shadow');
    // The application answers this path to anybody.
    const candles = `${url}/candles?symbol=AAPL`;
    const statuses = new Set((await client.burst({ url: candles, count: 6 })).map(({ status }) => status));
    assert.deepEqual([...statuses], [200]);
    const enforce = await put('Enforce');
    assert.equal((await client.request({ url: candles })).status, 401);
    return `Shadow after ${shadow.toFixed(1)} s: 200 without a token; Enforce after ${enforce.toFixed(1)} s: 401`;
  });

  await step('five rotations under load', async () => {
    const kids = new Set<string>();
    const unharmed = await underLoad(20, async () => {
      await until(
        'six different keys active',
        async () => {
          const keys = await world.get('signingkeyset', 'trading', TRADING);
          if (keys.status?.activeKey) kids.add(keys.status.activeKey);
          return kids.size >= 6;
        },
        { timeoutMs: 180_000, everyMs: 500 },
      );
    });
    return `${kids.size - 1} rotations: ${unharmed}`;
  });

  await step('a revoked key is refused by both pods', async () => {
    const keys = await world.get('signingkeyset', 'trading', TRADING);
    const kid = keys.status.activeKey;
    const headers = { authorization: `Bearer ${await token(TRADER, '20s')}` };
    assert.equal((await client.request({ url: `${url}/orders`, headers })).status, 200);
    const revocations = [{ kid, reason: 'laptop stolen' }];
    await world.patch('sks', 'trading', TRADING, { spec: { revocations } });
    const pods = await readyPods(world, TRADING, 'app=trading-api');
    // Each pod until its first refusal: refused tokens spend the anonymous rate, so that later ones are 429.
    const { seconds, result: refusals } = await timed(() =>
      Promise.all(
        pods.map(({ status: { podIP } }) =>
          until('a refusal', async () => {
            const { status } = await client.request({ url: `http://${podIP}:14180/orders`, headers });
            return status !== 200 && status;
          }),
        ),
      ),
    );
    assert.deepEqual(refusals, [401, 401]);
    assert(seconds < 15, `took ${seconds} s, more than the life of the token`);
    assert.equal((await client.request({ url: `${url}/orders`, headers: await bearer(TRADER) })).status, 200);
    return `401 everywhere ${seconds.toFixed(1)} s after kubectl patch; a token by the next key is 200`;
  });

  await step('a policy edit is Enforced only when both pods run it', async () => {
    const before = await world.get('accesspolicy', 'orders', TRADING);
    const rules = [
      ...before.spec.rules,
      { name: 'edited', match: { paths: ['/edited'], methods: ['GET'] }, allow: [{ anonymous: true }] },
    ];
    await world.patch('accesspolicy', 'orders', TRADING, { spec: { rules } });
    const seen: string[] = [];
    const { seconds } = await timed(() =>
      until(
        'Enforced True',
        async () => {
          const policy = await world.get('accesspolicy', 'orders', TRADING);
          const { status, reason, observedGeneration } = condition(policy, 'Enforced');
          if (observedGeneration !== policy.metadata.generation) return false;
          if (seen.at(-1) !== `${status} ${reason}`) seen.push(`${status} ${reason}`);
          return status === 'True';
        },
        { everyMs: 20 },
      ),
    );
    // Both pods run the rule now: the app itself does not know the path.
    const statuses = (await client.burst({ url: `${url}/edited`, count: 12 })).map(({ status }) => status);
    assert.deepEqual([...new Set(statuses)], [404]);
    return `${seen.join(' -> ')} after ${seconds.toFixed(2)} s, at 2 pods`;
  });

  await step('kubectl rollout restart under load', async () => {
    const unharmed = await underLoad(25, async () => {
      await world.kubectl(['rollout', 'restart', 'deployment/trading-api', '-n', TRADING]);
      await world.kubectl(['rollout', 'status', 'deployment/trading-api', '-n', TRADING, '--timeout=120s']);
      await until('old pods gone', async () => (await podsOf(world, TRADING, 'app=trading-api')).length === 2);
    });
    return unharmed;
  });

  await step('the leader is killed in mid-rotation', async () => {
    const lease = async () => (await world.get('lease', 'portcullis', OPERATOR_NAMESPACE)).spec.holderIdentity;
    const leader: string = await lease();
    const pod = (await podsOf(world, OPERATOR_NAMESPACE)).find((one) => leader.startsWith(one.metadata.name));
    const active = async () => (await world.get('sks', 'trading', TRADING)).status.activeKey;
    const unharmed = await underLoad(20, async () => {
      const before = await active();
      await world.kubectl([
        'delete',
        'pod',
        pod.metadata.name,
        '-n',
        OPERATOR_NAMESPACE,
        '--grace-period=0',
        '--force',
      ]);
      await until('another leader', async () => (await lease()) !== leader);
      await until('the next key signs', async () => (await active()) !== before, { timeoutMs: 90_000 });
    });
    return `the other replica led and rotated: ${unharmed}`;
  });

  await step('Redis stopped: LocalShare', async () => {
    await world.kubectl(['scale', 'deployment/redis', '-n', TRADING, '--replicas=0']);
    await until('Redis gone', async () => (await podsOf(world, TRADING, 'app=redis')).length === 0);
    const body = JSON.stringify({ user: 'tom', password: 'x' });
    const headers = { 'content-type': 'application/json' };
    const replies = await client.burst({ url: `${url}/auth/login`, method: 'POST', headers, body, count: 40 });
    const admitted = replies.filter(({ status }) => status === 200).length;
    const refused = replies.filter(({ status }) => status === 429).length;
    assert.equal(admitted + refused, 40, JSON.stringify(replies.map(({ status }) => status)));
    assert(admitted <= 10, `${admitted} admitted, the limit is 10`);
    assert.equal((await client.request({ url: `${url}/orders`, headers: await bearer(TRADER) })).status, 200);
    await world.kubectl(['scale', 'deployment/redis', '-n', TRADING, '--replicas=1']);
    return `${admitted} of 40 log-ins admitted by both pods' shares (limit 10), everything else goes on`;
  });

  await step('a tampered bundle is refused and put right', async () => {
    const secret = await world.get('secret', 'portcullis-access-orders', TRADING);
    const forged = Buffer.from(`${Buffer.from(secret.data['bundle.v1.json'], 'base64').toString('latin1')}x`, 'latin1');
    await world.patch(
      'secret',
      'portcullis-access-orders',
      TRADING,
      { data: { 'bundle.v1.json': forged.toString('base64') } },
      '--as=dev',
      '--as-group=system:masters',
    );
    const { seconds } = await timed(() =>
      until('the Secret put right', async () => {
        const now = await world.get('secret', 'portcullis-access-orders', TRADING);
        return now.data['bundle.v1.json'] !== forged.toString('base64');
      }),
    );
    assert.equal((await client.request({ url: `${url}/orders` })).status, 401);
    const events = await world.list('events', TRADING);
    assert(
      events.some(({ reason }) => reason === 'BundleTampered'),
      'an Event says so',
    );
    return `put right after ${seconds.toFixed(1)} s, Event BundleTampered`;
  });

  await step('Prometheus', async () => scrapedByPrometheus(world, TRADING));

  await step('helm upgrade under load', async () => {
    return underLoad(20, () => upgradePortcullis(world));
  });

  await step('helm uninstall leaves pods serving', async () => {
    await uninstallPortcullis(world);
    for (const kind of ['mutatingwebhookconfiguration', 'validatingwebhookconfiguration']) {
      const left = await world.list(kind, 'default');
      assert.deepEqual(
        left.filter(({ metadata }) => metadata.name.includes('portcullis')),
        [],
      );
    }
    assert.equal((await client.request({ url: `${url}/orders` })).status, 401);
    return 'guarded as before, no webhook left, CRDs and keys kept';
  });
});
