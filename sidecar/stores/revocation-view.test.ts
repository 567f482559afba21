import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RevocationView } from './revocation-view.ts';

const T = 1_800_000_000_000;
const token = (id: string, until: number) => ({ id, until, notBefore: null });

describe('RevocationView', () => {
  it('drops what has ended, and says so once that made room for what did not fit', () => {
    const view = new RevocationView(2);
    view.add(token('a', T + 1000), T);
    view.add({ id: 'ann', until: T + 600_000, notBefore: T }, T);
    view.add(token('b', T + 600_000), T);
    assert.deepEqual([view.size, view.overflowed, view.isRevoked('b', null, 0)], [2, true, false]);
    assert.equal(view.prune(T + 59_999), false);
    assert.equal(view.prune(T + 60_000), true);
    view.forgetOverflow();
    view.add(token('b', T + 600_000), T + 60_000);
    assert.deepEqual(
      [view.overflowed, view.isRevoked('b', null, 0), view.isRevoked('a', null, 0)],
      [false, true, false],
    );
  });

  it('takes nothing that has ended, and an extension of what it holds even when full', () => {
    const view = new RevocationView(1);
    view.add(token('ended', T), T);
    assert.equal(view.size, 0);
    view.add(token('a', T + 1000), T);
    view.add(token('a', T + 5000), T);
    assert.deepEqual([...view.entries()], [token('a', T + 5000)]);
    assert.equal(view.overflowed, false);
  });

  it('covers what says the same or less', () => {
    const view = new RevocationView();
    const subject = { id: 'ann', until: T + 1000, notBefore: T };
    view.add(token('a', T + 1000), T);
    view.add(subject, T);
    assert.deepEqual(
      [
        view.covers(token('a', T + 1000)),
        view.covers(token('a', T + 1001)),
        view.covers(token('ann', T)),
        view.covers(subject),
        view.covers({ ...subject, notBefore: T + 1 }),
        view.covers({ ...subject, until: T + 1001 }),
        view.covers({ ...subject, id: 'a' }),
      ],
      [true, false, false, true, false, false, false],
    );
  });
});
