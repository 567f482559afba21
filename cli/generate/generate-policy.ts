import { parse } from 'yaml';
import type { AccessPolicy } from '../../policy/api/access-policy.ts';
import { decodeResource } from '../../policy/api/decode.ts';
import { formatPath } from '../../policy/api/problem.ts';
import { API_VERSION } from '../../policy/api/resource.ts';
import { compileAccessPolicy } from '../../policy/compile/compile-access-policy.ts';
import { mergeFindings } from '../../policy/compile/finding.ts';
import { NO_REFERENCES } from '../../policy/compile/references.ts';
import { type DecidedOperation, type GeneratedRule, groupRules } from './group-rules.ts';
import { readDocument } from './openapi-document.ts';
import { AccessReader, type PermissionSource } from './operation-access.ts';
import { shapesOverlap } from './path-template.ts';
import { type LeftOut, readOperations } from './read-operations.ts';
import { renderPolicy } from './render-policy.ts';
import { oneLine, type Remark, Report } from './report.ts';
import { requestBody } from './request-body.ts';
import { starterRoles } from './starter-roles.ts';
import { subjectOf } from './unique-names.ts';

/** How a document becomes a policy. */
export interface GenerateOptions {
  /** Null: made of the document's title. */
  readonly name: string | null;
  readonly namespace: string | null;
  /** Where the keys of tokens come from; null: no rule may ask for a token. */
  readonly keySet: { readonly name: string; readonly namespace?: string } | null;
  readonly permissions: PermissionSource;
  /** What stands before each path, empty for nothing; null: the path of the first server's URL. */
  readonly basePath: string | null;
  /** Whether rules say what bodies must be. */
  readonly bodies: boolean;
}

/** What was made of a document. */
export interface Generated {
  /** The policy as YAML; null when some remark is an error. */
  readonly yaml: string | null;
  readonly remarks: readonly Remark[];
  /** Operations in rules, rules, and operations left out. */
  readonly counts: { readonly operations: number; readonly rules: number; readonly leftOut: number };
}

/** What etcd and an API server take of one object, with room for what they add. */
const MAX_BYTES = 2 ** 20;

/**
 * Makes an AccessPolicy of an OpenAPI document. What it prints decodes and compiles; only key set references are not followed.
 * Never lets in what the document does not describe, except that no `security` beside others means everyone.
 * @param text the document, JSON or YAML
 * @throws PortcullisError `config_invalid` for what is no OpenAPI document of version 3.0 or 3.1
 */
export function generatePolicy(text: string, options: GenerateOptions): Generated {
  const report = new Report();
  const document = readDocument(text, report);
  const { operations, leftOut } = readOperations(document, options.basePath, report);
  const access = new AccessReader(document, operations, options.permissions, report);
  const decided = operations.map((operation) => ({
    operation,
    allow: access.read(operation),
    body: options.bodies ? requestBody(document, operation, report) : null,
  }));
  checkLeftOut(leftOut, decided, access, report);
  const rules = groupRules(decided, report);
  const roles = starterRoles(rules, report);
  const needsToken = rules.some(({ allow }) => allow.some((entry) => !('anonymous' in entry)));
  if (needsToken && options.keySet === null)
    report.error(null, 'operations need a token; say with --key-set NAME which SigningKeySet signs them');
  const info = document.at('/info') as { title?: unknown; version?: unknown } | undefined;
  const title = oneLine(String(info?.title ?? ''));
  const resource = {
    apiVersion: API_VERSION,
    kind: 'AccessPolicy',
    metadata: {
      name:
        options.name ??
        subjectOf(title)
          .replaceAll('_', '-')
          .slice(0, 63)
          .replace(/[^a-z0-9]+$/, ''),
      ...(options.namespace !== null && { namespace: options.namespace }),
    },
    spec: {
      mode: 'Enforce',
      ...(needsToken &&
        options.keySet !== null && {
          authentication: {
            jwt: [{ name: options.keySet.name.slice(0, 63), keySetRef: options.keySet, from: access.tokenSources }],
          },
        }),
      ...(roles.length > 0 && { roles }),
      rules: rules.map(ruleResource),
    },
  };
  const header = [
    `Made by portcullis generate of ${title || 'an OpenAPI document'} ${oneLine(String(info?.version ?? ''))}. Review it before use:`,
    'what no rule names is refused; start with mode: Shadow to see what would be.',
    ...(options.permissions === 'none' ? ['Any valid token is enough wherever one is needed.'] : []),
  ];
  const yaml = renderPolicy({ resource, rules, header, leftOut: leftOut.map((one) => one.text) });
  if (Buffer.byteLength(yaml) > MAX_BYTES)
    report.error(null, 'the policy is larger than the 1 MiB that an API server takes; leave out --bodies');
  if (!report.failed) checkPolicy(yaml, report);
  const counts = { operations: operations.length, rules: rules.length, leftOut: leftOut.length };
  return { yaml: report.failed ? null : yaml, remarks: report.all, counts };
}

function ruleResource({ name, paths, methods, allow, body }: GeneratedRule): object {
  return { name, match: { paths, methods }, allow, ...(body !== null && { body }) };
}

/** Requests of an operation that is left out may match a rule of another one, and must not be let in by it. */
function checkLeftOut(
  leftOut: readonly LeftOut[],
  decided: readonly DecidedOperation[],
  access: AccessReader,
  report: Report,
): void {
  for (const { operation } of leftOut) {
    if (operation === null) continue;
    const allow = JSON.stringify(access.read(operation));
    const taker = decided.find(
      (other) =>
        methodTaken(other.operation.method, operation.method) &&
        shapesOverlap(other.operation.shape, operation.shape) &&
        JSON.stringify(other.allow) !== allow,
    );
    if (taker === undefined) continue;
    const message = `no path pattern says this, and #${taker.operation.pointer} takes its requests but lets in others`;
    report.error(operation.pointer, `${message}; give both the same security, or change one of the paths`);
  }
}

/** HEAD follows GET. */
function methodTaken(rule: string, request: string): boolean {
  return rule === request || (rule === 'GET' && request === 'HEAD');
}

/** Reads what is about to be printed as a cluster would. */
function checkPolicy(yaml: string, report: Report): void {
  const decoded = decodeResource(parse(yaml, { maxAliasCount: 0 }));
  const [resource, problems] = 'problems' in decoded ? [decoded.faulty, decoded.problems] : [decoded.resource, []];
  const { findings } =
    resource === undefined ? { findings: [] } : compileAccessPolicy(resource as AccessPolicy, NO_REFERENCES);
  for (const { path, message, severity, code } of mergeFindings(problems, findings)) {
    if (code !== 'Invalid') continue; // references, which a cluster resolves
    report[severity === 'error' ? 'error' : 'note'](null, `the policy's ${formatPath(path)}: ${message}`);
  }
}
