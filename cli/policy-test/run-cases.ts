import type { Policies } from '../../sidecar/enforcement-options.ts';
import { compileExplain } from '../../sidecar/explain/explain.ts';
import type { Decided, Explanation } from '../../sidecar/explain/explanation.ts';
import type { AccessDecision, PolicyCase } from './parse-cases.ts';

/** What becomes of a request. */
export interface Outcome extends Decided {
  readonly decision: AccessDecision;
}

/** Something that a case expects and that is otherwise. */
export interface Difference {
  readonly field: 'decision' | 'status' | 'code' | 'rule';
  readonly expected: string | number;
  readonly actual: string | number | null;
}

/** A case, decided. */
export interface CaseResult {
  readonly policyCase: PolicyCase;
  readonly outcome: Outcome;
  /** None: it passed. */
  readonly differences: readonly Difference[];
  /** Why the outcome is what it is; null of a case that passed. */
  readonly explanation: Explanation | null;
}

const FIELDS = ['decision', 'status', 'code', 'rule'] as const;

/**
 * Decides every case by policies as they would with mode Enforce. `now`: epoch milliseconds, for cases that do not say when they
 * come. Limits are not counted; of a request without a body nothing is said of bodies.
 */
export async function runCases(policies: Policies, cases: readonly PolicyCase[], now: number): Promise<CaseResult[]> {
  const enforced: Policies = { ...policies, access: { ...policies.access, mode: 'Enforce' } };
  const { decide, explain } = await compileExplain(enforced);
  const results: CaseResult[] = [];
  for (const policyCase of cases) {
    const { request, expect, at } = policyCase;
    const { status, code, rule } = await decide(request, at ?? now);
    const outcome: Outcome = { decision: code === null ? 'allow' : 'deny', status, code, rule };
    const differences = FIELDS.flatMap((field): Difference[] => {
      const [expected, actual] = [expect[field], outcome[field]];
      return expected === undefined || expected === actual ? [] : [{ field, expected, actual }];
    });
    const explanation = differences.length === 0 ? null : await explain(request, at ?? now);
    results.push({ policyCase, outcome, differences, explanation });
  }
  return results;
}
