import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { startProgram } from '../cluster/program.ts';
import { OPERATOR_NAMESPACE } from './installation.ts';
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
 * Lets a real Prometheus find the sidecars of a namespace and the operator by the Kubernetes API and scrape them; asserts
 * that every target is up and the series are there. Returns what it saw in words.
 */
export async function scrapedByPrometheus(world: World, namespace: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'portcullis-prometheus-'));
  const discovery = (name: string) => [
    { role: 'pod', kubeconfig_file: world.cluster.kubeconfig, namespaces: { names: [name] } },
  ];
  const keep = (source: string, regex: string) => ({ source_labels: [source], regex, action: 'keep' });
  const config = {
    global: { scrape_interval: '1s' },
    scrape_configs: [
      {
        job_name: 'sidecars',
        kubernetes_sd_configs: discovery(namespace),
        relabel_configs: [
          keep('__meta_kubernetes_pod_label_portcullis_dev_injected', 'true'),
          keep('__meta_kubernetes_pod_container_port_number', '14181'),
        ],
      },
      {
        job_name: 'operator',
        kubernetes_sd_configs: discovery(OPERATOR_NAMESPACE),
        relabel_configs: [keep('__meta_kubernetes_pod_container_port_name', 'health')],
      },
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
      const targets = await query('up');
      const jobs = new Set(targets.map(({ metric }) => metric['job']));
      return jobs.size === 2 && targets.every(({ value }) => value[1] === '1') && targets;
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
