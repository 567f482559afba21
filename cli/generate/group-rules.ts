import { type AllowEntry, isRead } from './operation-access.ts';
import type { Operation } from './read-operations.ts';
import type { Report } from './report.ts';
import { ruleNameOf, UniqueNames } from './unique-names.ts';

const MAX_RULES = 128;
const MAX_PATHS = 16;

/** What a rule says of bodies, as `rules[].body` has it. */
export interface RuleBody {
  readonly contentTypes: readonly string[];
  readonly maxBytes: string;
  readonly schema?: object;
}

/** An operation, who may send it, and what its body must be; null: anything. */
export interface DecidedOperation {
  readonly operation: Operation;
  readonly allow: readonly AllowEntry[];
  readonly body: RuleBody | null;
}

/** A rule of the policy, with the operations that it is about. */
export interface GeneratedRule {
  readonly name: string;
  readonly paths: readonly string[];
  readonly methods: readonly string[];
  readonly allow: readonly AllowEntry[];
  readonly body: RuleBody | null;
  readonly operations: readonly Operation[];
}

type UnnamedRule = Omit<GeneratedRule, 'name'>;

/**
 * Groups operations of one path with equal access and body into rules, in the document's order; where a policy cannot hold so many,
 * rules that differ in path alone are put together. Reports what is too much or contradicts itself.
 */
export function groupRules(decided: readonly DecidedOperation[], report: Report): readonly GeneratedRule[] {
  const byPath = Map.groupBy(withoutTwins(decided, report), ({ operation, allow, body }) =>
    JSON.stringify([operation.path, allow, body]),
  );
  let rules = [...byPath.values()].map(ruleOf);
  if (rules.length > MAX_RULES) {
    const separate = rules.length;
    rules = mergePaths(rules);
    const message = `${separate} rules are more than the ${MAX_RULES} of a policy; those with equal methods and access were put together`;
    report.note(null, `${message}, ${rules.length} are left`);
  }
  if (rules.length > MAX_RULES) {
    report.error(
      null,
      `${rules.length} rules remain, and a policy holds ${MAX_RULES}; use --permissions none, leave out --bodies, or cut the document down to what one Service serves`,
    );
  }
  const names = new UniqueNames(ruleNameOf);
  return rules.map((rule) => ({ name: names.fresh(nameOf(rule)), ...rule }));
}

/** Of several operations that the same requests belong to the first stays. */
function withoutTwins(decided: readonly DecidedOperation[], report: Report): readonly DecidedOperation[] {
  const first = new Map<string, DecidedOperation>();
  for (const one of decided) {
    const { operation, allow, body } = one;
    const key = `${operation.method} ${operation.shape}`;
    const earlier = first.get(key);
    if (earlier === undefined) {
      first.set(key, one);
    } else if (JSON.stringify(allow) !== JSON.stringify(earlier.allow)) {
      const twin = `the same requests as #${earlier.operation.pointer}`;
      report.error(operation.pointer, `${twin}, but lets in others; make the two one`);
    } else if (JSON.stringify(body) === JSON.stringify(earlier.body)) {
      report.note(operation.pointer, 'the same requests as an operation above; one rule is for both');
    } else {
      first.set(key, { ...earlier, body: null });
      report.note(
        operation.pointer,
        'the same requests as an operation above with another body; bodies are not checked',
      );
    }
  }
  return [...first.values()];
}

function ruleOf(group: readonly DecidedOperation[]): UnnamedRule {
  const { operation, allow, body } = group[0]!;
  const operations = group.map((one) => one.operation);
  return { paths: [operation.path], methods: operations.map(({ method }) => method), allow, body, operations };
}

function mergePaths(rules: readonly UnnamedRule[]): UnnamedRule[] {
  const alike = Map.groupBy(rules, ({ methods, allow, body }) => JSON.stringify([methods.toSorted(), allow, body]));
  return [...alike.values()].flatMap((group) => {
    const parts = Math.ceil(group.length / MAX_PATHS);
    return Array.from({ length: parts }, (_, part): UnnamedRule => {
      const members = group.slice(part * MAX_PATHS, (part + 1) * MAX_PATHS);
      return {
        ...members[0]!,
        paths: members.flatMap(({ paths }) => paths),
        operations: members.flatMap(({ operations }) => operations),
      };
    });
  });
}

function nameOf({ paths, methods, allow, operations }: UnnamedRule): string {
  const [operation] = operations;
  if (paths.length === 1) return operation!.id ?? `${operation!.method.toLowerCase()}${operation!.path}`;
  const [entry] = allow;
  if (entry !== undefined && 'permissions' in entry) return entry.permissions.join('-');
  const who = entry !== undefined && 'anonymous' in entry ? 'anonymous' : 'authenticated';
  return `${who}-${methods.every(isRead) ? 'read' : 'write'}`;
}
