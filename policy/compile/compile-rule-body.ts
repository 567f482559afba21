import { parseByteSize } from '../api/byte-size.ts';
import type { Path } from '../api/problem.ts';
import type { RuleBody } from '../api/rule-body.ts';
import type { BodyConfig } from '../evaluate/body/body-config.ts';
import { compileBody } from '../evaluate/body/compile-body.ts';
import type { Findings } from './finding.ts';

/** Checks what a rule demands of bodies, with the compiler that the sidecar uses. */
export function compileRuleBody(body: RuleBody, path: Path, findings: Findings): BodyConfig {
  const { contentTypes, maxBytes, schema = null, rules } = body;
  const config: BodyConfig = { contentTypes, maxBytes: parseByteSize(maxBytes) ?? 0, schema, rules };
  const compiled = compileBody(config);
  for (const problem of compiled.ok ? [] : compiled.problems)
    findings.error([...path, ...problem.path], problem.message);
  return config;
}
