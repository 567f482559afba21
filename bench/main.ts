import { startBackend } from './backend.ts';
import type { BenchRun } from './bench-run.ts';
import { furnish, openWorkspace, type Workspace } from './lab.ts';
import { describeMachine } from './machine.ts';
import { type BenchOptions, parseOptions, type SectionName, USAGE } from './options.ts';
import { canRun, extendPath, findOrInstallEnvoy, hasCommand, installHint, missingFor } from './prerequisites.ts';
import { renderTable, type SectionReport } from './report.ts';
import { type FinishedSection, saveResults } from './results.ts';
import { cpuSection } from './sections/cpu.ts';
import { latencySection } from './sections/latency.ts';
import { memorySection } from './sections/memory.ts';
import { policiesSection } from './sections/policies.ts';
import { redisSection } from './sections/redis.ts';
import { sheddingSection } from './sections/shedding.ts';
import { startSection } from './sections/start.ts';

const RUN: Readonly<Record<SectionName, (run: BenchRun) => Promise<SectionReport>>> = {
  cpu: cpuSection,
  policies: policiesSection,
  redis: redisSection,
  latency: latencySection,
  memory: memorySection,
  start: startSection,
  shedding: sheddingSection,
};

let interrupted = false;

await main().catch((error: unknown) => {
  if (interrupted) return;
  say(messageOf(error));
  process.exitCode = 1;
});

async function main(): Promise<void> {
  let options: BenchOptions | 'help';
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  if (options === 'help') {
    process.stdout.write(USAGE);
    return;
  }
  await bench(options);
}

async function bench(options: BenchOptions): Promise<void> {
  const startedAt = new Date();
  const notes: string[] = [];
  const note = (line: string) => {
    notes.push(line);
    say(line);
  };
  extendPath();
  const missing = missingFor(options.sections);
  if (missing.length > 0) note(`missing: ${missing.join(', ')} (${installHint(missing)})`);
  const sections = options.sections.filter(canRun);
  const left = options.sections.filter((section) => !sections.includes(section));
  if (left.length > 0) note(`left out: ${left.join(', ')}`);
  if (sections.length === 0) {
    process.exitCode = 1;
    return;
  }
  const envoyBinary = sections.some((section) => section !== 'redis') ? findOrInstallEnvoy(say) : null;
  if (envoyBinary === null && sections.some((section) => section !== 'redis')) note('left out: Envoy');
  const machine = describeMachine(envoyBinary);

  const workspace = openWorkspace();
  endWithUs(workspace);
  const reports: FinishedSection[] = [];
  try {
    const lab = furnish(workspace, Math.floor(startedAt.getTime() / 1_000));
    const backend = await startBackend(lab);
    const run: BenchRun = { lab, options, backend, envoyBinary, hasRedis: hasCommand('redis-server'), say, note };
    for (const section of sections) {
      say(`\n${section}`);
      const report = await RUN[section](run);
      reports.push({ section, report });
      process.stdout.write(`\n${renderTable(report.table)}\n`);
    }
  } finally {
    await workspace.children.stopAll();
    workspace.remove();
  }

  process.stdout.write(saveResults({ startedAt, options, machine, notes, reports }));
}

/** Whatever ends this process, the processes that it started end first. */
function endWithUs({ children, remove }: Workspace): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      say('stopping');
      interrupted = true;
      void children.close().then(() => process.exit(130));
    });
  }
  process.once('exit', () => {
    children.killAll();
    remove();
  });
}

/** Progress goes to standard error: standard output holds the tables alone. */
function say(line: string): void {
  if (!interrupted) process.stderr.write(`${line}\n`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
