import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Decision, denial, type Filter } from './filter.ts';
import { FILTER_FAILED, runFinish, runRequest, runResponse } from './run-pipeline.ts';
import { testExchange } from './testing/exchange-fixtures.ts';

const FORBIDDEN = denial('forbidden', 'authorize', 'test');
const LIMITED = denial('rate_limited', 'limit', 'test');
const PREFLIGHT = { kind: 'answer', status: 204, headers: [], body: '' } as const;

/** A filter that writes down when it runs, and decides as told. */
function filter(name: string, trace: string[], decide: () => Decision | Promise<Decision>, shadow = false): Filter {
  return {
    name,
    shadow,
    onRequest: () => {
      trace.push(`${name} request`);
      return decide();
    },
    onResponse: (_exchange, headers) => {
      trace.push(`${name} response`);
      headers.push(name, '1');
    },
    onFinish: () => void trace.push(`${name} finish`),
  };
}
const pass = (): undefined => undefined;
const never = (): never => assert.fail('no filter failed');

describe('runRequest', () => {
  it('asks in order, synchronously while nobody returns a promise', () => {
    const trace: string[] = [];
    const exchange = testExchange();
    assert.equal(runRequest([filter('a', trace, pass), filter('b', trace, pass)], exchange, never), undefined);
    assert.deepEqual(trace, ['a request', 'b request']);
  });

  const settled: readonly (readonly [name: string, decide: () => Decision | Promise<Decision>, decision: Decision])[] =
    [
      ['a denial', () => FORBIDDEN, FORBIDDEN],
      ['a denial later', async () => FORBIDDEN, FORBIDDEN],
      ['an answer', () => PREFLIGHT, PREFLIGHT],
      ['an answer later', async () => PREFLIGHT, PREFLIGHT],
    ];
  for (const [name, decide, decision] of settled) {
    it(`${name} ends it`, async () => {
      const trace: string[] = [];
      const filters = [filter('a', trace, pass), filter('b', trace, decide), filter('c', trace, pass)];
      const exchange = testExchange();
      assert.equal(await runRequest(filters, exchange, never), decision);
      assert.deepEqual([trace, exchange.entered], [['a request', 'b request'], 2]);
    });
  }

  const faults: readonly (readonly [name: string, decide: () => Decision | Promise<Decision>])[] = [
    [
      'throws',
      () => {
        throw new Error('boom');
      },
    ],
    ['rejects', () => Promise.reject(new Error('boom'))],
    ['rejects with nothing', () => Promise.reject(undefined)],
  ];
  for (const [name, decide] of faults) {
    it(`a filter that ${name} denies, and the fault is reported`, async () => {
      const told: string[] = [];
      const filters = [filter('bad', [], decide), filter('c', [], () => assert.fail('the request went on'))];
      assert.equal(await runRequest(filters, testExchange(), ({ name: who }) => told.push(who)), FILTER_FAILED);
      assert.deepEqual(told, ['bad']);
    });
    it(`a filter in Shadow that ${name} is written down, and the request goes on`, async () => {
      const trace: string[] = [];
      const exchange = testExchange();
      const told: string[] = [];
      const filters = [filter('bad', [], decide, true), filter('c', trace, pass)];
      assert.equal(await runRequest(filters, exchange, ({ name: who }) => told.push(who)), undefined);
      assert.deepEqual([exchange.shadowDenials, trace, told], [[FILTER_FAILED], ['c request'], ['bad']]);
    });
  }

  it('denials in Shadow are written down in order; a policy in Enforce after them still decides', async () => {
    const trace: string[] = [];
    const exchange = testExchange();
    const filters = [
      filter('a', trace, async () => LIMITED, true),
      filter('b', trace, () => FORBIDDEN, true),
      filter('c', trace, () => FORBIDDEN),
    ];
    assert.equal(await runRequest(filters, exchange, never), FORBIDDEN);
    assert.deepEqual(exchange.shadowDenials, [LIMITED, FORBIDDEN]);
  });
});

describe('runResponse and runFinish', () => {
  it('run in reverse for every filter entered, and for no other', () => {
    const trace: string[] = [];
    const filters = [filter('a', trace, pass), filter('b', trace, () => FORBIDDEN), filter('c', trace, pass)];
    const exchange = testExchange();
    runRequest(filters, exchange, never);
    const headers: string[] = [];
    runResponse(filters, exchange, headers, never);
    runFinish(filters, exchange, never);
    assert.deepEqual(trace.slice(2), ['b response', 'a response', 'b finish', 'a finish']);
    assert.deepEqual(headers, ['b', '1', 'a', '1']);
  });

  it('one that throws does not keep the others from theirs', () => {
    const trace: string[] = [];
    const throwing = (): never => {
      throw new Error('boom');
    };
    const bad: Filter = { name: 'bad', onResponse: throwing, onFinish: throwing };
    const filters = [filter('a', trace, pass), bad];
    const exchange = testExchange();
    const told: string[] = [];
    runRequest(filters, exchange, never);
    runResponse(filters, exchange, [], ({ name }) => told.push(name));
    runFinish(filters, exchange, ({ name }) => told.push(name));
    assert.deepEqual(
      [trace.slice(1), told],
      [
        ['a response', 'a finish'],
        ['bad', 'bad'],
      ],
    );
  });
});
