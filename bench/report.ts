/** A table of text; the first column is left-aligned, numbers are right-aligned. */
export interface Table {
  readonly title: string;
  /** One sentence on what the numbers are. */
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** What one part of a run found. */
export interface SectionReport {
  readonly table: Table;
  /** Every round as it was measured, for the JSON file. */
  readonly data: unknown;
}

/** A Markdown table, padded so that it can be read as it is. */
export function renderTable({ title, caption, columns, rows }: Table): string {
  const widths = columns.map((column, i) => Math.max(column.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) => {
    const padded = widths.map((width, i) =>
      i === 0 ? (cells[i] ?? '').padEnd(width) : (cells[i] ?? '').padStart(width),
    );
    return `| ${padded.join(' | ')} |`;
  };
  const rule = `|${widths.map((width, i) => (i === 0 ? `${'-'.repeat(width + 2)}` : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [`### ${title}`, '', caption, '', line(columns), rule, ...rows.map(line), ''].join('\n');
}

/** The smallest and the middle value. */
export function minAndMedian(values: readonly number[]): { readonly min: number; readonly median: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
  return { min: sorted[0] ?? Number.NaN, median };
}

/** Rounds that nobody disturbed; all of them when there is none. */
export function quietRounds<R extends { readonly disturbed: boolean }>(rounds: readonly R[]): readonly R[] {
  const quiet = rounds.filter((round) => !round.disturbed);
  return quiet.length > 0 ? quiet : rounds;
}

/** How many rounds count, such as "4 of 5"; the tables' warning that a number is worth little. */
export function quietCount(rounds: readonly { readonly disturbed: boolean }[]): string {
  return `${rounds.filter((round) => !round.disturbed).length} of ${rounds.length}`;
}

/** A ratio such as "1.83". */
export function ratio(value: number, of: number): string {
  return (value / of).toFixed(2);
}
