import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Registry } from 'prom-client';
import { CandidateMetrics } from '../metrics/candidate-metrics.ts';
import { testExchange } from '../pipeline/testing/exchange-fixtures.ts';
import { Comparison } from './compare.ts';
import type { Verdict } from './verdict.ts';

const ALLOW: Verdict = { decision: 'allow', rule: 'orders', reason: '' };
const DENY: Verdict = { decision: 'forbidden', rule: 'trade', reason: 'no entry of allow holds' };
const UNREAD: Verdict = { decision: 'body_not_read', rule: 'trade', reason: '' };

function comparison() {
  const registry = new Registry();
  const lines: { readonly message: string; readonly fields: object }[] = [];
  const write = (fields: object, message: string): void => void lines.push({ message, fields });
  let now = 5_000;
  const compared = new Comparison({
    metrics: new CandidateMetrics(registry),
    log: { info: write, warn: write } as never,
    now: () => now,
  });
  return {
    lines,
    wait: (ms: number) => {
      now += ms;
    },
    compare: (live: Verdict | null, decide: () => Promise<Verdict>) =>
      compared.compare('access', testExchange({ path: '/orders' }), live, decide),
    counts: async () => {
      await new Promise(setImmediate);
      const text = await registry.metrics();
      return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    },
  };
}

describe('Comparison', () => {
  const differs = (live: string, liveRule: string, candidate: string, candidateRule: string): string =>
    `portcullis_candidate_differences_total{kind="access",live_rule="${liveRule}",live="${live}",candidate_rule="${candidateRule}",candidate="${candidate}"} 1`;
  const cases: readonly [name: string, live: Verdict | null, candidate: Verdict, outcome: string, more: string[]][] = [
    ['both allow, by different rules', ALLOW, { ...ALLOW, rule: 'trade' }, 'same', []],
    ['both refuse for the same reason', DENY, { ...DENY, rule: 'x' }, 'same', []],
    ['the candidate refuses', ALLOW, DENY, 'different', [differs('allow', 'orders', 'forbidden', 'trade')]],
    ['the candidate allows', DENY, ALLOW, 'different', [differs('forbidden', 'trade', 'allow', 'orders')]],
    ['a body that nobody read, otherwise the same', ALLOW, UNREAD, 'body_not_read', []],
    [
      'a body that nobody read, after something that differs',
      DENY,
      UNREAD,
      'different',
      [differs('forbidden', 'trade', 'body_not_read', 'trade')],
    ],
    ['the live policy was not asked', null, DENY, 'not_compared', []],
  ];
  for (const [name, live, candidate, outcome, more] of cases) {
    it(name, async () => {
      const { compare, counts, lines } = comparison();
      compare(live, async () => candidate);
      const requests = `portcullis_candidate_requests_total{kind="access",outcome="${outcome}"} 1`;
      assert.deepEqual(await counts(), [requests, ...more]);
      assert.equal(lines.length, more.length);
    });
  }

  it('counts a candidate that throws or rejects, and says why', async () => {
    const { compare, counts, lines } = comparison();
    compare(ALLOW, () => {
      throw new RangeError('at once');
    });
    compare(ALLOW, () => Promise.reject(new RangeError('later')));
    assert.deepEqual(await counts(), ['portcullis_candidate_requests_total{kind="access",outcome="failed"} 2']);
    assert.deepEqual(
      lines.map(({ message }) => message),
      ['candidate policy failed', 'candidate policy failed'],
    );
  });

  it('tries no more than 64 at a time', async () => {
    const { compare, counts } = comparison();
    const finish: (() => void)[] = [];
    const slow = () => new Promise<Verdict>((resolve) => finish.push(() => resolve(ALLOW)));
    for (let request = 0; request < 70; request++) compare(ALLOW, slow);
    assert.deepEqual(await counts(), ['portcullis_candidate_requests_total{kind="access",outcome="dropped"} 6']);
    for (const each of finish) each();
    await counts();
    compare(ALLOW, async () => ALLOW);
    assert.ok((await counts()).includes('portcullis_candidate_requests_total{kind="access",outcome="same"} 65'));
  });

  it('writes no more than 10 lines a second, and counts all', async () => {
    const { compare, counts, lines, wait } = comparison();
    for (let request = 0; request < 25; request++) compare(ALLOW, async () => DENY);
    assert.ok((await counts()).includes('portcullis_candidate_requests_total{kind="access",outcome="different"} 25'));
    assert.equal(lines.length, 10);
    wait(1_000);
    compare(ALLOW, async () => DENY);
    await counts();
    assert.equal(lines.length, 11);
    assert.deepEqual(lines[10], {
      message: 'candidate policy differs',
      fields: {
        kind: 'access',
        requestId: 'id-1',
        method: 'GET',
        host: 'api.example',
        path: '/orders',
        client: '192.0.2.1',
        user: null,
        live: ALLOW,
        candidate: DENY,
      },
    });
  });
});
