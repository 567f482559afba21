import { setTimeout as sleep } from 'node:timers/promises';
import { type BenchRun, type Case, startCases, stopCases } from '../bench-run.ts';
import { runClosedLoop } from '../load/closed-loop.ts';
import { envoy } from '../peers/envoy.ts';
import { haproxy } from '../peers/haproxy.ts';
import { portcullis } from '../peers/portcullis.ts';
import { residentMiB } from '../proc-readings.ts';
import type { SectionReport } from '../report.ts';

const CONNECTIONS = [64, 1_000] as const;
const SETTLE_MS = 2_000;
const SAMPLE_MS = 100;

/** Memory of fresh processes: idle, and the peak under load. Each proxy runs alone. */
export async function memorySection(run: BenchRun): Promise<SectionReport> {
  const { RS256, ES256 } = run.lab.tokens;
  const peers = [
    portcullis(ES256),
    portcullis(ES256, { stripped: true }),
    ...(run.envoyBinary === null ? [] : [envoy(run.envoyBinary, RS256)]),
    haproxy('verify', RS256),
  ];
  const found: { name: string; idle: number; loaded: { connections: number; peak: number; failed: number }[] }[] = [];
  for (const peer of peers) {
    const cases = await startCases(run, [peer]);
    try {
      for (const of of cases) {
        await sleep(SETTLE_MS);
        const idle = residentMiB(of.launched.child.pid);
        const loaded = [];
        for (const connections of CONNECTIONS) loaded.push(await peakUnderLoad(run, of, connections));
        run.say(`${peer.name}: ${[idle, ...loaded.map(({ peak }) => peak)].map(Math.round).join(' / ')} MiB`);
        found.push({ name: peer.name, idle, loaded });
      }
    } finally {
      await stopCases(run, cases);
    }
  }
  return {
    table: {
      title: 'Memory',
      caption: `VmRSS in MiB: 2 s after start, then the peak while that many connections send for ${run.options.seconds} s.`,
      columns: ['proxy', 'idle', ...CONNECTIONS.map((count) => `${count} connections`), 'failed'],
      rows: found.map(({ name, idle, loaded }) => [
        name,
        idle.toFixed(0),
        ...loaded.map(({ peak }) => peak.toFixed(0)),
        String(loaded.reduce((sum, { failed }) => sum + failed, 0)),
      ]),
    },
    data: found,
  };
}

async function peakUnderLoad({ lab, options }: BenchRun, { peer, launched }: Case, connections: number) {
  let peak = 0;
  const sample = () => {
    peak = Math.max(peak, residentMiB(launched.child.pid));
  };
  const timer = setInterval(sample, SAMPLE_MS);
  try {
    const load = { port: launched.port, tokens: peer.tokens.file, connections, seconds: options.seconds };
    const { failed } = await runClosedLoop(lab.children, load);
    sample();
    return { connections, peak, failed };
  } finally {
    clearInterval(timer);
  }
}
