import type { Path } from '../api/problem.ts';
import { type CelEnvironment, compileCel } from '../evaluate/cel.ts';
import type { CelReferences } from '../evaluate/cel-checks.ts';
import type { Findings } from './finding.ts';

/** Checks a CEL expression at `path`; gives what it reads, or null when it is refused. */
export function checkCondition(
  source: string,
  environment: CelEnvironment,
  path: Path,
  findings: Findings,
): CelReferences | null {
  const result = compileCel(source, environment);
  if (result.ok) return result.value.references;
  findings.error(path, `${result.message} (at character ${result.position + 1} of the expression)`);
  return null;
}
