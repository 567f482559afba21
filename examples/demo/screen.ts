import { styleText } from 'node:util';

/** Prints the tour. Colours follow NO_COLOR and whether somebody watches. */
export class Screen {
  #steps = 0;

  heading(text: string): void {
    this.#line(`\n${styleText(['bold', 'cyan'], `${++this.#steps}. ${text}`)}`);
  }

  say(text: string): void {
    this.#line(`   ${text}`);
  }

  dim(text: string): void {
    this.#line(`   ${styleText('dim', text)}`);
  }

  /** A request and its answer; throws when the status is not the expected one. */
  answer(what: string, status: number, expected: number, extra: string): void {
    const colour = status < 300 ? 'green' : status === 429 ? 'yellow' : 'red';
    this.#line(`   ${styleText(colour, String(status))}  ${what.padEnd(44)} ${styleText('dim', extra)}`);
    this.expect(status === expected, `${what}: expected ${expected}, got ${status}`);
  }

  /** Rows in columns; the first row is the head. */
  table(rows: readonly (readonly string[])[]): void {
    const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
    rows.forEach((row, index) => {
      const text = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ');
      this.#line(`   ${index === 0 ? styleText('bold', text) : text}`);
    });
  }

  /** Throws the message when the condition does not hold. */
  expect(condition: boolean, message: string): void {
    if (!condition) throw new Error(message);
  }

  #line(text: string): void {
    process.stdout.write(`${text}\n`);
  }
}
