// The test cluster for people: node test/cluster/main.ts up | down | exec CMD... | load TAR | logs COMPONENT | usage
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { prepareCluster } from './cluster.ts';

const prepared = await prepareCluster();
if ('reason' in prepared) {
  console.error(prepared.reason);
  process.exitCode = 1;
} else {
  const script = join(import.meta.dirname, 'node', 'cluster');
  process.exitCode = spawnSync(script, process.argv.slice(2), { stdio: 'inherit', env: prepared.env }).status ?? 1;
}
