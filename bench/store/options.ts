import { parseArgs } from 'node:util';

/** The parts of a run, in the order in which they run. */
export const PARTS = ['operations', 'exactness', 'failures'] as const;
/** Name of one part. */
export type PartName = (typeof PARTS)[number];

/** What `--help` prints. */
export const USAGE = `usage: node bench/store/main.ts [--only NAME[,NAME]] [--requests N]

What limits in Redis cost, how exact they are and what they do when Redis fails, on Redis servers of its own on 127.0.0.1, beside
rate-limiter-flexible's RateLimiterRedis.

  --only NAME[,NAME]   run only these parts: ${PARTS.join(', ')}
  --requests N         requests of a round of operations (default 20000)
  --help               this text
`;

/** Reads the command line; 'help' when that is asked for. Throws an Error that says what to write instead. */
export function parseOptions(
  args: readonly string[],
): { readonly parts: readonly PartName[]; readonly requests: number } | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: { only: { type: 'string' }, requests: { type: 'string' }, help: { type: 'boolean', default: false } },
  });
  if (values.help) return 'help';
  const parts = values.only === undefined ? PARTS : values.only.split(',').map(partName);
  const requests = Number(values.requests ?? 20_000);
  if (!Number.isSafeInteger(requests) || requests < 1) {
    throw new Error(`--requests: write a whole number of at least 1, not "${values.requests}"`);
  }
  return { parts, requests };
}

function partName(name: string): PartName {
  const known = PARTS.find((part) => part === name);
  if (known === undefined) throw new Error(`--only: no part is called "${name}"; write one of ${PARTS.join(', ')}`);
  return known;
}
