import type { Document, LineCounter } from 'yaml';
import type { Path } from '../../policy/api/problem.ts';
import { describeProblem, locate } from '../../policy/compile/locate.ts';

/** Which bundle a problem keeps from changing; null: all of them. */
export type AffectedBundle = 'access' | 'limits' | null;

/** Something wrong with the policies in a directory, with its place. */
export interface SourceProblem {
  readonly severity: 'error' | 'warning';
  readonly affects: AffectedBundle;
  /** `file:line:column path: message` */
  readonly text: string;
}

/** One YAML document of a file, and where it stands. */
export interface SourceDocument {
  /** As the user would write it. */
  readonly file: string;
  readonly document: Document;
  readonly lines: LineCounter;
}

/** A problem at a path of a document. */
export function problemAt(
  source: SourceDocument,
  path: Path,
  message: string,
  options: { readonly severity?: SourceProblem['severity']; readonly affects?: AffectedBundle } = {},
): SourceProblem {
  const { severity = 'error', affects = null } = options;
  const place = locate(source.document, source.lines, path);
  const text = describeProblem(source.file, place, path, severity === 'warning' ? `warning: ${message}` : message);
  return { severity, affects, text };
}
