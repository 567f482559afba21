import { redisMissing } from '../../test/redis/redis-server.ts';
import { describeMachine, machineText } from '../machine.ts';
import { renderTable, type Table } from '../report.ts';
import { exactnessTable } from './exactness.ts';
import { failuresTable } from './failures.ts';
import { operationsTable } from './operations.ts';
import { type PartName, parseOptions, USAGE } from './options.ts';

const RUN: Readonly<Record<PartName, (requests: number, say: (line: string) => void) => Promise<Table>>> = {
  operations: operationsTable,
  exactness: exactnessTable,
  failures: failuresTable,
};

async function main(): Promise<number> {
  let options: ReturnType<typeof parseOptions>;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const missing = redisMissing();
  if (missing !== false) {
    say(missing);
    return 1;
  }
  process.stdout.write(`\n${machineText(describeMachine(null))}\n`);
  for (const part of options.parts) {
    const table = await RUN[part](options.requests, say);
    process.stdout.write(`\n${renderTable(table)}`);
  }
  return 0;
}

/** Progress goes to standard error: standard output holds the tables alone. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

process.exitCode = await main();
