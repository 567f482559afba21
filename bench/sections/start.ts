import type { BenchRun } from '../bench-run.ts';
import { envoy } from '../peers/envoy.ts';
import { haproxy } from '../peers/haproxy.ts';
import { portcullis } from '../peers/portcullis.ts';
import { untilReady } from '../probe.ts';
import { minAndMedian, ratio, type SectionReport } from '../report.ts';

/** Time from spawning the process until it is ready: /readyz for ours, the first 200 through the proxy for the peers. */
export async function startSection(run: BenchRun): Promise<SectionReport> {
  const { lab, options, backend } = run;
  const { RS256, ES256 } = lab.tokens;
  const peers = [
    portcullis(ES256),
    portcullis(ES256, { stripped: true }),
    ...(run.envoyBinary === null ? [] : [envoy(run.envoyBinary, RS256)]),
    haproxy('verify', RS256),
  ];
  const times = new Map(peers.map((peer) => [peer, [] as number[]]));
  for (let round = 0; round < options.rounds; round++) {
    for (const [peer, milliseconds] of times) {
      const { child, ready } = await peer.launch(lab, backend.port);
      try {
        milliseconds.push(await untilReady(child, ready));
      } finally {
        await lab.children.stop(child);
      }
      run.say(`round ${round + 1}: ${peer.name}: ${milliseconds.at(-1)?.toFixed(0)} ms`);
    }
  }
  const ours = minAndMedian([...times.values()][0] ?? []).min;
  return {
    table: {
      title: 'Start to ready',
      caption: `ms from spawning the process to ready, ${options.rounds} starts each; the first line runs from source, stripping types as it starts.`,
      columns: ['proxy', 'ms min', 'ms median', 'ratio to the first'],
      rows: [...times].map(([peer, values]) => {
        const { min, median } = minAndMedian(values);
        return [peer.name, min.toFixed(0), median.toFixed(0), ratio(min, ours)];
      }),
    },
    data: [...times].map(([peer, milliseconds]) => ({ name: peer.name, milliseconds })),
  };
}
