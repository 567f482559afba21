import { truncateSync } from 'node:fs';
import { type BenchRun, type Case, interleave, startCases, stopCases } from '../bench-run.ts';
import { type CpuReading, disturbance, type LoadResult, measureCpu } from '../cpu.ts';
import { runClosedLoop } from '../load/closed-loop.ts';
import { envoy } from '../peers/envoy.ts';
import { haproxy } from '../peers/haproxy.ts';
import type { Peer } from '../peers/peer.ts';
import { portcullis } from '../peers/portcullis.ts';
import { minAndMedian, quietCount, quietRounds, ratio, type SectionReport } from '../report.ts';

const CONNECTIONS = 64;

/** One round of one proxy at saturation. */
export type CpuRound = LoadResult & CpuReading & { readonly storeCalls: number };

/** The store of a part's limits. */
export interface SharedStore {
  readonly pid: number;
  /** Calls answered since its start. */
  calls(): Promise<number>;
}

/** CPU per request at saturation, limits in memory, beside the peers. */
export async function cpuSection(run: BenchRun): Promise<SectionReport> {
  const { RS256, ES256 } = run.lab.tokens;
  const peers: Peer[] = [portcullis(ES256), portcullis(RS256), haproxy('verify', RS256), haproxy('cache', RS256)];
  if (run.envoyBinary !== null) peers.push(envoy(run.envoyBinary, RS256));
  const rounds = await saturate(run, peers, null);
  return cpuReport(
    rounds,
    'CPU per request',
    `User and system time of the proxy's process in µs a request, ${CONNECTIONS} connections, ${run.options.seconds} s a round; the ratio is of the minima.`,
  );
}

/** A table of µs a request, a proxy a line; ratios to the first. */
export function cpuReport(
  rounds: ReadonlyMap<Peer, readonly CpuRound[]>,
  title: string,
  caption: string,
): SectionReport {
  const readings = [...rounds].map(([peer, of]) => ({ peer, of, ...summarize(of) }));
  const first = readings[0]?.min ?? Number.NaN;
  return {
    table: {
      title,
      caption,
      columns: [
        'proxy',
        'µs min',
        'µs median',
        'ratio to the first',
        'requests/s',
        'core use',
        'failed',
        'quiet rounds',
      ],
      rows: readings.map(({ peer, of, min, median }) => [
        peer.name,
        min.toFixed(1),
        median.toFixed(1),
        ratio(min, first),
        ...loadColumns(of),
      ]),
    },
    data: [...rounds].map(([peer, of]) => ({ name: peer.name, rounds: of })),
  };
}

/** Loads each proxy to its limit in interleaved rounds; the CPU and calls of `store` are read too. */
export async function saturate(
  run: BenchRun,
  peers: readonly Peer[],
  store: SharedStore | null,
): Promise<ReadonlyMap<Peer, readonly CpuRound[]>> {
  const { lab, options, backend } = run;
  const cases = await startCases(run, peers);
  const load = ({ peer, launched }: Case, seconds: number) =>
    runClosedLoop(lab.children, {
      port: launched.port,
      tokens: peer.tokens.file,
      ...(peer.body === undefined ? {} : { body: peer.body }),
      connections: CONNECTIONS,
      seconds,
    });
  try {
    for (const of of cases) {
      run.say(`warm up: ${of.peer.name}`);
      await load(of, options.warmUpSeconds);
    }
    const results = await interleave(run, cases, async (of, round) => {
      if (of.launched.logFile !== null) truncateSync(of.launched.logFile);
      const helpers = store === null ? [] : [store.pid];
      const measured = { proxy: of.launched.child.pid, backend: backend.child.pid, helpers };
      const callsBefore = (await store?.calls()) ?? 0;
      const reading = await measureCpu(measured, () => load(of, options.seconds));
      const result = { ...reading, storeCalls: ((await store?.calls()) ?? 0) - callsBefore };
      run.say(
        `round ${round + 1}: ${of.peer.name}: ${result.microseconds.toFixed(1)} µs a request${disturbance(result)}`,
      );
      return result;
    });
    return new Map([...results].map(([{ peer }, rounds]) => [peer, rounds]));
  } finally {
    await stopCases(run, cases);
  }
}

/** µs a request over the quiet rounds. */
export function summarize(rounds: readonly CpuRound[]): { readonly min: number; readonly median: number } {
  return minAndMedian(quietRounds(rounds).map(({ microseconds }) => microseconds));
}

/** Requests/s, core use, failed requests, quiet rounds. */
export function loadColumns(rounds: readonly CpuRound[]): string[] {
  const quiet = quietRounds(rounds);
  return [
    minAndMedian(quiet.map(({ requestsPerSecond }) => requestsPerSecond)).median.toFixed(0),
    minAndMedian(quiet.map(({ coreUse }) => coreUse)).median.toFixed(2),
    String(rounds.reduce((sum, { failed }) => sum + failed, 0)),
    quietCount(rounds),
  ];
}
