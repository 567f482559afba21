import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runBlocks } from '../../cli/blocks/run-blocks.ts';
import type { LimitsBundle } from '../../policy/bundle/types.ts';
import { type Asking, ask, closeAsking } from '../support/ask.ts';
import { type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';
import { until, withAdmin } from './redis-clients.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

const MINUTE = 60_000;

describe('brute force against two sidecars on one Redis', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  let directory: string;
  let sidecars: SidecarUnderTest[];
  const socket = (of: number) => join(directory, `control${of}.sock`);

  before(async () => {
    redis = await RedisServer.start();
    directory = mkdtempSync(join(tmpdir(), 'portcullis-control-'));
    const limits: Partial<LimitsBundle> = {
      store: { redisUrl: redis.url },
      clientIp: { trustedHops: 1, trustedProxies: [] },
      threats: {
        bruteForce: {
          failures: 6,
          withinMs: 5 * MINUTE,
          keys: ['ip', 'user'],
          blockMs: 60 * MINUTE,
          paths: ['/login'],
        },
      },
    };
    const start = (of: number) => startSidecarUnderTest({ limits, controlSocket: socket(of) });
    sidecars = [await start(0), await start(1)];
    for (const { upstream } of sidecars) {
      upstream.behave(({ startLine }, client) => {
        const status = startLine.startsWith('POST') ? '401 Unauthorized' : '200 OK';
        client.write(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`);
      });
    }
  });
  after(async () => {
    closeAsking();
    await Promise.all(sidecars.map((sidecar) => sidecar.stop()));
    await redis.remove();
    rmSync(directory, { recursive: true });
  });

  const said = async (of: number, asking: Asking): Promise<string> => {
    const { status, code } = await ask(sidecars[of]!.port, asking);
    return code === '' ? String(status) : `${status} ${code}`;
  };
  const attempt = (of: number, from: string) => said(of, { method: 'POST', path: '/login', from });
  const blocks = async (of: number, ...args: string[]): Promise<readonly [number, string]> => {
    let text = '';
    const stdout = { write: (more: string) => (text += more) };
    const code = await runBlocks(['--control', socket(of), ...args], { stdout, stderr: stdout, now: Date.now });
    return [code, text];
  };
  /** Fails at both until both refuse; how many log-ins reached an application. */
  const attack = async (from: string): Promise<number> => {
    let tried = 0;
    await until(async () => {
      const answers = [await attempt(0, from), await attempt(1, from)];
      tried += answers.filter((answer) => answer === '401').length;
      return answers.every((answer) => answer === '429 blocked');
    });
    return tried;
  };

  it('an address is blocked at both after what it did at either, and nobody else is', async () => {
    for (const each of [0, 1, 0, 1, 0, 1]) assert.equal(await attempt(each, '192.0.2.1'), '401');
    await until(async () => (await attempt(0, '192.0.2.1')) === '429 blocked');
    await until(async () => (await attempt(1, '192.0.2.1')) === '429 blocked');
    for (const each of [0, 1]) {
      assert.equal(await said(each, { path: '/orders', from: '192.0.2.1' }), '429 blocked');
      assert.equal(
        await said(each, { path: '/orders', from: '192.0.2.2', token: sidecars[each]!.token({ sub: 'ann' }) }),
        '200',
      );
      assert.equal(await attempt(each, '192.0.2.3'), '401');
    }
    const events = sidecars.flatMap((each) => each.log()).filter((line) => line.includes('"multiple_failed_logins"'));
    assert.equal(events.length, 1, 'told once');
  });

  it('the command shows it, at either, and clears it at both', async () => {
    for (const each of [0, 1]) {
      const [code, text] = await blocks(each);
      assert.equal(code, 0);
      assert.match(
        text,
        /^SUBJECT +MEASURE +REASON +ENDS +POLICY +PODS\nip=192\.0\.2\.1 +Block +bruteForce +in 59 minutes +test\/limits +all\n$/,
      );
    }
    assert.deepEqual(await blocks(1, 'clear', 'ip=192.0.2.1'), [0, 'cleared ip=192.0.2.1\n']);
    for (const each of [0, 1])
      await until(async () => (await said(each, { path: '/orders', from: '192.0.2.1' })) === '200');
    assert.deepEqual(await blocks(0), [0, 'nobody is blocked\n']);
    assert.equal(await attempt(0, '192.0.2.1'), '401', 'counting begins anew');
  });

  it('Redis is killed in between: who was blocked stays so, and an attack is seen all the same', async () => {
    await attack('192.0.2.4');
    await redis.stop('SIGKILL');
    for (const each of [0, 1]) assert.equal(await said(each, { path: '/orders', from: '192.0.2.4' }), '429 blocked');
    const tried = await attack('192.0.2.5');
    assert.ok(tried <= 2 * 6 + 2, `${tried} tries where each counts to 6 by itself`);
    for (const each of [0, 1]) assert.equal(await said(each, { path: '/orders', from: '192.0.2.6' }), '200');
    assert.match((await blocks(0))[1], /the store does not answer/);
    const [code, text] = await blocks(0, 'clear', 'ip=192.0.2.5');
    assert.equal(code, 1);
    assert.match(text, /it may begin again/);
    await redis.start();
    await until(async () => {
      const held = await withAdmin(redis, (admin) => admin.hkeys('portcullis:{test/limits}:threats:blocks'));
      return held.includes('Block ip=192.0.2.4') && held.includes('Block ip=192.0.2.5');
    });
    await until(async () => (await blocks(0, 'clear', '--all'))[0] === 0);
    for (const each of [0, 1])
      await until(async () => (await said(each, { path: '/orders', from: '192.0.2.4' })) === '200');
  });
});
