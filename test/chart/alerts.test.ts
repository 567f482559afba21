import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import { runCommand } from '../cluster/program.ts';
import { skipOrFail } from '../cluster/skip-or-fail.ts';
import { missingPrograms } from '../support/system-programs.ts';
import { CHART } from './rendered-chart.ts';

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: Readonly<Record<string, string>>;
}

const ROOT = join(import.meta.dirname, '../..');
const FILE = join(CHART, 'files/alerts.yaml');
const TESTS = join(import.meta.dirname, 'alerts.promtool.yaml');

const alerts: readonly Alert[] = parse(readFileSync(FILE, 'utf8')).groups[0].rules;

test('promtool accepts the alerts', (t) => promtool(t, 'check', 'rules', FILE));

test('each alert fires for what it is for and not for its twin', (t) => promtool(t, 'test', 'rules', TESTS));

test('each alert has such a test', () => {
  const fired = parse(readFileSync(TESTS, 'utf8')).tests.flatMap(
    (group: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }) =>
      group.alert_rule_test.filter(({ exp_alerts }) => exp_alerts.length > 0).map(({ alertname }) => alertname),
  );
  assert.deepEqual([...new Set(fired)].sort(), alerts.map(({ alert }) => alert).sort());
});

test('each alert asks for metrics that exist', () => {
  const sources = globSync('{operator,sidecar}/**/*.ts', { cwd: ROOT, exclude: ['**/*.test.ts'] });
  const code = sources.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('\n');
  for (const { alert, expr } of alerts) {
    const metrics = expr.match(/portcullis_\w+/g) ?? [];
    assert.ok(metrics.length > 0, alert);
    for (const metric of metrics) assert.ok(code.includes(`'${metric}'`), `${alert} asks for ${metric}`);
  }
});

test('each alert has its section in docs/operations.md', () => {
  const page = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
  for (const { alert, annotations } of alerts) {
    assert.ok(page.includes(`\n### ${alert}\n`), alert);
    assert.equal(annotations['runbook'], `docs/operations.md#${alert.toLowerCase()}`);
  }
});

async function promtool(t: TestContext, ...args: string[]): Promise<void> {
  const missing = missingPrograms({ promtool: 'prometheus' });
  if (missing !== null) return skipOrFail(t, missing);
  const { code, stdout, stderr } = await runCommand('promtool', args);
  assert.equal(code, 0, stdout + stderr);
}
