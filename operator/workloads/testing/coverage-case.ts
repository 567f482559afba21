import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Coverage, type CoverageInput, type CoverageSettings, coverageOf } from '../coverage.ts';
import { coverageInput } from './coverage-objects.ts';

/** What coverage is expected of an input; members that are absent are not looked at. */
export interface CoverageCase {
  readonly name: string;
  readonly input: Partial<CoverageInput>;
  readonly reason?: Coverage['reason'];
  readonly deny?: boolean;
  /** Undefined: not looked at; null: left alone. */
  readonly settings?: Partial<CoverageSettings> | null;
  /** As `number/name`. */
  readonly ports?: readonly string[];
  /** As `port reason`. */
  readonly skipped?: readonly string[];
  /** What one of the warnings contains, each; an empty list: there are none. */
  readonly warnings?: readonly (string | RegExp)[];
}

/** One test for each case. */
export function describeCoverage(title: string, cases: readonly CoverageCase[]): void {
  describe(`coverageOf: ${title}`, () => {
    for (const row of cases) test(row.name, () => check(row));
  });
}

function check({ input, ...expected }: CoverageCase): void {
  const coverage = coverageOf(coverageInput(input));
  const shown = JSON.stringify(coverage, null, 1);
  if (expected.reason !== undefined) assert.equal(coverage.reason, expected.reason, shown);
  if (expected.deny !== undefined) assert.equal(coverage.deny, expected.deny, shown);
  if (expected.settings === null) assert.equal(coverage.settings, null, shown);
  else
    for (const [name, value] of Object.entries(expected.settings ?? {}))
      assert.deepEqual(coverage.settings?.[name as keyof CoverageSettings], value, shown);
  if (expected.ports)
    assert.deepEqual(
      coverage.ports.map(({ port, name }) => `${port}/${name ?? ''}`),
      expected.ports,
      shown,
    );
  if (expected.skipped)
    assert.deepEqual(
      coverage.skippedPorts.map(({ port, reason }) => `${port} ${reason}`),
      expected.skipped,
      shown,
    );
  if (expected.warnings === undefined) return;
  assert.equal(coverage.warnings.length, expected.warnings.length, shown);
  if (coverage.deny) assertContains(coverage.warnings[0]!, expected.warnings[0]!);
  for (const [index, warning] of expected.warnings.entries()) {
    const holds = (text: string): boolean =>
      typeof warning === 'string' ? text.includes(warning) : warning.test(text);
    assert.ok(coverage.warnings.some(holds), `${index}: ${warning}\n${shown}`);
  }
}

function assertContains(text: string, expected: string | RegExp): void {
  assert.ok(typeof expected === 'string' ? text.includes(expected) : expected.test(text), `${expected}: ${text}`);
}
