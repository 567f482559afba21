import { spawnSync } from 'node:child_process';

/** What must hold before a commit, in the order of how fast it fails. */
const CHECKS: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['generated files are current', process.execPath, 'scripts/generate.ts', '--check'],
  ['lint and format', 'node_modules/.bin/biome', 'check', '--error-on-warnings', '.'],
  ['types', 'node_modules/.bin/tsc', '-b'],
];

let failed = false;
for (const [name, command, ...args] of CHECKS) {
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  process.stdout.write(`${status === 0 ? 'ok    ' : 'FAILED'} ${name}\n`);
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;
