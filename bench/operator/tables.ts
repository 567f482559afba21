import { minAndMedian, type Table } from '../report.ts';
import { quantileBound } from './metrics-text.ts';
import type { OperatorBenchOptions } from './options.ts';
import type { OperatorBenchResult } from './run-bench.ts';

/** The tables of a bench. */
export function operatorTables(result: OperatorBenchResult, options: OperatorBenchOptions): Table[] {
  return [starts(result, options), reconciliations(result), rest(result), edits(result)];
}

function starts({ firstStart, restart }: OperatorBenchResult, options: OperatorBenchOptions): Table {
  const all = options.policies;
  const row = (name: string, first: string, again: string) => [name, first, again];
  const both = (name: string, of: (start: typeof restart | typeof firstStart) => string) =>
    row(name, of(firstStart), of(restart));
  return {
    title: 'Operator: start',
    caption: `${all} AccessPolicies, ${options.services} Services, ${options.pods} pods; from starting the process. The first start writes everything, the second finds it done.`,
    columns: ['', 'first start', 'restart'],
    rows: [
      both('ready for webhooks, s', ({ readyMs }) => seconds(readyMs)),
      row(`all ${all} policies Ready, s`, seconds(firstStart.allReadyMs), ''),
      row(`all ${all} policies Enforced or NoMatchingPods, s`, seconds(firstStart.allEnforcedMs), ''),
      both('nothing left to do, s', ({ quietMs }) => seconds(quietMs)),
      both('requests to the API server', ({ requests }) => listed(requests)),
      both('policies not Enforced any more meanwhile', ({ losses }) => `${losses}`),
      both('CPU, s', ({ cpuMs }) => seconds(cpuMs)),
      both('longest stall of the event loop, ms', ({ stallMs }) => stallMs.toFixed(0)),
    ],
  };
}

function reconciliations({ firstStart: { metrics } }: OperatorBenchResult): Table {
  const name = 'controller_runtime_reconcile_time_seconds';
  const controllers = [...metrics.by(`${name}_count`, 'controller')].filter(([, count]) => count > 0);
  return {
    title: 'Operator: reconciliations of the first start',
    caption: 'Waiting for the API server included; p50 and p99 are the bounds of their histogram buckets.',
    columns: ['controller', 'count', 'mean ms', 'p50 ms', 'p99 ms'],
    rows: controllers.map(([controller, count]) => {
      const buckets = metrics.by(`${name}_bucket`, 'le', { controller });
      const bound = (quantile: number): string => `<= ${quantileBound(buckets, quantile) * 1000}`;
      const mean = (metrics.sum(`${name}_sum`, { controller }) / count) * 1000;
      return [controller, `${count}`, mean.toFixed(1), bound(0.5), bound(0.99)];
    }),
  };
}

function rest({ rest, memory }: OperatorBenchResult): Table {
  const { seconds: length, requests, cpuMs, reconciles, losses } = rest;
  const aMinute = (counts: ReadonlyMap<string, number>) =>
    listed(new Map([...counts].map(([key, count]) => [key, Math.round((count * 60) / length)])));
  const mib = ({ rss, pss, peak }: typeof memory): string => `${rss.toFixed(0)}, ${pss.toFixed(0)}, ${peak.toFixed(0)}`;
  return {
    title: 'Operator: at rest',
    caption: `Over ${length} s in which nothing changes.`,
    columns: ['', ''],
    rows: [
      ['requests to the API server a minute', aMinute(requests)],
      ['reconciliations a minute', aMinute(reconciles)],
      ['CPU a minute, ms', ((cpuMs * 60) / length).toFixed(0)],
      ['policies not Enforced any more meanwhile', `${losses}`],
      ['RSS, PSS and peak RSS, MiB', mib(rest.memory)],
      ['the same of the restarted operator', mib(memory)],
    ],
  };
}

function edits({ edits }: OperatorBenchResult): Table {
  return {
    title: 'Operator: edit to Enforced',
    caption:
      'ms from sending the edit until the status says that every pod runs it. A simulated kubelet takes 380 to 670 ms after the touch.',
    columns: ['edit of', 'pods', 'edits', 'ms min', 'ms median', 'ms max', 'requests an edit'],
    rows: edits.map(({ what, pods, milliseconds, requests }) => {
      const { min, median } = minAndMedian(milliseconds);
      const most = Math.max(...milliseconds);
      return [
        what,
        `${pods}`,
        `${milliseconds.length}`,
        ...[min, median, most, requests].map((number) => number.toFixed(0)),
      ];
    }),
  };
}

function listed(counts: ReadonlyMap<string, number>): string {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const each = [...counts].filter(([, count]) => count > 0).map(([key, count]) => `${key} ${count}`);
  return `${total} (${each.sort().join(', ')})`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
