import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Machine, machineText } from './machine.ts';
import type { BenchOptions, SectionName } from './options.ts';
import { renderTable, type SectionReport } from './report.ts';

const DIRECTORY = fileURLToPath(new URL('results/', import.meta.url));

/** A part that has run. */
export interface FinishedSection {
  readonly section: SectionName;
  readonly report: SectionReport;
}

/** All that a run found. */
export interface RunResults {
  readonly startedAt: Date;
  readonly options: BenchOptions;
  readonly machine: Machine;
  /** What was left out or went wrong. */
  readonly notes: readonly string[];
  readonly reports: readonly FinishedSection[];
}

/** Writes the tables to results/table.md and every round to results/TIME.json; returns the closing lines for people. */
export function saveResults({ startedAt, options, machine, notes, reports }: RunResults): string {
  const time = startedAt.toISOString();
  const head = [`Measured ${time.slice(0, 10)}: ${machineText(machine)}`, '', ...notes.map((note) => `- ${note}`), ''];
  const rounds = Object.fromEntries(reports.map(({ section, report }) => [section, report.data]));
  const table = join(DIRECTORY, 'table.md');
  const json = join(DIRECTORY, `${time.replaceAll(':', '-')}.json`);
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(table, [...head, ...reports.map(({ report }) => renderTable(report.table))].join('\n'));
  writeFileSync(json, JSON.stringify({ startedAt, options, machine, notes, ...rounds }, null, 1));
  return [...head, table, json, ''].join('\n');
}
