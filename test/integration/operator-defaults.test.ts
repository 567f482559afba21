import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import type { AccessPolicy } from '../../policy/api/access-policy.ts';
import { decodeResource } from '../../policy/api/decode.ts';
import { LABELS } from '../../policy/api/names.ts';
import type { RateLimitPolicy } from '../../policy/api/rate-limit-policy.ts';
import { API_VERSION } from '../../policy/api/resource.ts';
import { compileAccessPolicy } from '../../policy/compile/compile-access-policy.ts';
import { compileLimits } from '../../policy/compile/compile-limits.ts';
import type { References } from '../../policy/compile/references.ts';
import { send } from '../support/raw-http.ts';
import { startSidecarUnderTest } from '../support/sidecar-under-test.ts';

/** Two proxies wrote the last two; what the client wrote itself stands before them. */
const GET = 'GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2, 192.0.2.3\r\n\r\n';

/** A Redis that says nothing, and its URL. */
async function listener(t: TestContext) {
  const server = createServer((socket) => socket.destroy());
  t.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return { server, url: `redis://127.0.0.1:${address.port}` };
}

/** A sidecar under both policies, each compiled by itself as the operator does, with defaults of the operator. */
async function guarded(t: TestContext, specs: { access: object; limits: object }, of: Partial<References>) {
  const references: References = {
    keySets: [],
    secrets: [],
    namespaces: [],
    defaultStore: null,
    defaultClientIp: null,
    storeOverride: null,
    ...of,
  };
  const open = { name: 'open', match: { paths: ['/**'] }, allow: [{ anonymous: true }] };
  const access = policy<AccessPolicy>('AccessPolicy', 'access', { rules: [open], ...specs.access });
  const limit = { name: 'all', key: ['ip'], rate: '9/1m', onStoreFailure: 'Allow' };
  const limits = policy<RateLimitPolicy>('RateLimitPolicy', 'limits', { limits: [limit], ...specs.limits });
  const compiled = [
    compileAccessPolicy(access, references).content,
    compileLimits(limits, references).content,
  ] as const;
  assert.ok(compiled[0] !== null && compiled[1] !== null);
  const sut = await startSidecarUnderTest({ access: compiled[0], limits: compiled[1] });
  t.after(() => sut.stop());
  const { access: one, limits: other } = sut.sidecar.status().bundles;
  assert.deepEqual([one?.error, other?.error], [null, null]);
  return sut;
}

function policy<R>(kind: string, name: string, spec: object): R {
  const result = decodeResource({ apiVersion: API_VERSION, kind, metadata: { namespace: 'test', name }, spec });
  assert.ok('resource' in result, JSON.stringify(result));
  return result.resource as R;
}

describe("what one policy says holds before the operator's defaults", { timeout: 30_000 }, () => {
  it('store: the AccessPolicy alone names one', async (t) => {
    const [own, operators] = [await listener(t), await listener(t)];
    const dialled = Promise.race([
      once(own.server, 'connection').then(() => 'own'),
      once(operators.server, 'connection').then(() => "the operator's"),
    ]);
    const secret = { namespace: 'test', name: 'redis', labels: { [LABELS.allowReference]: 'true' } };
    const store = { redis: { secretRef: { name: 'redis' } } };
    const of = { secrets: [{ ...secret, data: { url: own.url } }], defaultStore: operators.url };
    const sut = await guarded(t, { access: { store }, limits: {} }, of);
    assert.equal((await send(sut.port, GET)).status, 200);
    assert.equal(await dialled, 'own');
  });

  for (const says of ['access', 'limits'] as const) {
    it(`clientIP: the policy of ${says} alone says it`, async (t) => {
      const defaultClientIp = { trustedHops: 1, trustedProxies: [] };
      const specs = { access: {}, limits: {}, [says]: { clientIP: { trustedHops: 2 } } };
      const sut = await guarded(t, specs, { defaultClientIp });
      await send(sut.port, GET);
      const line = sut.log().findLast((text) => text.includes('"msg":"request"')) ?? '{}';
      assert.equal(JSON.parse(line).client, '192.0.2.2');
    });
  }
});
