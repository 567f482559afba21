import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SILENT_SINK } from '../../runtime/log.ts';
import { type EgressExample, startExample } from './start-example.ts';

describe('examples/egress', () => {
  let example: EgressExample;
  let egress: string;
  before(async () => {
    example = await startExample({ host: '127.0.0.1', port: 0 }, SILENT_SINK, () => {});
    egress = `http://127.0.0.1:${example.local.sidecar.egressPort()}`;
  });
  after(() => example.stop());

  it('sends the desk’s key along, and tries a 429 again', async () => {
    const seen: number[] = [];
    for (let i = 0; i < 4; i++) {
      const found = await fetch(`${egress}/broker/api/v3/order?symbol=BTCUSDT`);
      assert.equal(found.status, 200);
      const body = (await found.json()) as { path: string; request: number };
      assert.equal(body.path, '/api/v3/order?symbol=BTCUSDT');
      seen.push(body.request);
    }
    assert.deepEqual(seen, [1, 2, 4, 5], 'the third was answered 429');
  });

  it('lets nothing else through', async () => {
    assert.equal((await fetch(`${egress}/broker/sapi/v1/capital/withdraw/apply`, { method: 'POST' })).status, 403);
    assert.equal((await fetch(`${egress}/elsewhere/`)).status, 404);
  });

  it('a key that is changed reaches the broker without a restart', async () => {
    const file = join(example.policies, 'policies.yaml');
    await writeFile(file, (await readFile(file, 'utf8')).replace('key-of-the-desk', 'a-wrong-key'));
    let status = 200;
    for (let i = 0; i < 200 && status !== 401; i++) {
      await sleep(25);
      ({ status } = await fetch(`${egress}/broker/api/v3/order`));
    }
    assert.equal(status, 401);
  });
});
