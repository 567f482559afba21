import { table } from '../kube/table.ts';
import type { CaseResult, Difference } from './run-cases.ts';

/** The failures, each with what differs and why, and a last line that counts. */
export function renderResults(results: readonly CaseResult[]): string {
  const failures = results.filter(({ differences }) => differences.length > 0);
  const passed = results.length - failures.length;
  return `${failures.map(renderFailure).join('')}${passed} passed, ${failures.length} failed\n`;
}

/** The same as JSON, with the cases that passed. */
export function resultsAsJson(results: readonly CaseResult[]): string {
  const cases = results.map(({ policyCase: { file, line, name, expect }, outcome, differences, explanation }) => ({
    file,
    line,
    name,
    passed: differences.length === 0,
    expected: expect,
    actual: outcome,
    explanation,
  }));
  const failed = cases.filter((result) => !result.passed).length;
  return `${JSON.stringify({ passed: cases.length - failed, failed, cases })}\n`;
}

function renderFailure({ policyCase, outcome, differences, explanation }: CaseResult): string {
  const { file, line, name, request } = policyCase;
  const actualOf = ({ field, actual }: Difference): string => {
    if (field !== 'decision') return String(actual ?? 'none');
    return outcome.code === null ? 'allow' : `deny (${outcome.status} ${outcome.code})`;
  };
  const rows = differences.map((difference) => [difference.field, String(difference.expected), actualOf(difference)]);
  const reasons = (explanation?.layers ?? [])
    .filter(({ layer }) => !layer.startsWith('limit-'))
    .flatMap(({ layer, details }) => details.map((detail) => `  ${layer}: ${detail}\n`));
  const diff = table([['', 'expected', 'actual'], ...rows])
    .replace(/^/gm, '  ')
    .trimEnd();
  return `${file}:${line} ${name}: ${request.method} ${request.target}\n${diff}\n${reasons.join('')}\n`;
}
