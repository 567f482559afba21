import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { KubeError } from '../kube/kube-client.ts';
import { SECRETS } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { createBundleSerials } from './bundle-serials.ts';
import { OPERATOR_NAMESPACE, SIGNING_KEY, testSigningKey } from './testing/signing-key.ts';

describe('bundle serials', () => {
  let client: MemoryKubeClient;
  let now: number;
  beforeEach(async () => {
    client = new MemoryKubeClient();
    now = 1_000_000;
    await testSigningKey(client);
  });
  const operator = (skew = 0) => createBundleSerials(client, OPERATOR_NAMESPACE, () => now + skew);

  it('follow the clock, and never go back with it', async () => {
    const serials = operator();
    assert.equal(await serials.next(0), 1_000_000);
    assert.equal(await serials.next(0), 1_000_001);
    now -= 60_000;
    assert.equal(await serials.next(0), 1_000_002);
    now += 120_000;
    assert.equal(await serials.next(0), 1_060_000);
  });

  it('are above what is asked for', async () => {
    assert.equal(await operator().next(2_000_000), 2_000_001);
    assert.equal(await operator().next(0), 2_000_002);
  });

  it('survive a restart with a clock that was set back', async () => {
    await operator().next(0);
    assert.equal(await operator(-60_000).next(0), 1_000_001);
  });

  it('are shared by two operators without one given twice', async () => {
    const operators = [operator(), operator(-60_000)];
    const given: number[] = [];
    for (let round = 0; round < 10; round++) {
      given.push(...(await Promise.all(operators.map((serials) => serials.next(0)))).toSorted());
    }
    assert.deepEqual(given, [...new Set(given)].toSorted());
  });

  it('cost one write for all who wait at once, and one read ever', async () => {
    const serials = operator();
    await serials.next(0);
    client.requests.length = 0;
    const given = await Promise.all([serials.next(0), serials.next(2_000_000), serials.next(0)]);
    assert.deepEqual(given, [2_000_001, 2_000_002, 2_000_003]);
    assert.equal(await serials.next(0), 2_000_004);
    assert.deepEqual(
      client.requests.map(({ verb }) => verb),
      ['patch', 'patch'],
    );
  });

  it('go on after a failed write', async () => {
    const serials = operator();
    client.before = () => {
      throw new KubeError(0, 'Unavailable', 'connection refused');
    };
    await assert.rejects(serials.next(0), /connection refused/);
    client.before = () => undefined;
    assert.equal(await serials.next(0), 1_000_000);
  });

  it('are refused when the count is damaged or its Secret gone', async () => {
    const annotations = { 'portcullis.dev/last-bundle-serial': '1e99' };
    await client.patch(SECRETS, SIGNING_KEY, { metadata: { annotations } });
    await assert.rejects(operator().next(0), { code: 'key_refused', message: /is no whole number; remove it/ });
    await client.delete(SECRETS, SIGNING_KEY);
    await assert.rejects(operator().next(0), { code: 'key_refused', message: /is gone/ });
  });
});
