import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { HOUR, QuietKeySet, rotating, SPEC } from '../../policy/keys/testing/fixtures.ts';
import { KeySetMetrics } from './key-set-metrics.ts';

class MetricsBench {
  readonly keySet: QuietKeySet;
  readonly #registry = new Registry();
  readonly metrics = new KeySetMetrics(this.#registry, () => this.keySet.now);

  constructor(spec = SPEC) {
    this.keySet = new QuietKeySet(spec);
    this.look();
  }

  look(): void {
    this.keySet.settle();
    this.metrics.observe(this.keySet.spec, this.keySet.ring);
  }

  async value(metric: string, labels = 'namespace="auth",name="trading"'): Promise<number | undefined> {
    const text = await this.#registry.getSingleMetricAsString(`portcullis_${metric}`);
    const line = text.split('\n').find((line) => line.includes(`{${labels}}`));
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  }

  overdueHours = async () => Math.round(((await this.value('rotation_overdue_seconds')) ?? Number.NaN) / 360) / 10;
}

test('ages run on between observations, oldest of each state', async () => {
  const bench = new MetricsBench();
  bench.keySet.now += HOUR;
  assert.equal(await bench.value('key_age_seconds', 'namespace="auth",name="trading",state="active"'), 3600);
  assert.equal(await bench.value('key_age_seconds', 'namespace="auth",name="trading",state="standby"'), 3600);
  assert.equal(await bench.value('key_age_seconds', 'namespace="auth",name="trading",state="retired"'), undefined);
});

test('a rotation that waits for pods is overdue from when it was due', async () => {
  const bench = new MetricsBench(rotating({ ackTimeoutMs: 0 }));
  bench.keySet.context = { ...bench.keySet.context, acknowledgements: [{ consumer: 'pod', serial: 0 }] };
  bench.keySet.now += 719 * HOUR;
  bench.look();
  assert.equal(await bench.overdueHours(), 0);
  bench.keySet.now += 11 * HOUR;
  bench.look();
  const overdue = await bench.overdueHours();
  assert.ok(overdue >= 9 && overdue <= 10, `${overdue}`);
  bench.keySet.context = { ...bench.keySet.context, acknowledgements: [] };
  bench.look();
  assert.equal(await bench.overdueHours(), 0);
});

test('a rotation that has no room is overdue, also one that was asked for; not one that is suspended', async () => {
  const spec = rotating({ maxKeys: 3 }, { ...SPEC, algorithm: 'Fernet', maxTokenLifetimeMs: null });
  const bench = new MetricsBench(spec);
  for (let days = 0; days < 92; days++) {
    bench.keySet.now += 24 * HOUR;
    bench.look();
  }
  bench.keySet.now += 48 * HOUR;
  bench.look();
  assert.equal(bench.keySet.ring.keys.length, 3);
  const scheduled = await bench.overdueHours();
  assert.ok(scheduled > 24 && scheduled < 72, `${scheduled}`);
  bench.keySet.spec = { ...spec, rotateRequest: 'now' };
  bench.look();
  bench.keySet.now += HOUR;
  bench.look();
  assert.equal(await bench.overdueHours(), scheduled + 1, 'it does not begin anew');

  const asked = new MetricsBench(spec);
  for (const rotateRequest of ['one', 'two', 'three']) {
    asked.keySet.spec = { ...spec, rotateRequest };
    asked.look();
    asked.keySet.now += 24 * HOUR;
    asked.look();
  }
  assert.equal(asked.keySet.ring.keys.length, 3);
  assert.equal(await asked.overdueHours(), 24, 'since it was asked for');
  asked.keySet.spec = rotating({ suspend: true }, asked.keySet.spec);
  asked.look();
  assert.equal(await asked.overdueHours(), 0);
});

test('what stands still is told with its reason, until it does not or is gone', async () => {
  const bench = new MetricsBench();
  const halted = () => bench.value('key_set_halted', 'namespace="auth",name="trading",reason="KeyringLost"');
  assert.equal(await halted(), undefined);
  bench.metrics.halted('auth/trading', 'KeyringLost');
  assert.equal(await halted(), 1);
  bench.metrics.halted('auth/trading', null);
  assert.equal(await halted(), undefined);
  bench.metrics.halted('auth/trading', 'KeyringLost');
  bench.metrics.forget('auth/trading');
  assert.equal(await halted(), undefined);
  assert.equal(await bench.value('rotation_overdue_seconds'), undefined);
});
