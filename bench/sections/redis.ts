import type { BenchRun } from '../bench-run.ts';
import type { Peer } from '../peers/peer.ts';
import { portcullis } from '../peers/portcullis.ts';
import { startRedis } from '../redis.ts';
import { minAndMedian, quietRounds, ratio, type SectionReport } from '../report.ts';
import { type CpuRound, loadColumns, saturate, summarize } from './cpu.ts';

/** CPU per request with the limit in Redis, beside the same in memory, and what Redis itself spends. */
export async function redisSection(run: BenchRun): Promise<SectionReport> {
  const { RS256, ES256 } = run.lab.tokens;
  const redis = await startRedis(run.lab);
  try {
    const peers = [
      portcullis(ES256),
      portcullis(ES256, { redisUrl: redis.url }),
      portcullis(RS256, { redisUrl: redis.url }),
      portcullis(ES256, { redisUrl: redis.url, leased: true }),
    ];
    const rounds = await saturate(run, peers, { pid: redis.child.pid, calls: redis.scriptCalls });
    const ours = summarize(rounds.get(peers[0] as Peer) ?? []).min;
    return {
      table: {
        title: 'CPU per request with the limit in Redis',
        caption:
          "As above. Redis runs on the load's core; calls a request below 1.00 mean, where the limit is not leased, that it did not answer in time and the limit fell back on the local share.",
        columns: [
          'proxy',
          'µs min',
          'µs median',
          'ratio to the first',
          'Redis µs',
          'calls a request',
          'requests/s',
          'core use',
          'failed',
          'quiet rounds',
        ],
        rows: [...rounds].map(([peer, of]) => [
          peer.name,
          summarize(of).min.toFixed(1),
          summarize(of).median.toFixed(1),
          ratio(summarize(of).min, ours),
          redisMicroseconds(of).toFixed(1),
          callsPerRequest(of).toFixed(2),
          ...loadColumns(of),
        ]),
      },
      data: [...rounds].map(([peer, of]) => ({ name: peer.name, rounds: of })),
    };
  } finally {
    await run.lab.children.stop(redis.child);
  }
}

function redisMicroseconds(rounds: readonly CpuRound[]): number {
  return minAndMedian(quietRounds(rounds).map(({ helperMicroseconds }) => helperMicroseconds[0] ?? 0)).min;
}

function callsPerRequest(rounds: readonly CpuRound[]): number {
  return minAndMedian(rounds.map(({ storeCalls, requests }) => storeCalls / requests)).median;
}
