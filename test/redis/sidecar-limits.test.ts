import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { LimitConfig, LimitsBundle } from '../../policy/bundle/types.ts';
import { openToAll, rule, type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';
import { type Answer, closeClient, Disturbed, type From, getCounted, undisturbed } from './limited-client.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

const HOUR_MS = 3_600_000;

function limit(name: string, paths: readonly string[], key: LimitConfig['key'], rates: Record<string, number>) {
  const entries = Object.entries(rates).map(([tier, number]) => [tier, { limit: number, windowMs: HOUR_MS }]);
  const match = { hosts: [], paths, methods: [] };
  const counting = { algorithm: 'SlidingWindow', burst: 0, onStoreFailure: 'Deny' } as const;
  return { name, match, key, rates: Object.fromEntries(entries), ...counting };
}

/** A rate that is the same for everyone. */
const all = (number: number) => ({ anonymous: number, authenticated: number, premium: number });

const limits: readonly LimitConfig[] = [
  limit('tiered', ['/tiered', '/members'], ['user'], { anonymous: 2, authenticated: 4, premium: 6 }),
  limit('by-ip', ['/ip'], ['ip'], all(3)),
  limit('by-user', ['/user'], ['user'], all(3)),
  limit('by-tenant', ['/tenant'], ['tenant'], all(3)),
  limit('edited', ['/edited'], ['user'], all(3)),
  limit('wide', ['/wide/**'], ['user'], all(5)),
  limit('narrow', ['/wide/narrow'], ['user'], all(2)),
  limit('address', ['/both'], ['ip'], all(5)),
  limit('subject', ['/both'], ['user'], all(2)),
];

describe('limits in Redis, as clients meet them', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  let sidecar: SidecarUnderTest;
  const access = { rules: [rule('members', ['/members'], [{ authenticated: true }]), openToAll] };
  const policy = (more: Partial<LimitsBundle> = {}): Partial<LimitsBundle> => ({
    store: { redisUrl: redis.url },
    clientIp: { trustedHops: 1, trustedProxies: [] },
    tiers: [{ name: 'premium' }],
    limits,
    ...more,
  });

  before(async () => {
    redis = await RedisServer.start();
    sidecar = await startSidecarUnderTest({ access, limits: policy() });
  });
  after(async () => {
    closeClient();
    await sidecar.stop();
    await redis.remove();
  });

  const get = (path: string, from: From): Promise<Answer> => getCounted(sidecar.port, path, from);
  /** Statuses of so many requests, one after the other. */
  const statuses = async (number: number, path: string, from: From): Promise<readonly number[]> => {
    const seen: number[] = [];
    for (let i = 0; i < number; i++) seen.push((await get(path, from)).status);
    return seen;
  };
  const admitted = (admittedFirst: number, of: number, otherwise = 429): readonly number[] =>
    Array.from({ length: of }, (_, i) => (i < admittedFirst ? 200 : otherwise));
  /** Someone whom no test and no earlier attempt has counted. */
  const someone = (name: string, attempt: number, claims: Readonly<Record<string, unknown>> = {}): From => ({
    address: `10.0.0.${attempt}`,
    token: sidecar.token({ sub: `${name}-${attempt}`, ...claims }),
  });

  it('gives each tier its own rate', () =>
    undisturbed(async (attempt) => {
      const member = someone('member', attempt);
      const premium = someone('premium', attempt, { tier: 'premium' });
      const unknown = someone('unknown', attempt, { tier: 'platinum' });
      assert.deepEqual(await statuses(4, '/tiered', { address: member.address }), admitted(2, 4));
      assert.deepEqual(await statuses(6, '/tiered', member), admitted(4, 6));
      assert.deepEqual(await statuses(8, '/tiered', premium), admitted(6, 8));
      assert.deepEqual(await statuses(6, '/tiered', unknown), admitted(4, 6));
      const { headers } = await get('/tiered', premium);
      assert.equal(headers['ratelimit-policy'], '"tiered";q=6;w=3600');
    }));

  it('spends the anonymous rate of the address on failed authentication', () =>
    undisturbed(async (attempt) => {
      const address = `10.1.0.${attempt}`;
      const honest: From = { ...someone('honest', attempt), address };
      const tampered: From = { address, token: `${honest.token?.slice(0, -6)}AAAAAA` };
      assert.deepEqual(await statuses(4, '/members', tampered), [401, 401, 429, 429]);
      assert.deepEqual(await statuses(1, '/tiered', { address }), [429]);
      assert.deepEqual(await statuses(1, '/members', honest), [200]);
      assert.deepEqual(await statuses(1, '/members', { ...tampered, address: `10.1.1.${attempt}` }), [401]);
    }));

  const subjects: readonly (readonly [
    path: string,
    sharing: readonly [Record<string, string>, Record<string, string>],
    apart: Record<string, string>,
  ])[] = [
    [
      '/ip',
      [
        { sub: 'a', ip: '1' },
        { sub: 'b', ip: '1' },
      ],
      { sub: 'a', ip: '2' },
    ],
    [
      '/user',
      [
        { sub: 'a', ip: '1' },
        { sub: 'a', ip: '2' },
      ],
      { sub: 'b', ip: '1' },
    ],
    [
      '/tenant',
      [
        { sub: 'a', tenant_id: 't' },
        { sub: 'b', tenant_id: 't' },
      ],
      { sub: 'a', tenant_id: 'u' },
    ],
  ];
  for (const [path, [one, other], apart] of subjects) {
    it(`counts ${path} by that key alone`, () =>
      undisturbed(async (attempt) => {
        const from = ({ ip = '9', ...claims }: Record<string, string>): From => ({
          address: `10.2.${ip}.${attempt}`,
          token: sidecar.token(
            Object.fromEntries(Object.entries(claims).map(([name, value]) => [name, `${value}-${attempt}`])),
          ),
        });
        assert.deepEqual(await statuses(2, path, from(one)), admitted(2, 2));
        assert.deepEqual(await statuses(2, path, from(other)), admitted(1, 2));
        assert.deepEqual(await statuses(1, path, from(one)), [429]);
        assert.deepEqual(await statuses(1, path, from(apart)), [200]);
      }));
  }

  it('charges no limit when one of them denies', () =>
    undisturbed(async (attempt) => {
      const from = someone('two', attempt);
      assert.deepEqual(await statuses(6, '/wide/narrow', from), admitted(2, 6));
      const denied = await get('/wide/narrow', from);
      assert.equal(denied.headers['ratelimit-policy'], '"wide";q=5;w=3600, "narrow";q=2;w=3600');
      assert.match(String(denied.headers['ratelimit']), /^"narrow";r=0;/);
      assert.deepEqual(await statuses(5, '/wide/elsewhere', from), admitted(3, 5));
    }));

  it('charges a limit by address before the others, whatever they say', () =>
    undisturbed(async (attempt) => {
      const address = `10.3.0.${attempt}`;
      const from: From = { ...someone('greedy', attempt), address };
      assert.deepEqual(await statuses(4, '/both', from), admitted(2, 4));
      assert.deepEqual(await statuses(2, '/both', { ...someone('neighbour', attempt), address }), admitted(1, 2));
    }));

  it('keeps the counters when the policy is edited', () =>
    undisturbed(async (attempt) => {
      await sidecar.publish({ access, limits: policy() });
      const from = someone('editor', attempt);
      assert.deepEqual(await statuses(2, '/edited', from), admitted(2, 2));
      const raised = limits.map((one) =>
        one.name === 'edited' ? limit('edited', ['/edited'], ['user'], all(4)) : one,
      );
      await sidecar.publish({ access: { rules: [openToAll] }, limits: policy({ limits: raised }) });
      assert.deepEqual(await statuses(4, '/edited', from), admitted(2, 4));
      await sidecar.publish({ access, limits: policy() });
      assert.deepEqual(await statuses(1, '/edited', from), [429]);
    }));

  it('refuses nothing and says nothing to the client in mode Shadow', () =>
    undisturbed(async (attempt) => {
      await sidecar.publish({ access, limits: policy({ mode: 'Shadow' }) });
      const from = someone('shadowed', attempt);
      for (let i = 0; i < 5; i++) {
        const { status, headers } = await get('/user', from);
        assert.equal(status, 200);
        const told = Object.keys(headers).filter((name) => name.startsWith('ratelimit') || name === 'retry-after');
        assert.deepEqual(told, []);
      }
      const codes = sidecar
        .log()
        .filter((line) => line.includes(`"user":"shadowed-${attempt}"`))
        .map((line) => (JSON.parse(line) as { shadow?: { code: string }[] }).shadow?.[0]?.code);
      if (codes.includes('store_unavailable')) throw new Disturbed();
      assert.deepEqual(codes, [undefined, undefined, undefined, 'rate_limited', 'rate_limited']);
      await sidecar.publish({ access, limits: policy() });
    }));
});
