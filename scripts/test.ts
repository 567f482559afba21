import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { run } from 'node:test';

const HELP = `npm test -- [PATTERN...]   runs every *.test.ts whose path contains one of the patterns (default: all)

  REQUIRE_CLUSTER=1   a skipped test is a failure (CI)
  FC_RUNS=N           runs of each property test (default: each test's own)
`;

/** A file that hangs is a failure like any other; a test may wait for a server to be built before it, but not in it. */
const FILE_TIMEOUT_MS = 300_000;
/** One real cluster, with nothing beside it. */
const CLUSTER_FOLDER = 'test/e2e/';
const CLUSTER_TIMEOUT_MS = 1_200_000;

interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** Order: what fails fast comes first, what needs servers last. */
function rank(file: string): number {
  if (!file.startsWith('test/')) return file.includes('.property.') ? 1 : 0;
  return file.startsWith('test/contract/') ? 3 : 2;
}

function testFiles(patterns: readonly string[]): string[] {
  return globSync('{policy,runtime,operator,sidecar,cli,examples,scripts,test,bench}/**/*.test.ts')
    .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)))
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

/** Redis and the API server are got once, before the tests, where their progress can be seen. */
function prepareServers(files: readonly string[]): void {
  const needs = [
    ['test/redis/', 'test/redis/prepare.ts'],
    ['test/contract/', 'test/cluster/prepare.ts'],
    ['test/chart/', 'test/cluster/prepare.ts'],
    [CLUSTER_FOLDER, 'test/e2e/prepare.ts'],
  ] as const;
  for (const [folder, script] of needs) {
    if (files.some((file) => file.startsWith(folder)))
      spawnSync(process.execPath, [script], { stdio: ['ignore', 2, 2] });
  }
}

async function main(patterns: readonly string[]): Promise<number> {
  if (patterns.includes('--help')) {
    process.stdout.write(HELP);
    return 0;
  }
  const files = testFiles(patterns);
  if (files.length === 0) {
    process.stderr.write(`no test file contains ${patterns.join(' or ')} in its path\n`);
    return 2;
  }
  prepareServers(files);

  let passed = 0;
  let failed = 0;
  const skipped: Skipped[] = [];
  const startedAt = performance.now();
  const report = (stream: ReturnType<typeof run>): Promise<void> => {
    stream.on('test:pass', (test) => {
      // A file stands for itself only when it reported no test: it is empty, or its process ended too soon.
      if (files.includes(test.name)) {
        failed++;
        process.stdout.write(`\nFAILED ${test.name} reported no test\n`);
        return;
      }
      const reason = test.skip ?? test.todo;
      // A skipped suite stands for its tests, which are not reported.
      if (reason !== undefined) skipped.push({ name: test.name, reason: String(reason) });
      else if (test.details.type !== 'suite') passed++;
    });
    stream.on('test:fail', (test) => {
      // A suite fails because a test in it failed; counted once, unless its own hooks failed.
      const error = test.details.error as Error & { code?: string; failureType?: string; cause?: unknown };
      if (error.failureType === 'subtestsFailed') return;
      failed++;
      process.stdout.write(`\nFAILED ${test.file ?? ''}:${test.line ?? ''} ${test.name}\n`);
      const cause =
        error.cause instanceof Error ? (error.cause.stack ?? error.cause.message) : String(error.cause ?? error);
      process.stdout.write(`${cause.replace(/^/gm, '  ')}\n`);
    });
    stream.on('test:stdout', ({ message }) => process.stdout.write(message));
    stream.on('test:stderr', ({ message }) => process.stderr.write(message));
    stream.on('test:complete', (test) => {
      if (test.nesting === 0 && test.details.duration_ms > 2_000 && test.details.passed) {
        process.stdout.write(`${(test.details.duration_ms / 1_000).toFixed(1)} s  ${test.name}\n`);
      }
    });
    stream.resume();
    return new Promise((resolve) => stream.once('end', () => resolve()));
  };

  const alone = files.filter((file) => file.startsWith(CLUSTER_FOLDER));
  const together = files.filter((file) => !alone.includes(file));
  if (together.length > 0) {
    await report(run({ files: together, concurrency: Math.max(1, availableParallelism()), timeout: FILE_TIMEOUT_MS }));
  }
  if (alone.length > 0) await report(run({ files: alone, concurrency: 1, timeout: CLUSTER_TIMEOUT_MS }));
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0);
  process.stdout.write(`\n${files.length} files in ${seconds} s\n`);
  const reasons = new Map<string, number>();
  for (const { reason } of skipped) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  for (const [reason, count] of reasons) process.stdout.write(`${count} skipped: ${reason}\n`);
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped.length} skipped\n`);
  const strict = process.env['REQUIRE_CLUSTER'] === '1';
  return failed > 0 || passed === 0 || (strict && skipped.length > 0) ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
