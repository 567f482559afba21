import type { Path } from './problem.ts';

/**
 * One validation rule, written twice side by side: as CEL for kube-apiserver (`x-kubernetes-validations`) and as a
 * function for local mode. The contract tests hold the two together.
 */
export interface Rule {
  /** CEL over `self`, true when all is well. */
  readonly cel: string;
  /** What is wrong and what to write instead. Names no offender: kube-apiserver's cost limit has no room for that in CEL. */
  readonly message: string;
  /** The member of `self` that kube-apiserver blames, such as `.rotation.prePublish`. */
  readonly fieldPath?: string;
  /** Places inside the value that break the rule; none when all is well. */
  violations(value: unknown): readonly Path[];
}

const ITSELF: readonly Path[] = [[]];
const NOTHING: readonly Path[] = [];

/** A rule about a value as a whole. */
export function rule<Value>(cel: string, message: string, holds: (value: Value) => boolean): Rule {
  return { cel, message, violations: (value) => (holds(value as Value) ? NOTHING : ITSELF) };
}

/** A rule whose violations lie deeper inside the value. */
export function ruleAbout<Value>(
  texts: Pick<Rule, 'cel' | 'message' | 'fieldPath'>,
  violations: (value: Value) => readonly Path[],
): Rule {
  return { ...texts, violations: (value) => violations(value as Value) };
}

/** A rule that a text matches a pattern of both JavaScript and RE2. */
export function matches(pattern: string, message: string): Rule {
  const expression = new RegExp(pattern);
  return rule<string>(`self.matches(r'${pattern}')`, message, (text) => expression.test(text));
}

/** A rule that holds only between an object and the one it replaces; a document alone always keeps it. */
export function transitionRule(cel: string, message: string): Rule {
  return { cel, message, violations: () => NOTHING };
}
