const MAX_PLACES = 3;

/** Something in a document that a policy cannot say or that had to be guessed, or that keeps it from being made. */
export interface Remark {
  readonly severity: 'error' | 'note';
  /** JSON Pointer (RFC 6901) into the document; null: it is about the whole. */
  readonly pointer: string | null;
  /** What is so and what to write instead, on one line. */
  readonly message: string;
}

/** Collects remarks, so that everything is told at once; the same about the same place once. */
export class Report {
  readonly #remarks = new Map<string, Remark>();

  error(pointer: string | null, message: string): void {
    this.#add({ severity: 'error', pointer, message: oneLine(message) });
  }

  note(pointer: string | null, message: string): void {
    this.#add({ severity: 'note', pointer, message: oneLine(message) });
  }

  get all(): readonly Remark[] {
    return [...this.#remarks.values()];
  }

  get failed(): boolean {
    return this.all.some(({ severity }) => severity === 'error');
  }

  #add(remark: Remark): void {
    this.#remarks.set(JSON.stringify([remark.pointer, remark.message]), remark);
  }
}

/** Remarks as lines, errors first; one line for all places of which the same is said. `file` as the user wrote it. */
export function formatRemarks(remarks: readonly Remark[], file: string): readonly string[] {
  const sorted = remarks.toSorted((a, b) => Number(a.severity === 'note') - Number(b.severity === 'note'));
  return [...Map.groupBy(sorted, ({ severity, message }) => `${severity}: ${message}`)].map(([text, group]) => {
    const places = group.flatMap(({ pointer }) => (pointer === null ? [] : [`${file}#${oneLine(pointer)}`]));
    const more = places.length - MAX_PLACES;
    const where = `${places.slice(0, MAX_PLACES).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
    return `${where || file}: ${text}`;
  });
}

/** A text of a document without what would begin a line, move a cursor or turn the direction of writing. */
export function oneLine(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
    .toWellFormed();
}
