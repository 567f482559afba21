import { fileURLToPath } from 'node:url';
import type { BenchRun } from '../bench-run.ts';
import type { Child } from '../children.ts';
import { freePort } from '../lab.ts';
import type { ImpatientResult } from '../load/impatient.ts';
import { LOAD_CORE, PROXY_CORE } from '../proc-readings.ts';
import { ratio, type SectionReport } from '../report.ts';

const SERVER = fileURLToPath(new URL('../shedding-server.ts', import.meta.url));
const CLIENTS = fileURLToPath(new URL('../load/impatient.ts', import.meta.url));
const BODY_BYTES = 30_000;
const RATES = [200, 300, 400, 600, 800, 1_000, 1_200];

interface Round extends ImpatientResult {
  readonly name: string;
}

/** Clients that give up after a second, at twice the rate that the sidecar can serve, with shedding and without. */
export async function sheddingSection(run: BenchRun): Promise<SectionReport> {
  const rounds: Round[] = [];
  const offer = async (sheds: boolean, rate: number): Promise<Round> => {
    const port = await freePort();
    const server = start(run, port, sheds);
    try {
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      server.assertRunning();
      const args = [CLIENTS, String(port), String(rate), String(run.options.seconds), String(BODY_BYTES)];
      const result = JSON.parse(await run.lab.children.run(LOAD_CORE, process.execPath, args)) as ImpatientResult;
      const round = { name: sheds ? 'with shedding' : 'without', ...result };
      run.say(`${round.name}, ${rate}/s: ${round.goodPerSecond.toFixed(0)} good, p99 ${round.p99?.toFixed(0)} ms`);
      rounds.push(round);
      return round;
    } finally {
      await run.lab.children.stop(server);
    }
  };
  let peak = 0;
  for (const rate of RATES) {
    const { goodPerSecond } = await offer(false, rate);
    peak = Math.max(peak, goodPerSecond);
    if (goodPerSecond < 0.9 * rate) break;
  }
  const over = Math.round(2 * peak);
  for (let round = 0; round < run.options.rounds; round++) for (const sheds of [false, true]) await offer(sheds, over);
  const rows = rounds.filter(({ offeredPerSecond }) => offeredPerSecond > 1.5 * peak);
  return {
    table: {
      title: 'Twice as much as can be served',
      caption: `POSTs of ${BODY_BYTES} bytes that the policy checks, clients that hang up after a second; peak: ${peak.toFixed(0)} answers a second. ms.`,
      columns: ['sidecar', 'offered/s', 'good/s', 'of the peak', 'refused/s', 'gave up/s', 'p50', 'p99'],
      rows: rows.map(({ name, offeredPerSecond, goodPerSecond, refusedPerSecond, gaveUpPerSecond, p50, p99 }) => [
        name,
        offeredPerSecond.toFixed(0),
        goodPerSecond.toFixed(0),
        ratio(goodPerSecond, peak),
        refusedPerSecond.toFixed(0),
        gaveUpPerSecond.toFixed(0),
        String(p50?.toFixed(0)),
        String(p99?.toFixed(0)),
      ]),
    },
    data: rounds,
  };
}

function start(run: BenchRun, port: number, sheds: boolean): Child {
  const args = [SERVER, String(port), String(run.backend.port), sheds ? 'on' : 'off'];
  return run.lab.children.start('shedding-server', PROXY_CORE, process.execPath, args);
}
