import { formatPath, type Path, type Problem } from '../api/problem.ts';

/** Why a policy is not accepted, in the words of the condition `Accepted`. */
export type FindingCode = 'Invalid' | 'RefNotFound' | 'RefNotPermitted' | 'Conflicted';

/** Something that compiling found about one resource; an error keeps it from being used, a warning does not. */
export interface Finding extends Problem {
  readonly severity: 'error' | 'warning';
  readonly code: FindingCode;
}

/** Collects findings, so that everything wrong is reported at once. */
export class Findings {
  readonly all: Finding[] = [];

  error(path: Path, message: string, code: FindingCode = 'Invalid'): void {
    this.all.push({ severity: 'error', code, path, message });
  }

  warn(path: Path, message: string): void {
    this.all.push({ severity: 'warning', code: 'Invalid', path, message });
  }

  get failed(): boolean {
    return this.all.some((finding) => finding.severity === 'error');
  }
}

/** What compiling gives: the bundle without its serial, null when some finding is an error. */
export interface Compiled<Content> {
  readonly content: Content | null;
  readonly findings: readonly Finding[];
}

/** Decoding's problems and compiling's findings of one resource as one list; of two at one place the finding says more. */
export function mergeFindings(problems: readonly Problem[], findings: readonly Finding[]): readonly Finding[] {
  const said = new Set(findings.map((finding) => formatPath(finding.path)));
  const decoded = problems.filter((problem) => !said.has(formatPath(problem.path)));
  return [...decoded.map((problem) => ({ ...problem, severity: 'error', code: 'Invalid' }) as const), ...findings];
}
