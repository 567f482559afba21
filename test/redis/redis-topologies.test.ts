import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CERTIFICATE_TIMES } from '../../operator/injection/certificates.ts';
import { makeAuthority, makeLeaf } from '../../operator/injection/certificates-x509.ts';
import type { Demand } from '../../sidecar/stores/limiter-store.ts';
import { openStores } from '../../sidecar/stores/open-stores.ts';
import { RedisStore, type RedisStoreOptions } from '../../sidecar/stores/redis-store.ts';
import { until, withAdmin } from './redis-clients.ts';
import { freePort, RedisServer, redisMissing } from './redis-server.ts';
import { RedisCluster, SentinelGroup } from './redis-topologies.ts';

const PASSWORD = 'never-to-be-seen';
/** Where the time-out is not the point a busy machine must not trigger it. */
const PATIENT_MS = 2000;
const LIMIT = 20;

const demand: Demand = {
  plan: {
    name: 'l',
    algorithm: 'SlidingWindow',
    limit: LIMIT,
    windowMs: 60_000,
    burst: 0,
    onStoreFailure: 'LocalShare',
  },
  key: 'user',
};

function open(options: Pick<RedisStoreOptions, 'redisUrl'> & Partial<RedisStoreOptions>, changes: string[] = []) {
  return new RedisStore({
    group: 'ns/policy',
    replica: 'pod-0',
    timeoutMs: PATIENT_MS,
    onStateChange: (available, cause) => changes.push(`${available}: ${cause}`),
    ...options,
  });
}

async function spend(store: RedisStore, requests: number, key = demand.key): Promise<number> {
  let admitted = 0;
  for (let i = 0; i < requests; i++) if ((await store.consume([{ ...demand, key }], Date.now())).admitted) admitted++;
  return admitted;
}

describe('Redis behind sentinels', { skip: redisMissing() }, () => {
  let group: SentinelGroup;
  before(async () => {
    group = await SentinelGroup.start(PASSWORD);
  });
  after(() => group.remove());

  it('is followed to the replica when the primary dies, with what was counted', async () => {
    const changes: string[] = [];
    const store = open({ redisUrl: group.url(PASSWORD) }, changes);
    await until(() => store.available);
    assert.equal(await spend(store, 5), 5);
    await withAdmin(group.replica, (admin) => until(async () => (await admin.keys('*')).length === 3));
    const from = performance.now();
    await group.primary.stop('SIGKILL');
    await until(() => !store.available);
    const local = await spend(store, 3);
    await until(() => store.available);
    console.log(
      `failover by sentinels: the store answers again after ${((performance.now() - from) / 1000).toFixed(1)} s; ${changes.join('; ')}`,
    );
    const later = await spend(store, 3 * LIMIT);
    assert.equal(local, 3);
    assert.ok(5 + local + later <= 2 * LIMIT, `${5 + local + later} admitted of ${LIMIT}`);
    assert.equal(later, LIMIT - 5, 'the replica goes on counting where the primary was');
    assert.ok(!changes.join().includes(PASSWORD));
    await store.close();
  });
});

describe('a Redis Cluster', { skip: redisMissing() }, () => {
  let cluster: RedisCluster;
  before(async () => {
    cluster = await RedisCluster.start();
  });
  after(() => cluster.remove());

  it('keeps each group where its keys are, and loses with a node only the groups there', async () => {
    const changes: string[][] = [[], [], []];
    const groups = await Promise.all([0, 1, 2].map((index) => cluster.groupOn(index)));
    const stores = groups.map((group, i) => open({ redisUrl: cluster.url, group }, changes[i]));
    await until(() => stores.every((store) => store.available));
    for (const [i, store] of stores.entries()) {
      assert.equal(await spend(store, 5), 5);
      const keys = await withAdmin(cluster.nodes[i]!, (admin) => admin.keys(`portcullis:{${groups[i]}}:*`));
      assert.equal(keys.length, 3);
      assert.deepEqual(changes[i], ['true: answers'], 'nothing is said of being sent elsewhere at first');
    }
    await cluster.nodes[1]!.stop('SIGKILL');
    await until(() => !stores[1]!.available);
    assert.equal((await stores[1]!.consume([demand], Date.now())).degraded, true);
    for (const other of [0, 2]) {
      const { admitted, degraded } = await stores[other]!.consume([demand], Date.now());
      assert.deepEqual([admitted, degraded], [true, false]);
    }
    const from = performance.now();
    await cluster.nodes[1]!.start();
    await until(() => stores[1]!.available);
    console.log(
      `a node of a cluster is back: the store answers after ${((performance.now() - from) / 1000).toFixed(1)} s; ${changes[1]!.join('; ')}`,
    );
    assert.match(changes[1]!.at(-1)!, /counters lost/);
    assert.deepEqual(changes[0], ['true: answers']);
    await Promise.all(stores.map((store) => store.close()));
    await cluster.healthy();
  });

  it('serves the groups of one sidecar from different nodes', async () => {
    const [limits, access, issuer] = await Promise.all([0, 1, 2].map((index) => cluster.groupOn(index)));
    const states: string[] = [];
    const stores = await openStores(
      { redisUrl: cluster.url },
      {
        groups: { access: access!, limits: limits! },
        replica: 'pod-0',
        maxStalenessMs: 500,
        timeoutMs: PATIENT_MS,
        onStateChange: (available, cause) => states.push(`${available}: ${cause}`),
        now: Date.now,
      },
    );
    const revocations = stores.revocationsOf(issuer!);
    await until(() => revocations.check('a', null, 0) === 'ok');
    assert.equal(await revocations.revokeToken('a', Date.now() + 60_000, Date.now()), true);
    assert.equal(revocations.check('a', null, 0), 'revoked');
    const session = { subject: 's' } as never;
    assert.equal(await stores.refreshTokens.begin('family', 'hash', session, 60_000, Date.now()), true);
    assert.equal((await stores.limiter.consume([demand], Date.now())).degraded, false);
    for (const [i, group] of [limits, access, issuer].entries()) {
      const keys = await withAdmin(cluster.nodes[i]!, (admin) => admin.keys(`portcullis:{${group}}:*`));
      assert.ok(keys.length >= 3, keys.join());
    }
    assert.ok(
      states.every((state) => state.startsWith('true')),
      states.join(),
    );
    await stores.close();
  });

  it('is followed when a slot moves, with what was counted', async () => {
    const changes: string[] = [];
    const group = await cluster.groupOn(0);
    const store = open({ redisUrl: cluster.url, group }, changes);
    await until(() => store.available);
    assert.equal(await spend(store, 5, 'mover'), 5);
    await cluster.move(group, 0, 2, async () => {
      const { admitted, degraded } = await store.consume([{ ...demand, key: 'meanwhile' }], Date.now());
      assert.deepEqual([admitted, degraded], [true, true]);
      assert.equal(store.available, true, 'a slot on its way is no reason to give the connection up');
    });
    await spend(store, 1, 'mover');
    await until(() => store.available);
    assert.equal(await spend(store, 3 * LIMIT, 'mover'), LIMIT - 5, changes.join('; '));
    assert.deepEqual(changes, ['true: answers', 'false: MOVED', 'true: answers']);
    await store.close();
  });
});

