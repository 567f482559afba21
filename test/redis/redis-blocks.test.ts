import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { countOffences, noOffences, type OffenceRule } from '../../policy/evaluate/threats/offence-record.ts';
import type { Offence } from '../../sidecar/stores/blocks.ts';
import { RedisBlocks } from '../../sidecar/stores/blocks-redis.ts';
import { COUNT_SCRIPT } from '../../sidecar/stores/lua/blocks-script.ts';
import type { RedisConnection } from '../../sidecar/stores/redis-connection.ts';
import { connectionTo, until, withAdmin } from './redis-clients.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

const RULE: OffenceRule = { threshold: 3, windowMs: 60_000, blockMs: 60_000, multiplier: 2, maxMs: 3_600_000 };

describe('offences and measures in Redis', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  const open: { readonly blocks: RedisBlocks; readonly connection: RedisConnection }[] = [];
  let told: string[];
  let group = 0;

  before(async () => {
    redis = await RedisServer.start();
  });
  after(() => redis.remove());
  beforeEach(() => {
    told = [];
    group++;
  });
  afterEach(async () => {
    for (const { blocks, connection } of open.splice(0)) {
      blocks.close();
      await connection.close();
    }
  });

  const process = async (name: string, more: { readonly shadow?: boolean; readonly maxBlocks?: number } = {}) => {
    const answers = { again: () => {} };
    const connection = connectionTo(redis, name, undefined, (available) => available && answers.again());
    await connection.opened;
    const blocks = new RedisBlocks({
      connection,
      group: `g${group}`,
      shadow: false,
      replica: name,
      now: Date.now,
      ...more,
    });
    answers.again = () => blocks.suspect();
    open.push({ blocks, connection });
    return blocks;
  };
  const offence = (by: string): Offence => ({
    ...RULE,
    reason: 'bruteForce',
    measure: 'Block',
    frequent: false,
    onMeasure: (subject, ms) => told.push(`${by} ${subject} ${ms / 1000}s`),
  });
  const isBlocked = (blocks: RedisBlocks, subject: string) => blocks.find('Block', subject, Date.now()) !== undefined;

  it('what two processes count adds up, is told once, and refuses in both', async () => {
    const [one, other] = [await process('one'), await process('other')];
    for (const [by, blocks] of [
      ['one', one],
      ['other', other],
      ['one', one],
    ] as const) {
      blocks.count(offence(by), 'ip=192.0.2.1', 1, Date.now());
      await blocks.refresh();
    }
    await until(() => isBlocked(one, 'ip=192.0.2.1') && isBlocked(other, 'ip=192.0.2.1'));
    assert.deepEqual(told, ['one ip=192.0.2.1 60s']);
    assert.ok(!isBlocked(one, 'ip=192.0.2.2'));
    assert.deepEqual(
      other
        .list(Date.now())
        .map(({ since: _, until: end, ...block }) => ({ ...block, left: Math.round((end - Date.now()) / 10_000) })),
      [{ measure: 'Block', subject: 'ip=192.0.2.1', reason: 'bruteForce', left: 6 }],
    );
  });

  it('clearing ends it everywhere and forgets what was counted', async () => {
    const [one, other] = [await process('one'), await process('other')];
    one.count(offence('one'), 'ip=a', 3, Date.now());
    await until(() => isBlocked(other, 'ip=a'));
    assert.deepEqual(await other.clear(['ip=a', 'ip=never'], Date.now()), { subjects: ['ip=a'], everywhere: true });
    await until(() => !isBlocked(one, 'ip=a'));
    assert.ok(!isBlocked(other, 'ip=a'));
    one.count(offence('one'), 'ip=a', 2, Date.now());
    one.count(offence('one'), 'ip=b', 3, Date.now());
    await until(() => isBlocked(one, 'ip=b'));
    assert.ok(!isBlocked(one, 'ip=a'), 'two offences are not three');
    one.count(offence('one'), 'ip=a', 1, Date.now());
    await until(() => isBlocked(one, 'ip=a'));
    assert.equal(told.at(-1), 'one ip=a 60s', 'as if it were the first');
    assert.deepEqual((await one.clear(null, Date.now())).subjects.toSorted(), ['ip=a', 'ip=b']);
    await until(() => !other.any);
  });

  it('what is counted in Shadow is apart', async () => {
    const [enforced, shadow] = [await process('one'), await process('other', { shadow: true })];
    shadow.count(offence('shadow'), 'ip=a', 3, Date.now());
    await until(() => isBlocked(shadow, 'ip=a'));
    await enforced.refresh();
    assert.ok(!isBlocked(enforced, 'ip=a'));
  });

  it('a flush takes no measure from processes that know it, and they tell it to new ones', async () => {
    const one = await process('one');
    one.count(offence('one'), 'ip=a', 3, Date.now());
    await until(() => isBlocked(one, 'ip=a'));
    await withAdmin(redis, (admin) => admin.flushall());
    await until(
      async () => (await withAdmin(redis, (admin) => admin.hlen(`portcullis:{g${group}}:threats:blocks`))) === 1,
    );
    assert.ok(isBlocked(one, 'ip=a'));
    const late = await process('late');
    await until(() => isBlocked(late, 'ip=a'));
  });

  it('while Redis is away measures stay, counting goes on alone, and both are told when it is back', async () => {
    const [one, other] = [await process('one'), await process('other')];
    one.count(offence('one'), 'ip=before', 3, Date.now());
    await until(() => isBlocked(other, 'ip=before'));
    await redis.stop('SIGKILL');
    one.count(offence('one'), 'ip=during', 3, Date.now());
    await until(() => isBlocked(one, 'ip=during'));
    assert.ok(isBlocked(one, 'ip=before') && isBlocked(other, 'ip=before') && !isBlocked(other, 'ip=during'));
    assert.deepEqual(await one.clear(['ip=nobody'], Date.now()), { subjects: [], everywhere: false });
    await redis.start();
    await until(() => isBlocked(other, 'ip=during'));
    const late = await process('late');
    await until(() => isBlocked(late, 'ip=before') && isBlocked(late, 'ip=during'));
  });

  it('what was cleared while a process was cut off does not come back with it', async () => {
    const one = await process('one');
    one.count(offence('one'), 'ip=a', 3, Date.now());
    await until(() => isBlocked(one, 'ip=a'));
    const other = await process('other');
    await other.clear(['ip=a'], Date.now());
    one.suspect();
    await one.refresh();
    await one.refresh();
    assert.ok(!isBlocked(one, 'ip=a'));
    await other.refresh();
    assert.ok(!isBlocked(other, 'ip=a'));
  });

  it('holds no more than it may, here and in Redis, and keeps what ends last', async () => {
    const one = await process('one', { maxBlocks: 10 });
    for (let i = 0; i < 50; i++) one.count({ ...offence('one'), blockMs: 60_000 + i * 1000 }, `ip=${i}`, 3, Date.now());
    await until(() => told.length === 50);
    await one.refresh();
    assert.equal(one.list(Date.now()).length, 10);
    const ends = await withAdmin(redis, (admin) => admin.zrange(`portcullis:{g${group}}:threats:ends`, '0', '-1'));
    assert.deepEqual(
      ends.toSorted(),
      Array.from({ length: 10 }, (_, i) => `Block ip=${40 + i}`),
    );
  });

  it('knows from where somebody logged in, in every process, the last ten addresses', async () => {
    const [one, other] = [await process('one'), await process('other')];
    for (let i = 0; i < 11; i++) {
      one.noteLogin('login=ann', `192.0.2.${i}`, Date.now());
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await until(() => other.hasLoggedIn('login=ann', '192.0.2.10', Date.now()));
    assert.ok(!(await other.hasLoggedIn('login=bob', '192.0.2.10', Date.now())));
    assert.equal(await withAdmin(redis, (admin) => admin.zcard(`portcullis:{g${group}}:threats:logins:login=ann`)), 10);
  });

  it('every key has a time to live', async () => {
    const one = await process('one');
    one.count(offence('one'), 'ip=a', 3, Date.now());
    one.count(offence('one'), 'ip=b', 1, Date.now());
    one.noteLogin('login=ann', '192.0.2.1', Date.now());
    await until(() => isBlocked(one, 'ip=a'));
    await withAdmin(redis, async (admin) => {
      const keys = await admin.keys(`portcullis:{g${group}}:threats:*`);
      assert.ok(keys.length >= 7, keys.join(' '));
      for (const key of keys) assert.ok((await admin.pttl(key)) > 0, key);
    });
  });

  it('the script counts as countOffences does', async () => {
    // By our clock instead of Redis's own.
    const script = COUNT_SCRIPT.replace("redis.call('TIME')", '{ARGV[#ARGV - 1], ARGV[#ARGV]}');
    let run = 0;
    await withAdmin(redis, (admin) =>
      fc.assert(
        fc.asyncProperty(rules, histories, async (rule, gaps) => {
          run++;
          const keys = ['meta', 'blocks', 'ends', 'log', 'record'].map((key) => `script${run}:${key}`);
          const { threshold, windowMs, blockMs, multiplier, maxMs } = rule;
          const record = noOffences();
          let now = Date.now() + 86_400_000; // records expire by the clock of Redis, which is a day behind
          for (const { gap, amount } of gaps) {
            now += gap;
            const time = [Math.floor(now / 1000), (now % 1000) * 1000];
            const args = ['replica', 1_000_000, 100, threshold, windowMs, blockMs, multiplier, maxMs, amount, '', ''];
            const reply = await admin.eval(script, keys.length, ...keys, ...args, ...time);
            assert.deepEqual(reply, [countOffences(record, rule, amount, now) ?? -1]);
          }
        }),
        { numRuns: 150 },
      ),
    );
    console.log(`${run} histories agree`);
  });
});

// Windows so long that no record expires while a history runs: expiry is Redis's, and its clock is not ours here.
const rules: fc.Arbitrary<OffenceRule> = fc
  .record({
    threshold: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 61, max: 80 })),
    windowMs: fc.integer({ min: 60_000, max: 120_000 }),
    blockMs: fc.integer({ min: 0, max: 30_000 }),
    multiplier: fc.integer({ min: 1, max: 3 }),
    more: fc.nat(300_000),
  })
  .map(({ more, ...rule }) => ({ ...rule, maxMs: rule.blockMs + more }));
const histories = fc.array(
  fc.record({ gap: fc.integer({ min: -70_000, max: 70_000 }), amount: fc.integer({ min: 1, max: 20 }) }),
  { maxLength: 40 },
);
