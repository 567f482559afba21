import { type BenchRun, type Case, interleave, startCases, stopCases } from '../bench-run.ts';
import { type CpuReading, disturbance, measureCpu } from '../cpu.ts';
import { runClosedLoop } from '../load/closed-loop.ts';
import { compileOpenLoop, type OpenLoopResult, runOpenLoop } from '../load/open-loop.ts';
import { envoy } from '../peers/envoy.ts';
import { haproxy } from '../peers/haproxy.ts';
import { portcullis } from '../peers/portcullis.ts';
import { startRedis } from '../redis.ts';
import { minAndMedian, quietCount, quietRounds, type SectionReport } from '../report.ts';

const CONNECTIONS = 64;
const REQUESTS_PER_SECOND = 2_000;
const DIRECT = 'direct to the backend';

type LatencyRound = OpenLoopResult & CpuReading;

/** A proxy, or null: the backend without one. */
type Target = Case | null;

/** Latency added at a fixed rate far below saturation, and CPU per request there. */
export async function latencySection(run: BenchRun): Promise<SectionReport> {
  const { lab, options, backend } = run;
  const { RS256, ES256 } = lab.tokens;
  const generator = await compileOpenLoop(lab.children, lab.scratch);
  if (!run.hasRedis) run.note('left out of latency: Redis (as root: apt-get install redis-server)');
  const redis = run.hasRedis ? await startRedis(lab) : null;
  const cases = await startCases(run, [
    portcullis(ES256),
    ...(redis === null ? [] : [portcullis(ES256, { redisUrl: redis.url })]),
    ...(run.envoyBinary === null ? [] : [envoy(run.envoyBinary, RS256)]),
    haproxy('verify', RS256),
  ]);
  try {
    for (const { peer, launched } of cases) {
      run.say(`warm up: ${peer.name}`);
      await runClosedLoop(lab.children, {
        port: launched.port,
        tokens: peer.tokens.file,
        connections: CONNECTIONS,
        seconds: options.warmUpSeconds,
      });
    }
    const rounds = await interleave<Target, LatencyRound>(run, [null, ...cases], async (target, round) => {
      const load = {
        port: target?.launched.port ?? backend.port,
        tokens: (target?.peer.tokens ?? RS256).file,
        connections: CONNECTIONS,
        requestsPerSecond: REQUESTS_PER_SECOND,
        seconds: options.seconds,
        seed: round + 1,
      };
      const helpers = redis === null ? [] : [redis.child.pid];
      const measured = { proxy: target?.launched.child.pid ?? backend.child.pid, backend: backend.child.pid, helpers };
      const result = await measureCpu(measured, () => runOpenLoop(lab.children, generator, load));
      run.say(
        `round ${round + 1}: ${nameOf(target)}: p50 ${result.p50} µs, p99 ${result.p99} µs${disturbance(result)}`,
      );
      return result;
    });
    return report(rounds, options.seconds);
  } finally {
    await stopCases(run, cases);
    if (redis !== null) await lab.children.stop(redis.child);
  }
}

function report(rounds: ReadonlyMap<Target, readonly LatencyRound[]>, seconds: number): SectionReport {
  const direct = rounds.get(null) ?? [];
  const of = (results: readonly LatencyRound[], key: 'p50' | 'p99' | 'microseconds') =>
    minAndMedian(quietRounds(results).map((round) => round[key]));
  const added = (results: readonly LatencyRound[], key: 'p50' | 'p99', which: 'min' | 'median') =>
    results === direct ? '' : (of(results, key)[which] - of(direct, key)[which]).toFixed(0);
  return {
    table: {
      title: `Latency at ${REQUESTS_PER_SECOND} requests/s`,
      caption: `Open loop, ${CONNECTIONS} connections, ${seconds} s a round. Added: minus the same figure of the direct rounds. µs throughout; CPU is the proxy's a request at this rate.`,
      columns: [
        'proxy',
        'p50 median',
        'p99 median',
        'added p50 min',
        'added p50 median',
        'added p99 min',
        'added p99 median',
        'CPU µs min',
        'failed',
        'quiet rounds',
      ],
      rows: [...rounds].map(([target, results]) => [
        nameOf(target),
        of(results, 'p50').median.toFixed(0),
        of(results, 'p99').median.toFixed(0),
        added(results, 'p50', 'min'),
        added(results, 'p50', 'median'),
        added(results, 'p99', 'min'),
        added(results, 'p99', 'median'),
        target === null ? '' : of(results, 'microseconds').min.toFixed(1),
        String(results.reduce((sum, { failed }) => sum + failed, 0)),
        quietCount(results),
      ]),
    },
    data: [...rounds].map(([target, results]) => ({ name: nameOf(target), rounds: results })),
  };
}

function nameOf(target: Target): string {
  return target?.peer.name ?? DIRECT;
}
