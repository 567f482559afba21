import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiServerFor } from '../../test/cluster/require-api-server.ts';
import { renderTable } from '../report.ts';
import { increase, Metrics, quantileBound } from './metrics-text.ts';
import { parseOptions } from './options.ts';
import { runOperatorBench } from './run-bench.ts';
import { operatorTables } from './tables.ts';

test('the bench runs small: everything is enforced, and at rest nothing is written', async (t) => {
  const server = await apiServerFor(t);
  if (!server) return;
  const options = { policies: 10, services: 6, pods: 12, restSeconds: 2, edits: 1 };
  const result = await runOperatorBench(server, options, () => {});
  const { firstStart, rest, edits, restart, warnings } = result;
  assert.deepEqual(
    edits.map(({ what, pods }) => `${what}, ${pods} pods`),
    ['a policy, 2 pods', 'a policy, 2 pods', 'a key set of 10 policies, 12 pods'],
  );
  assert.ok((firstStart.requests.get('POST') ?? 0) >= 10, 'a Secret for each policy');
  const { PUT: renewals = 0, GET: _, ...writes } = Object.fromEntries(rest.requests);
  assert.deepEqual(writes, {});
  assert.ok(renewals <= 3, `${renewals} renewals of the Lease`);
  assert.equal(rest.losses + restart.losses, 0);
  assert.deepEqual([...warnings], []);
  for (const table of operatorTables(result, options)) assert.match(renderTable(table), /^### Operator: /);
});

test('reads what prom-client writes', () => {
  const metrics = new Metrics('# HELP a\na{x="1",y="<e>"} 2\na{x="2",y="b"} 3\nb 4\n');
  assert.equal(metrics.sum('a'), 5);
  assert.equal(metrics.sum('a', { y: '<e>' }), 2);
  assert.equal(metrics.sum('b'), 4);
  const before = metrics.by('a', 'x');
  const after = new Metrics('a{x="1"} 2\na{x="2"} 5').by('a', 'x');
  assert.deepEqual([...increase(after, before)], [['2', 2]]);
});

test('finds the bucket of a quantile', () => {
  const buckets = new Map([
    ['0.1', 90],
    ['+Inf', 100],
    ['0.01', 50],
  ]);
  assert.equal(quantileBound(buckets, 0.5), 0.01);
  assert.equal(quantileBound(buckets, 0.9), 0.1);
  assert.equal(quantileBound(buckets, 0.99), Number.POSITIVE_INFINITY);
  assert.equal(quantileBound(new Map(), 0.5), Number.NaN);
});

test('says what to write instead', () => {
  assert.throws(() => parseOptions(['--pods', '0']), /--pods: write a whole number from 1 to 60000, not "0"/);
  assert.equal(parseOptions(['--help']), 'help');
});