describe('Redis with TLS and users', { skip: redisMissing() }, () => {
  const RIGHTS = [
    '~portcullis:*',
    '+@read',
    '+@write',
    '+@scripting',
    '+@connection',
    '+time',
    '-@dangerous',
    '-@admin',
  ];
  let server: RedisServer;
  let ca = '';
  let port = 0;
  before(async () => {
    const authority = await makeAuthority(Date.now(), CERTIFICATE_TIMES);
    const leaf = await makeLeaf(authority, ['localhost'], Date.now(), CERTIFICATE_TIMES);
    ca = authority.certificate;
    port = await freePort();
    const files = await RedisServer.start();
    const write = (name: string, text: string): string => {
      writeFileSync(join(files.directory, name), text);
      return join(files.directory, name);
    };
    const certificate = [
      '--tls-cert-file',
      write('tls.crt', leaf.certificate),
      '--tls-key-file',
      write('tls.key', leaf.privateKey),
    ];
    const tls = [
      '--tls-port',
      String(port),
      ...certificate,
      '--tls-ca-cert-file',
      write('ca.crt', ca),
      '--tls-auth-clients',
      'no',
    ];
    const users = ['--user', 'portcullis', 'on', `>${PASSWORD}`, ...RIGHTS, '--user', 'default', 'off'];
    server = await RedisServer.start('', [...tls, ...users]);
    await files.stop('SIGKILL');
  });
  after(() => server.remove());

  it('is used by a user with no more rights than the documentation names', async () => {
    const changes: string[] = [];
    const redisUrl = `rediss://portcullis:${PASSWORD}@localhost:${port}`;
    const stores = await openStores(
      { redisUrl, ca },
      {
        groups: { access: 'ns/access', limits: 'ns/limits' },
        replica: 'pod-0',
        maxStalenessMs: 500,
        timeoutMs: PATIENT_MS,
        onStateChange: (available, cause) => changes.push(`${available}: ${cause}`),
        now: Date.now,
      },
    );
    await until(() => stores.limiter.available);
    for (const algorithm of ['SlidingWindow', 'TokenBucket', 'FixedWindow'] as const) {
      const plan = { ...demand.plan, algorithm, burst: 5, limit: 100_000 };
      for (let i = 0; i < 5; i++) {
        const { admitted, degraded } = await stores.limiter.consume([{ plan, key: algorithm }], Date.now());
        assert.deepEqual([admitted, degraded], [true, false], `${algorithm}: ${changes.join('; ')}`);
      }
    }
    const revocations = stores.revocationsOf('auth/trading');
    assert.equal(await revocations.revokeToken('a', Date.now() + 60_000, Date.now()), true, changes.join('; '));
    const session = { subject: 's' } as never;
    assert.equal(await stores.refreshTokens.begin('family', 'hash', session, 60_000, Date.now()), true);
    await stores.close();
    assert.deepEqual(changes, ['true: answers']);
  });

  const refused: readonly (readonly [name: string, url: () => string, ca: () => string | undefined, cause: RegExp])[] =
    [
      [
        'another authority',
        () => `rediss://portcullis:${PASSWORD}@localhost:${port}`,
        () => undefined,
        /false: (UNABLE_TO|SELF_SIGNED)/,
      ],
      [
        'another name',
        () => `rediss://portcullis:${PASSWORD}@127.0.0.1:${port}`,
        () => ca,
        /false: ERR_TLS_CERT_ALTNAME_INVALID/,
      ],
      ['a wrong password', () => `rediss://portcullis:wrong@localhost:${port}`, () => ca, /false: WRONGPASS/],
      ['no user', () => `rediss://localhost:${port}`, () => ca, /false: NOAUTH/],
    ];
  for (const [name, url, authority, cause] of refused) {
    it(`does not answer with ${name}, and the reason is its code alone`, async () => {
      const changes: string[] = [];
      const store = open({ redisUrl: url(), ca: authority() }, changes);
      await until(() => changes.length > 0);
      await sleep(50);
      assert.match(changes[0]!, cause);
      assert.equal(store.available, false);
      assert.ok(!changes.join().includes(PASSWORD));
      await store.close();
    });
  }
});
