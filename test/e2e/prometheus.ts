import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { startProgram } from '../cluster/program.ts';
import { OPERATOR_NAMESPACE } from './installation.ts';
import { readyPods } from './look.ts';
import { until, type World } from './world.ts';

const ADDRESS = '127.0.0.1:9090';

/** Series that must have come from the pods, and from the operator. */
const SIDECAR_SERIES = ['portcullis_requests_total', 'portcullis_rate_limit_hits_total', 'portcullis_policy_serial'];
const OPERATOR_SERIES = [
  'controller_runtime_reconcile_total',
  'leader_election_master_status',
  'portcullis_key_age_seconds',
];

/**
 * Lets a real Prometheus scrape the sidecars of a namespace and the operator; asserts that every target is up and the series are
 * there. Returns what it saw in words.
 */
export async function scrapedByPrometheus(world: World, namespace: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'portcullis-prometheus-'));
  const targets = async (from: string, selector: string, port: number): Promise<string[]> =>
    (await readyPods(world, from, selector)).map(({ status }) => `${status.podIP}:${port}`);
  const sidecars = await targets(namespace, 'portcullis.dev/injected=true', 14181);
  const operators = await targets(OPERATOR_NAMESPACE, 'app.kubernetes.io/name=portcullis-operator', 8080);
  // Debian's Prometheus is built without discovery by the Kubernetes API.
  const config = {
    global: { scrape_interval: '1s' },
    scrape_configs: [
      { job_name: 'sidecars', static_configs: [{ targets: sidecars }] },
      { job_name: 'operator', static_configs: [{ targets: operators }] },
    ],
  };
  const file = join(directory, 'prometheus.yaml');
  writeFileSync(file, stringify(config));
  const [program = '', ...enter] = world.cluster.enter;
  const args = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=${ADDRESS}`,
  ];
  const prometheus = startProgram(program, [...enter, 'prometheus', ...args], world.cluster.env);
  const query = async (
    expression: string,
  ): Promise<readonly { metric: Record<string, string>; value: [number, string] }[]> => {
    const reply = await world.client.request({
      url: `http://${ADDRESS}/api/v1/query?query=${encodeURIComponent(expression)}`,
    });
    return JSON.parse(reply.body).data.result;
  };
  try {
    const up = await until('every target scraped', async () => {
      const up = await query('up');
      return up.length === sidecars.length + operators.length && up.every(({ value }) => value[1] === '1') && up;
    });
    for (const series of [...SIDECAR_SERIES, ...OPERATOR_SERIES]) {
      await until(`series ${series}`, async () => (await query(series)).length > 0, { timeoutMs: 20_000 });
    }
    const [requests] = await query('sum(portcullis_requests_total)');
    assert(Number(requests?.value[1]) > 0);
    return `${up.length} targets up, ${requests?.value[1]} requests counted by the sidecars`;
  } catch (error) {
    throw new Error(`prometheus: ${prometheus.log().slice(-2_000)}`, { cause: error });
  } finally {
    await prometheus.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}
