import { parseArgs } from 'node:util';

/** The parts of a run, in the order in which they run. */
export const SECTIONS = ['cpu', 'policies', 'redis', 'latency', 'memory', 'start', 'shedding'] as const;
/** Name of one part. */
export type SectionName = (typeof SECTIONS)[number];

/** How a run measures. */
export interface BenchOptions {
  readonly sections: readonly SectionName[];
  /** Length of one round of load, whole seconds. */
  readonly seconds: number;
  /** Load before the first round, whole seconds. */
  readonly warmUpSeconds: number;
  /** Rounds of each case. */
  readonly rounds: number;
  /** How often a round is repeated that other processes disturbed. */
  readonly repeats: number;
}

/** What `--help` prints. */
export const USAGE = `usage: npm run bench -- [options]

Measures Portcullis beside HAProxy and Envoy on this machine and prints Markdown tables. It needs two cores: the proxy
runs on core 0, the load and the backend on core 1. All traffic stays on 127.0.0.1.

  --only NAME[,NAME]   run only these parts: ${SECTIONS.join(', ')}
  --secs N             length of a round in seconds (default 3; quick: 1)
  --rounds N           rounds of each case (default 5; quick: 2)
  --quick              short rounds, none repeated: shows that everything runs, not what it costs
  --help               this text

Results: bench/results/table.md and bench/results/TIME.json. See docs/benchmarks.md.
`;

/** Reads the command line; 'help' when that is asked for. Throws an Error that says what to write instead. */
export function parseOptions(args: readonly string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      secs: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  return {
    sections: values.only === undefined ? SECTIONS : values.only.split(',').map(sectionName),
    seconds: positive('--secs', values.secs ?? (values.quick ? '1' : '3')),
    warmUpSeconds: values.quick ? 2 : 5,
    rounds: positive('--rounds', values.rounds ?? (values.quick ? '2' : '5')),
    repeats: values.quick ? 0 : 3,
  };
}

function sectionName(name: string): SectionName {
  const known = SECTIONS.find((section) => section === name);
  if (known === undefined) throw new Error(`--only: no part is called "${name}"; write one of ${SECTIONS.join(', ')}`);
  return known;
}

function positive(option: string, value: string): number {
  if (!/^[1-9]\d{0,3}$/.test(value)) throw new Error(`${option}: write a whole number from 1 to 9999, not "${value}"`);
  return Number(value);
}
