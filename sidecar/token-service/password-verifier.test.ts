import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, it } from 'node:test';
import { hashSync } from 'bcryptjs';
import { createPasswordVerifier } from './password-verifier.ts';
import type { PasswordVerifier } from './ports.ts';

/** Of the password `right`; cost 4, so that tests are quick. */
const KNOWN = {
  'our own': hashSync('right', 4),
  'a $2a$ hash': hashSync('right', 4).replace('$2b$', '$2a$'),
  'a $2y$ hash, as htpasswd writes it': hashSync('right', 4).replace('$2b$', '$2y$'),
};
/** 100 ms and more of work. */
const SLOW = hashSync('slow', 11);

describe('password verifier', () => {
  const open: PasswordVerifier[] = [];
  const verifier = (maxWaiting?: number): PasswordVerifier => {
    const opened = createPasswordVerifier(maxWaiting === undefined ? {} : { maxWaiting });
    open.push(opened);
    return opened;
  };
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.close()));
  });

  for (const [name, hash] of Object.entries(KNOWN)) {
    it(`tells the right password from others by ${name}`, async () => {
      const { verify } = verifier();
      assert.equal(await verify('right', [hash]), true);
      assert.equal(await verify('wrong', [hash]), false);
    });
  }

  it('goes by the first hash, whatever the others are', async () => {
    const { verify } = verifier();
    const [right, wrong] = [KNOWN['our own'], hashSync('other', 4)];
    assert.deepEqual([await verify('right', [right, wrong]), await verify('right', [wrong, right])], [true, false]);
  });

  it('answers each of many in its place, and refuses those beyond its bound at once', async () => {
    const { verify } = verifier(3);
    const hash = KNOWN['our own'];
    const all = ['right', 'wrong', 'right', 'wrong', 'right', 'wrong'].map((password) => verify(password, [hash]));
    assert.deepEqual(await Promise.all(all), [true, false, true, false, 'overloaded', 'overloaded']);
    assert.equal(await verify('right', [hash]), true);
  });

  it('leaves the event loop free', async () => {
    const { verify } = verifier();
    await verify('right', [KNOWN['our own']]);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    assert.equal(await verify('slow', [SLOW]), true);
    clearInterval(timer);
    assert.ok(ticks > 5, `${ticks} ticks`);
  });

  it('runs at a lower priority than the rest of the process', { skip: process.platform !== 'linux' }, async () => {
    const niceness = () =>
      readdirSync('/proc/self/task').map((task) => {
        const stat = readFileSync(`/proc/self/task/${task}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
      });
    const before = Math.max(...niceness());
    await verifier().verify('right', [KNOWN['our own']]);
    assert.deepEqual(
      niceness().filter((nice) => nice > before),
      [before + 10],
    );
  });

  it('says overloaded when its thread ends, and starts another', async () => {
    const { verify, close } = verifier();
    const waiting = [verify('slow', [SLOW]), verify('slow', [SLOW])];
    await close();
    assert.deepEqual(await Promise.all(waiting), ['overloaded', 'overloaded']);
    assert.equal(await verify('right', [KNOWN['our own']]), true);
  });

  it('survives a hash that its thread cannot read', async () => {
    const { verify } = verifier();
    assert.equal(await verify('right', [`$2b$99$${'.'.repeat(53)}`]), 'overloaded');
    assert.equal(await verify('right', [KNOWN['our own']]), true);
  });
});
