import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { RevocationConfig } from '../../policy/bundle/authentication.ts';
import { openStores, type Stores } from '../../sidecar/stores/open-stores.ts';
import { RedisServer, redisMissing } from '../redis/redis-server.ts';
import { describeAnswer, request } from '../support/attack-table.ts';
import { type RawAnswer, send } from '../support/raw-http.ts';
import { rule, type SidecarUnderTest, startSidecarUnderTest, validToken } from '../support/sidecar-under-test.ts';

/** As `testAuthenticator` names it. */
const KEY_SET = 'default/trading';
const MAX_STALENESS_MS = 400;
const DEADLINE_MS = 10_000;
const rules = [
  rule('guarded', ['/guarded'], [{ authenticated: true }]),
  rule('open', ['/open'], [{ anonymous: true }]),
];

function call(sut: SidecarUnderTest, token: string, path = '/guarded'): Promise<RawAnswer> {
  sut.upstream.clear();
  return send(sut.port, request(`GET ${path} HTTP/1.1`, 'Host: api.example', `Authorization: Bearer ${token}`));
}

describe('revoked tokens at sidecars on one Redis', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  /** What another pod's logout writes with. */
  let elsewhere: Stores;
  const sidecars = new Map<string, SidecarUnderTest>();
  const of = (name: string): SidecarUnderTest => sidecars.get(name) ?? assert.fail(name);

  before(async () => {
    redis = await RedisServer.start();
    const store = { redisUrl: redis.url };
    const denying: RevocationConfig = { onStoreFailure: 'Deny', maxStalenessMs: MAX_STALENESS_MS };
    const policies: Readonly<Record<string, RevocationConfig | null>> = {
      one: denying,
      two: denying,
      lenient: { ...denying, onStoreFailure: 'Allow' },
      none: null,
    };
    for (const [name, revocation] of Object.entries(policies)) {
      const access = { rules, store, ...(revocation && { revocation }) };
      sidecars.set(name, await startSidecarUnderTest({ access }));
    }
    elsewhere = await openStores(store, {
      groups: { access: 'test/elsewhere', limits: 'test/elsewhere' },
      replica: 'elsewhere',
      maxStalenessMs: MAX_STALENESS_MS,
      now: Date.now,
    });
    for (const name of ['one', 'two']) await until(async () => (await call(of(name), validToken())).status === 200);
  });
  after(async () => {
    await elsewhere.close();
    for (const sidecar of sidecars.values()) await sidecar.stop();
    await redis.remove();
  });

  const revoked = () => elsewhere.revocationsOf(KEY_SET);
  const inAnHour = () => Date.now() + 3_600_000;

  it('by jti: refused everywhere within maxStaleness, cached or not; another token of the user is not', async () => {
    const leaving = validToken({ jti: 'leaving' });
    const staying = validToken({ jti: 'staying' });
    for (const name of sidecars.keys()) assert.equal((await call(of(name), leaving)).status, 200);
    assert.equal(await revoked().revokeToken('leaving', inAnHour(), Date.now()), true);
    for (const name of ['one', 'two', 'lenient']) {
      await until(async () => (await call(of(name), leaving)).status === 401);
      const refused = await call(of(name), leaving);
      assert.equal(JSON.parse(refused.body).code, 'token_invalid', describeAnswer(refused));
      assert.equal(refused.headers['www-authenticate'], 'Bearer error="invalid_token"');
      assert.deepEqual(of(name).upstream.requests, []);
      assert.match(of(name).log().at(-1) ?? '', /"reason":"revoked"/);
      assert.equal((await call(of(name), staying)).status, 200, 'honest twin');
    }
    assert.equal((await call(of('none'), leaving)).status, 200, 'without the block nothing is looked up');
  });

  it('by sub: what was issued before is refused, what is issued after is not, nor what is of others', async () => {
    const now = Date.now();
    const iat = Math.floor(now / 1000) - 100;
    const old = validToken({ sub: 'bob', iat });
    const others = validToken({ sub: 'carol', iat });
    assert.equal((await call(of('one'), old)).status, 200);
    assert.equal(await revoked().revokeSubject('bob', now - 50_000, inAnHour(), now), true);
    await until(async () => (await call(of('one'), old)).status === 401);
    assert.equal((await call(of('one'), validToken({ sub: 'bob', iat: iat + 80 }))).status, 200);
    assert.equal((await call(of('one'), others)).status, 200);
  });

  it('where everyone may in a revoked token is ignored, and gives no identity', async () => {
    assert.equal((await call(of('one'), validToken({ jti: 'leaving' }), '/open')).status, 200);
    assert.ok(!of('one').upstream.received().includes('x-portcullis-subject'));
  });

  it("another key set's revocations are not these", async () => {
    await elsewhere.revocationsOf('default/other').revokeToken('third', inAnHour(), Date.now());
    await elsewhere.revocationsOf(KEY_SET).revokeToken('fourth', inAnHour(), Date.now());
    await until(async () => (await call(of('one'), validToken({ jti: 'fourth' }))).status === 401);
    assert.equal((await call(of('one'), validToken({ jti: 'third' }))).status, 200);
  });

  it('while Redis is away: what is known to be revoked stays so, all else is as onStoreFailure says', async () => {
    const leaving = validToken({ jti: 'leaving' });
    const staying = validToken({ jti: 'staying' });
    await redis.stop('SIGKILL');
    await until(async () => (await call(of('one'), staying)).status === 503);
    const refused = await call(of('one'), staying);
    assert.equal(JSON.parse(refused.body).code, 'store_unavailable');
    assert.equal(refused.headers['retry-after'], '1');
    assert.equal((await call(of('one'), leaving)).status, 401);
    assert.equal((await call(of('one'), staying, '/open')).status, 200, 'an identity is not needed there');
    assert.equal((await call(of('lenient'), staying)).status, 200);
    assert.equal((await call(of('lenient'), leaving)).status, 401);
    await redis.start();
    await until(async () => (await call(of('one'), staying)).status === 200);
    assert.equal((await call(of('one'), leaving)).status, 401, 'an empty Redis un-revokes nothing');
  });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, 'it did not come to that');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
