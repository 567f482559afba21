import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { PenaltiesConfig, ThreatsConfig } from '../../policy/bundle/threats.ts';
import type { LimitConfig, LimitsBundle } from '../../policy/bundle/types.ts';
import { makeTestKey, mintToken, validClaims } from '../../sidecar/tokens/testing/token-fixtures.ts';
import { type Asked, type Asking, ask, closeAsking } from '../support/ask.ts';
import { rule, type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const limit = (name: string, key: LimitConfig['key'], rate: number, more: Partial<LimitConfig> = {}): LimitConfig => ({
  name,
  match: { hosts: [], paths: [`/${name}`], methods: [] },
  key,
  algorithm: 'SlidingWindow',
  rates: { anonymous: { limit: rate, windowMs: HOUR }, authenticated: { limit: rate, windowMs: HOUR } },
  burst: 0,
  onStoreFailure: 'LocalShare',
  ...more,
});
const penalties: PenaltiesConfig = { after: 3, withinMs: 10 * MINUTE, blockMs: MINUTE, multiplier: 2, maxMs: HOUR };
const bruteForce: ThreatsConfig['bruteForce'] = {
  failures: 5,
  withinMs: 5 * MINUTE,
  keys: ['ip', 'user'],
  blockMs: HOUR,
  paths: ['/login'],
};
const scanning: ThreatsConfig['scanning'] = { statuses: [403, 404], count: 5, withinMs: MINUTE, blockMs: 10 * MINUTE };
const abuse: ThreatsConfig['abuse'] = {
  requests: 6,
  withinMs: MINUTE,
  key: 'user',
  throttle: { limit: 2, windowMs: MINUTE },
  forMs: 5 * MINUTE,
};

/** Stands for the application: log-ins fail, what is called missing is, the rest is there. */
const APPLICATION: Readonly<Record<string, string>> = {
  'POST /login': '401 Unauthorized',
  'GET /missing': '404 Not Found',
};
const forger = makeTestKey('ES256', 'test-key');

describe('threats', () => {
  let sidecar: SidecarUnderTest;
  const start = async (limits: Partial<LimitsBundle>, trustedHops = 1): Promise<void> => {
    sidecar = await startSidecarUnderTest({
      access: {
        rules: [
          rule('tenants', ['/tenants/{tenant}'], [{ authenticated: true }]),
          rule('private', ['/private'], [{ authenticated: true }]),
          rule('open', ['/**'], [{ anonymous: true }]),
        ].map((each) => (each.name === 'tenants' ? { ...each, tenant: { source: 'path', name: 'tenant' } } : each)),
      },
      limits: { clientIp: { trustedHops, trustedProxies: [] }, ...limits },
    });
    sidecar.upstream.behave(({ startLine }, socket) => {
      const [method, path] = startLine.split(' ');
      const status = APPLICATION[`${method} ${path}`] ?? '200 OK';
      socket.write(`HTTP/1.1 ${status}\r\ncontent-length: 100\r\n\r\n${'x'.repeat(100)}`);
    });
  };
  afterEach(async () => {
    closeAsking();
    await sidecar.stop();
  });
  const times = async (count: number, asking: Asking): Promise<string[]> => {
    const seen: string[] = [];
    for (let i = 0; i < count; i++) seen.push(said(await ask(sidecar.port, asking)));
    return seen;
  };
  const said = ({ status, code }: Asked): string => (code === '' ? String(status) : `${status} ${code}`);
  const once = async (asking: Asking): Promise<string> => said(await ask(sidecar.port, asking));
  /** Security events told so far, with how often. */
  const events = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const line of sidecar.log()) {
      const { type, event_type } = JSON.parse(line);
      if (type === 'security_event') counts[event_type] = (counts[event_type] ?? 0) + 1;
    }
    return counts;
  };
  const user = (sub: string) => sidecar.token({ sub });

  describe('penalties', () => {
    it('who goes on when a limit has refused is refused everywhere, and nobody else', async () => {
      await start({ limits: [limit('tight', ['ip'], 1)], penalties });
      const attacker = { from: '192.0.2.1' };
      assert.deepEqual(await times(5, { path: '/tight', ...attacker }), [
        '200',
        '429 rate_limited',
        '429 rate_limited',
        '429 rate_limited',
        '429 blocked',
      ]);
      const { status, code, headers } = await ask(sidecar.port, { path: '/elsewhere', ...attacker });
      assert.deepEqual([status, code], [429, 'blocked']);
      assert.match(String(headers['retry-after']), /^(59|60)$/);
      assert.equal(
        await once({ path: '/elsewhere', ...attacker, token: user('ann') }),
        '429 blocked',
        'before authentication',
      );
      assert.equal(await once({ path: '/tight', from: '192.0.2.2' }), '200');
      assert.deepEqual(events(), { rate_limit_penalty: 1 });
    });

    it('of a limit by user the user is blocked, wherever from; others at that address are not', async () => {
      await start({ limits: [limit('tight', ['user'], 1)], penalties });
      await times(4, { path: '/tight', from: '192.0.2.1', token: user('bob') });
      assert.equal(await once({ path: '/x', from: '192.0.2.9', token: user('bob') }), '429 blocked');
      assert.equal(await once({ path: '/x', from: '192.0.2.1', token: user('ann') }), '200');
      assert.equal(await once({ path: '/x', from: '192.0.2.1' }), '200');
    });

    it('of anonymous requests the anonymous ones of that address: whoever has a token goes on', async () => {
      // scanning blocks addresses: that layer is there, too.
      await start({ limits: [limit('tight', ['user'], 1)], penalties, threats: { scanning } });
      await times(4, { path: '/tight', from: '192.0.2.1' });
      assert.equal(await once({ path: '/x', from: '192.0.2.1' }), '429 blocked');
      assert.equal(await once({ path: '/x', from: '192.0.2.1', token: user('ann') }), '200');
      assert.equal(await once({ path: '/x', from: '192.0.2.2' }), '200');
    });

    it('of a limit by user and tier, or rule, the user', async () => {
      await start({ limits: [limit('tight', ['user', 'tier', 'rule'], 1)], penalties });
      await times(4, { path: '/tight', from: '192.0.2.1', token: user('bob') });
      assert.equal(await once({ path: '/private', from: '192.0.2.9', token: user('bob') }), '429 blocked');
      assert.equal(await once({ path: '/x', from: '192.0.2.1', token: user('ann') }), '200');
    });

    it('of a limit by a claim all who have it, and nobody without', async () => {
      await start({ limits: [limit('tight', ['claim:desk'], 1)], penalties });
      const desk = (sub: string, name: string) => sidecar.token({ sub, desk: name });
      await times(4, { path: '/tight', from: '192.0.2.1', token: desk('bob', 'fx') });
      assert.equal(await once({ path: '/x', from: '192.0.2.9', token: desk('cat', 'fx') }), '429 blocked');
      assert.equal(await once({ path: '/x', from: '192.0.2.1', token: desk('bob', 'rates') }), '200');
      assert.equal(await once({ path: '/x', from: '192.0.2.1', token: user('bob') }), '200');
    });

    it('a limit that all share punishes nobody', async () => {
      await start({ limits: [limit('tight', ['rule'], 1)], penalties });
      await times(8, { path: '/tight', from: '192.0.2.1' });
      assert.equal(await once({ path: '/x', from: '192.0.2.1' }), '200');
      assert.deepEqual(events(), {});
    });

    it('a Reserved lane is no way past a block', async () => {
      const lane = limit('cancel', ['user'], 100, { lane: 'Reserved' });
      await start({ limits: [limit('tight', ['user'], 1), lane], penalties });
      await times(4, { path: '/tight', from: '192.0.2.1', token: user('bob') });
      assert.equal(await once({ path: '/cancel', from: '192.0.2.1', token: user('bob') }), '429 blocked');
      assert.equal(await once({ path: '/cancel', from: '192.0.2.1', token: user('ann') }), '200');
    });
  });

  describe('bruteForce', () => {
    it('failed log-ins that the application answers block the address, and the user elsewhere keeps working', async () => {
      await start({ threats: { bruteForce } });
      const attempt = { method: 'POST', path: '/login', from: '192.0.2.1' };
      assert.deepEqual(await times(7, attempt), ['401', '401', '401', '401', '401', '429 blocked', '429 blocked']);
      assert.equal(sidecar.upstream.requests.length, 5);
      assert.equal(await once({ path: '/private', from: '192.0.2.2', token: user('victim') }), '200');
      assert.equal(await once({ ...attempt, from: '192.0.2.2' }), '401', 'who is elsewhere may try');
      assert.deepEqual(events(), { failed_login: 6, multiple_failed_logins: 1 });
    });

    it('an IPv6 client is its /64', async () => {
      await start({ threats: { bruteForce } });
      for (let i = 1; i <= 5; i++) await once({ method: 'POST', path: '/login', from: `2001:db8:0:1::${i}` });
      assert.equal(await once({ path: '/x', from: '2001:db8:0:1:ffff::9' }), '429 blocked');
      assert.equal(await once({ path: '/x', from: '2001:db8:0:2::1' }), '200');
    });

    it('tokens with a forged signature count, old ones and nonsense do not', async () => {
      await start({ threats: { bruteForce } });
      const tokens: readonly (readonly [from: string, token: string])[] = [
        ['192.0.2.1', mintToken(forger, validClaims(Date.now(), {}))],
        [
          '192.0.2.2',
          sidecar.token({ exp: Math.floor(Date.now() / 1000) - 3_600, iat: Math.floor(Date.now() / 1000) - 3_700 }),
        ],
        ['192.0.2.3', 'undefined'],
      ];
      const seen: Record<string, string> = {};
      for (const [from, token] of tokens) {
        await times(5, { path: '/private', from, token });
        seen[from] = await once({ path: '/x', from });
      }
      assert.deepEqual(seen, { '192.0.2.1': '429 blocked', '192.0.2.2': '200', '192.0.2.3': '200' });
      assert.deepEqual(events(), { unauthorized_access_attempt: 5, multiple_failed_logins: 1 });
    });

    it('an address that a client makes up is neither blocked nor spared', async () => {
      await start({ threats: { bruteForce } }, 0);
      for (let i = 1; i <= 5; i++) await once({ method: 'POST', path: '/login', from: `192.0.2.${i}` });
      assert.equal(await once({ path: '/x', from: '203.0.113.1' }), '429 blocked');
    });
  });

  describe('scanning', () => {
    it('many errors block the address', async () => {
      await start({ threats: { scanning } });
      assert.deepEqual(await times(6, { path: '/missing', from: '192.0.2.1' }), [
        ...Array(5).fill('404'),
        '429 blocked',
      ]);
      assert.equal(await once({ path: '/x', from: '192.0.2.2' }), '200');
      assert.deepEqual(events(), { suspicious_api_usage: 1 });
    });
  });

  describe('abuse', () => {
    it('slows down who sends far too much, and nobody else; a Reserved lane passes', async () => {
      const lane = limit('cancel', ['user'], 100, { lane: 'Reserved' });
      await start({ threats: { abuse }, limits: [lane] });
      const bob = { from: '192.0.2.1', token: user('bob') };
      assert.deepEqual(await times(6, { path: '/x', ...bob }), Array(6).fill('200'));
      assert.deepEqual(await times(3, { path: '/x', ...bob }), ['200', '200', '429 rate_limited']);
      const { headers } = await ask(sidecar.port, { path: '/x', ...bob });
      assert.match(String(headers['ratelimit']), /^"threats:abuse";r=0;t=(59|60)$/);
      assert.match(String(headers['retry-after']), /^(59|60)$/);
      assert.equal(await once({ path: '/cancel', ...bob }), '200');
      assert.equal(await once({ path: '/x', from: '192.0.2.1', token: user('ann') }), '200');
      assert.deepEqual(events(), { suspicious_api_usage: 1 });
    });
  });

  describe('exfiltration', () => {
    it('is told and refuses nothing', async () => {
      await start({ threats: { exfiltration: { bytes: 500, withinMs: MINUTE, key: 'user' } } });
      assert.deepEqual(await times(9, { path: '/x', from: '192.0.2.1', token: user('bob') }), Array(9).fill('200'));
      assert.deepEqual(events(), { data_exfiltration_attempt: 1 });
    });
  });

  it("another tenant's path is told", async () => {
    await start({});
    const token = sidecar.token({ sub: 'bob', tenant_id: 'blue' });
    assert.equal(await once({ path: '/tenants/red', from: '192.0.2.1', token }), '403 tenant_mismatch');
    assert.equal(await once({ path: '/tenants/blue', from: '192.0.2.1', token }), '200');
    assert.deepEqual(events(), { unauthorized_access_attempt: 1 });
  });

  it('Shadow counts and tells, and changes no answer', async () => {
    await start({
      mode: 'Shadow',
      limits: [limit('tight', ['ip'], 1)],
      penalties,
      threats: { bruteForce, scanning, abuse },
    });
    const from = '192.0.2.1';
    assert.deepEqual(await times(6, { path: '/tight', from }), Array(6).fill('200'));
    assert.deepEqual(await times(6, { method: 'POST', path: '/login', from }), Array(6).fill('401'));
    assert.deepEqual(await times(6, { path: '/missing', from }), Array(6).fill('404'));
    assert.deepEqual(await times(9, { path: '/x', from, token: user('bob') }), Array(9).fill('200'));
    const shadow = sidecar.log().flatMap((line) => JSON.parse(line).shadow ?? []);
    const codes = new Set(
      shadow.flatMap((each: true | { readonly code: string }) => (each === true ? [] : [each.code])),
    );
    assert.deepEqual(codes, new Set(['rate_limited', 'blocked']));
    assert.equal(events()['rate_limit_penalty'], 1);
    await sidecar.publish({ limits: { mode: 'Enforce', clientIp: { trustedHops: 1, trustedProxies: [] }, penalties } });
    assert.equal(await once({ path: '/x', from }), '200', 'what was counted in Shadow refuses nobody later');
  });

  it('what an access policy in Shadow would refuse blocks nobody, whatever mode the limits are in', async () => {
    await start({ threats: { bruteForce } });
    const rules = [rule('private', ['/private'], [{ authenticated: true }])];
    await sidecar.publish({ access: { mode: 'Shadow', rules } });
    const asking = { path: '/private', from: '192.0.2.1', token: mintToken(forger, validClaims(Date.now(), {})) };
    assert.deepEqual(await times(7, asking), Array(7).fill('200'));
    assert.deepEqual(events(), { unauthorized_access_attempt: 7 });
    await sidecar.publish({ access: { mode: 'Enforce', rules } });
    assert.ok((await times(6, asking)).includes('429 blocked'), 'in Enforce it does');
  });

  it('measures outlive a new bundle', async () => {
    await start({ threats: { scanning } });
    await times(5, { path: '/missing', from: '192.0.2.1' });
    await sidecar.publish({ limits: { threats: { scanning }, clientIp: { trustedHops: 1, trustedProxies: [] } } });
    assert.equal(await once({ path: '/x', from: '192.0.2.1' }), '429 blocked');
  });

  it('the metrics say how many, without a word of a client', async () => {
    await start({ threats: { scanning } });
    await times(6, { path: '/missing', from: '192.0.2.1' });
    const metrics = await (await fetch(`http://127.0.0.1:${sidecar.adminPort}/metrics`)).text();
    assert.match(
      metrics,
      /portcullis_security_events_total\{event_type="suspicious_api_usage",severity="critical"\} 1\n/,
    );
    assert.match(metrics, /portcullis_suspicious_requests_total\{kind="scanning"\} 5\n/);
    assert.match(metrics, /portcullis_suspicious_requests_total\{kind="blocked"\} 1\n/);
    assert.doesNotMatch(metrics, /192\.0\.2/);
  });
});
