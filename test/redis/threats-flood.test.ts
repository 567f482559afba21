import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type BlockStore, type Offence, subjectId } from '../../sidecar/stores/blocks.ts';
import { MemoryBlocks } from '../../sidecar/stores/blocks-memory.ts';
import { RedisBlocks } from '../../sidecar/stores/blocks-redis.ts';
import { connectionTo, until, withAdmin } from './redis-clients.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

const ADDRESSES = 100_000;
const MOST_MB = 60;
const HOUR = 3_600_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const heapMb = (): number => {
  collect();
  return process.memoryUsage().heapUsed / 2 ** 20;
};

let reached = 0;
const offence = (reason: Offence['reason'], threshold: number): Offence => ({
  reason,
  measure: 'Block',
  threshold,
  windowMs: HOUR,
  blockMs: HOUR,
  multiplier: 1,
  maxMs: HOUR,
  frequent: false,
  onMeasure: () => reached++,
});

/** Every address of the flood scans, which blocks it. */
function flood(blocks: BlockStore, from: number, to: number): void {
  const now = Date.now();
  const scan = offence('scanning', 1);
  for (let i = from; i < to; i++) {
    const subject = subjectId('ip', `2001:db8:${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}::/64`);
    blocks.count(scan, subject, 1, now);
  }
}

describe('a flood of 100,000 addresses', () => {
  it('in memory', () => {
    const before = heapMb();
    const blocks = new MemoryBlocks();
    flood(blocks, 0, ADDRESSES);
    // And as many that have only begun to guess.
    const guess = offence('bruteForce', 5);
    for (let i = 0; i < ADDRESSES; i++) blocks.count(guess, subjectId('ip', `10.0.${i}`), 3, Date.now());
    const mb = heapMb() - before;
    const held = blocks.list(Date.now()).length;
    console.log(`memory: ${mb.toFixed(1)} MB for ${held} blocks and 2 x 50,000 records`);
    assert.equal(held, 20_000);
    assert.ok(mb < MOST_MB, `${mb} MB`);
  });

  it('with Redis', { skip: redisMissing() }, async () => {
    const redis = await RedisServer.start();
    const connection = connectionTo(redis, 'one');
    await connection.opened;
    const before = heapMb();
    const blocks = new RedisBlocks({ connection, group: 'flood', shadow: false, replica: 'one', now: Date.now });
    reached = 0;
    const began = performance.now();
    for (let at = 0; at < ADDRESSES; at += 5_000) {
      flood(blocks, at, at + 5_000);
      await until(() => reached === at + 5_000);
    }
    const seconds = (performance.now() - began) / 1_000;
    await blocks.refresh();
    const mb = heapMb() - before;
    const held = blocks.list(Date.now()).length;
    const { stored, redisMb } = await withAdmin(redis, async (admin) => ({
      stored: await admin.zcard('portcullis:{flood}:threats:ends'),
      redisMb: Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1]) / 2 ** 20,
    }));
    console.log(
      `Redis: ${mb.toFixed(1)} MB in the process for ${held} blocks, ${redisMb.toFixed(1)} MB in Redis for ${stored} blocks and 100,000 records, ${(ADDRESSES / seconds).toFixed(0)} offences a second`,
    );
    assert.equal(held, 20_000);
    assert.equal(stored, 20_000);
    assert.ok(mb < MOST_MB, `${mb} MB`);
    blocks.close();
    await connection.close();
    await redis.remove();
  });
});
