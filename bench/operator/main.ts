import { startApiServer } from '../../test/cluster/api-server.ts';
import { describeMachine, machineText } from '../machine.ts';
import { renderTable } from '../report.ts';
import { type OperatorBenchOptions, parseOptions, USAGE } from './options.ts';
import { runOperatorBench } from './run-bench.ts';
import { operatorTables } from './tables.ts';

async function main(): Promise<number> {
  let options: OperatorBenchOptions | 'help';
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
  const machine = machineText(describeMachine(null));
  const server = await startApiServer();
  if ('reason' in server) {
    say(server.reason);
    return 1;
  }
  try {
    const result = await runOperatorBench(server, options, say);
    const tables = operatorTables(result, options).map(renderTable);
    process.stdout.write(`\n${machine}\n\n${tables.join('\n')}`);
    for (const [message, count] of result.warnings) say(`the operator warned ${count} times: ${message}`);
    return 0;
  } finally {
    await server.stop();
  }
}

/** Progress goes to standard error: standard output holds the tables alone. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

process.exitCode = await main();
