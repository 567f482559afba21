import { parseByteSize } from '../api/byte-size.ts';
import { formatPath, type Path } from '../api/problem.ts';
import type { RuleBody } from '../api/rule-body.ts';
import type { BodyConfig } from '../evaluate/body/body-config.ts';
import { compileBody } from '../evaluate/body/compile-body.ts';
import type { findSchema, SchemaRef } from './find-schema.ts';
import type { Findings } from './finding.ts';

/** Looks a schema up; null: reported. */
export type FindSchema = (ref: SchemaRef, path: Path, findings: Findings) => ReturnType<typeof findSchema>;

/** Checks what a rule demands of bodies, with the compiler that the sidecar uses. `find`: the schema that a reference means, or null. */
export function compileRuleBody(body: RuleBody, path: Path, findings: Findings, find: FindSchema): BodyConfig {
  const { contentTypes, maxBytes, schemaRef, rules } = body;
  const schema = schemaRef === undefined ? (body.schema ?? null) : find(schemaRef, [...path, 'schemaRef'], findings);
  const config: BodyConfig = { contentTypes, maxBytes: parseByteSize(maxBytes) ?? 0, schema, rules };
  const compiled = compileBody(config);
  for (const problem of compiled.ok ? [] : compiled.problems) {
    const [member, ...within] = problem.path;
    if (schemaRef === undefined || member !== 'schema') findings.error([...path, ...problem.path], problem.message);
    else findings.error([...path, 'schemaRef'], `${formatPath(within) || 'the schema'}: ${problem.message}`);
  }
  return config;
}
