import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { LimitConfig } from '../../policy/bundle/types.ts';
import { openToAll, rule, type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const HOUR_MS = 3_600_000;

function limit(name: string, paths: readonly string[], number: number, more: Partial<LimitConfig> = {}): LimitConfig {
  const rate = { limit: number, windowMs: HOUR_MS };
  return {
    name,
    match: { hosts: [], paths, methods: [] },
    key: ['user'],
    algorithm: 'SlidingWindow',
    rates: { anonymous: rate, authenticated: rate },
    burst: 0,
    onStoreFailure: 'LocalShare',
    ...more,
  };
}

const everyone = limit('everyone', [], 3);
const address = limit('address', [], 4, { key: ['ip'] });
const lane = limit('cancel', ['/orders/{id}'], 2, {
  match: { hosts: [], paths: ['/orders/{id}'], methods: ['DELETE'] },
  lane: 'Reserved',
});

describe('a Reserved lane', () => {
  let sidecar: SidecarUnderTest;
  const access = { rules: [rule('members', ['/orders/**'], [{ authenticated: true }]), openToAll] };
  before(async () => {
    sidecar = await startSidecarUnderTest({ access, limits: { limits: [everyone, address, lane] } });
  });
  after(() => sidecar.stop());

  const ask = async (method: string, path: string, token: string | null): Promise<readonly [number, string | null]> => {
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    const answer = await fetch(`http://127.0.0.1:${sidecar.port}${path}`, { method, headers });
    await answer.arrayBuffer();
    return [answer.status, answer.headers.get('ratelimit-policy')];
  };
  /** Begins anew: counters in memory go with their limits' windows. */
  let generation = 0;
  const fresh = async (limits: readonly LimitConfig[], mode: 'Enforce' | 'Shadow' = 'Enforce'): Promise<void> => {
    generation++;
    const anew = limits.map((one) => ({ ...one, name: `${one.name}-${generation}` }));
    await sidecar.publish({ access, limits: { limits: anew, mode } });
  };

  it('leads past limits that are used up, by user and by address, and is counted nowhere else', async () => {
    await fresh([everyone, address, lane]);
    const token = sidecar.token({ sub: 'trader' });
    for (const status of [200, 200, 200, 429]) assert.equal((await ask('GET', '/orders/1', token))[0], status);
    assert.deepEqual(await ask('DELETE', '/orders/1', token), [200, `"cancel-${generation}";q=2;w=3600`]);
    assert.equal((await ask('DELETE', '/orders/1', token))[0], 200);
    assert.equal((await ask('DELETE', '/orders/1', token))[0], 429, 'over its rate it is counted as all others are');
  });

  it('over its rate a request is counted as if the lane were not there', async () => {
    await fresh([everyone, address, lane]);
    const token = sidecar.token({ sub: 'trader' });
    const statuses: number[] = [];
    for (let i = 0; i < 7; i++) statuses.push((await ask('DELETE', '/orders/1', token))[0]);
    assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 429]);
    assert.equal((await ask('GET', '/orders/1', token))[0], 429);
  });

  it('is closed to whoever is not authenticated: a bad token spends the limits of its address', async () => {
    await fresh([everyone, address, lane]);
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await ask('DELETE', '/orders/1', 'bad'))[0]);
    assert.deepEqual(statuses, [401, 401, 401, 429, 429]);
    assert.equal((await ask('DELETE', '/orders/1', null))[0], 429);
    assert.equal((await ask('GET', '/open', null))[0], 429);
    assert.equal((await ask('DELETE', '/orders/1', sidecar.token({ sub: 'neighbour' })))[0], 200);
  });

  it('is not open to other methods', async () => {
    await fresh([address, lane]);
    const token = sidecar.token({ sub: 'trader' });
    const statuses: number[] = [];
    for (let i = 0; i < 6; i++) statuses.push((await ask('GET', '/orders/1', token))[0]);
    assert.deepEqual(statuses, [200, 200, 200, 200, 429, 429]);
  });

  it('in mode Shadow nothing is refused', async () => {
    await fresh([everyone, address, lane], 'Shadow');
    const token = sidecar.token({ sub: 'trader' });
    for (let i = 0; i < 9; i++) assert.deepEqual(await ask('DELETE', '/orders/1', token), [200, null]);
  });
});

describe('what a request costs', () => {
  it('is taken from the rate, and clients are told of the requests that are left', async () => {
    const sidecar = await startSidecarUnderTest({ limits: { limits: [limit('costly', [], 10, { cost: 4 })] } });
    const seen: [number, string | null][] = [];
    for (let i = 0; i < 3; i++) {
      const answer = await fetch(`http://127.0.0.1:${sidecar.port}/`);
      seen.push([answer.status, answer.headers.get('ratelimit')]);
    }
    const remaining = seen.map(([status, header]) => [status, /r=(\d+)/.exec(header ?? '')?.[1]]);
    assert.deepEqual(remaining, [
      [200, '1'],
      [200, '0'],
      [429, '0'],
    ]);
    await sidecar.stop();
  });
});
