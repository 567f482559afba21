import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Exchange } from '../pipeline/exchange.ts';
import { denial } from '../pipeline/filter.ts';
import { testExchange } from '../pipeline/testing/exchange-fixtures.ts';
import { liveAccessVerdict, liveLimitsVerdict, reachedSubjects } from './verdict.ts';

const FORBIDDEN = denial('forbidden', 'authorize', 'no entry of allow holds');
const INVALID = denial('token_invalid', 'authenticate', 'expired');
const LIMITED = denial('rate_limited', 'limit', 'per-minute');
const THROTTLED = denial('rate_limited', 'limit', 'abuse');
const BLOCKED = denial('blocked', 'blocklist', 'bruteForce: ip=192.0.2.1');
const ANSWER = { kind: 'answer', status: 204, headers: [], body: '' } as const;
const LIMITS = new Set(['per-minute']);

describe('what the live policies decided', () => {
  type Row = readonly [
    name: string,
    change: Partial<Pick<Exchange, 'decision' | 'decidedBy' | 'shadowDenials'>>,
    access: string | null,
    limits: string | null,
    subjects: boolean,
  ];
  const rows: readonly Row[] = [
    ['forwarded', { decision: undefined }, 'allow', 'allow', true],
    ['nothing yet: the client left', { decision: null }, null, null, true],
    ['forbidden', { decision: FORBIDDEN, decidedBy: 'authorize' }, 'forbidden', 'allow', true],
    ['a bad token', { decision: INVALID, decidedBy: 'authenticate' }, 'token_invalid', 'allow', true],
    ['a bad token too many', { decision: LIMITED, decidedBy: 'authenticate' }, null, 'rate_limited', true],
    ['a limit by address', { decision: LIMITED, decidedBy: 'limit-by-address' }, null, 'rate_limited', false],
    ['a limit by subject', { decision: LIMITED, decidedBy: 'limit-by-subject' }, null, 'rate_limited', true],
    ['a throttle', { decision: THROTTLED, decidedBy: 'throttle' }, null, 'allow', true],
    ['a preflight', { decision: ANSWER, decidedBy: 'cors' }, 'answer', 'allow', false],
    ['a log-in', { decision: ANSWER, decidedBy: 'token-endpoint' }, null, 'allow', true],
    ['a block', { decision: BLOCKED, decidedBy: 'blocklist' }, null, null, false],
    [
      'a body that found no room',
      { decision: denial('overloaded', 'validate', 'x'), decidedBy: 'validate-body' },
      null,
      'allow',
      true,
    ],
    [
      'a store that did not answer',
      { decision: denial('store_unavailable', 'limit', 'per-minute'), decidedBy: 'limit-by-subject' },
      null,
      null,
      true,
    ],
    [
      'a filter that failed',
      { decision: denial('internal_error', 'authorize', 'x'), decidedBy: 'x' },
      null,
      null,
      false,
    ],
    ['in Shadow', { decision: undefined, shadowDenials: [LIMITED, FORBIDDEN] }, 'forbidden', 'rate_limited', true],
    ['a throttle in Shadow', { decision: undefined, shadowDenials: [THROTTLED] }, 'allow', 'allow', true],
  ];
  for (const [name, change, access, limits, subjects] of rows) {
    it(name, () => {
      const exchange = Object.assign(testExchange(), change);
      assert.equal(liveAccessVerdict(exchange)?.decision ?? null, access);
      assert.equal(liveLimitsVerdict(exchange, LIMITS)?.decision ?? null, limits);
      assert.equal(reachedSubjects(exchange), subjects);
    });
  }
});
