import { parseArgs } from 'node:util';
import { fuzzBodies } from '../policy/evaluate/body/testing/fuzz-bodies.ts';
import { randomBelow } from '../policy/evaluate/testing/random-below.ts';
import { fuzz } from './fuzz/target.ts';
import { targets } from './fuzz/targets.ts';

const NAMES = [...Object.keys(targets), 'bodies'];
const HELP = `node scripts/fuzz.ts --target ${NAMES.join('|')} [--runs N] [--seed N]

Feeds inputs that are valid, nearly valid or random to code that reads what strangers write, and stops at the first that throws
what it should not, takes more than 50 ms or is read in another way than by a slow reference. The same seed makes the same
inputs; default: 100000 runs, a seed of the clock, printed.
`;

function main(): number {
  const { values } = parseArgs({
    options: {
      target: { type: 'string' },
      runs: { type: 'string', default: '100000' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      help: { type: 'boolean', default: false },
    },
  });
  const [name, runs, seed] = [values.target ?? '', Number(values.runs), Number(values.seed)];
  if (values.help || !NAMES.includes(name) || !Number.isInteger(runs) || !Number.isInteger(seed)) {
    process.stdout.write(HELP);
    return values.help ? 0 : 2;
  }
  const target = targets[name];
  const startedAt = performance.now();
  const report = target === undefined ? fuzzBodies(runs, seed) : fuzz(target, runs, seed, randomBelow(seed));
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  process.stdout.write(`${JSON.stringify({ target: name, seconds, seed, ...report })}\n`);
  return 0;
}

process.exitCode = main();
