import { Document, isMap, isPair, isSeq, type Node, visit } from 'yaml';
import type { GeneratedRule } from './group-rules.ts';
import { oneLine } from './report.ts';

/** A policy as a document, what its comments say beside it. */
export interface PolicyDraft {
  readonly resource: object;
  readonly rules: readonly GeneratedRule[];
  readonly header: readonly string[];
  /** Operations that no rule is about, and why. */
  readonly leftOut: readonly string[];
}

/** Members that stand on one line. */
const ON_ONE_LINE: ReadonlySet<string> = new Set(['keySetRef', 'from', 'match', 'allow', 'inherits', 'contentTypes']);

/** Ends of lines in YAML 1.1 alone, which would begin one of their own there, and the mark of byte order. */
const LINE_BREAKS = /[\u0085\u2028\u2029\ufeff]/g;

/** The policy as YAML, with comments that say what was guessed. Read alike by YAML 1.1, which Kubernetes speaks, and 1.2. */
export function renderPolicy({ resource, rules, header, leftOut }: PolicyDraft): string {
  const document = new Document(resource, { aliasDuplicateObjects: false, compat: 'yaml-1.1' } as const);
  visit(document, {
    Scalar: (_, node) => {
      if (typeof node.value === 'string' && node.value.search(LINE_BREAKS) >= 0) node.type = 'QUOTE_DOUBLE';
    },
    Pair: (_, { key, value }) => {
      const name = String(key);
      if (ON_ONE_LINE.has(name) && (isMap(value) || isSeq(value))) value.flow = true;
      if (name === 'permissions' && isSeq(value)) value.flow = value.items.length <= 6;
    },
  });
  document.commentBefore = commentOf(header);
  comment(document, ['spec', 'roles'], ['A guess: name the roles as your tokens do, and give each what it needs.']);
  for (const [index, { operations, body }] of rules.entries()) {
    const lines = operations.map(({ method, path, summary }) => `${method} ${path}${summary && `: ${summary}`}`);
    if (body !== null) lines.push('maxBytes is a guess.');
    comment(document, ['spec', 'rules', index], lines);
  }
  if (leftOut.length > 0)
    document.comment = commentOf(['Left out, and refused where no rule above matches:', ...leftOut]);
  // By now they stand in double quotes only: comments are one line each.
  return document
    .toString({ lineWidth: 120 })
    .replaceAll(LINE_BREAKS, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Before the pair that a path names, or the item of a list. */
function comment(document: Document, path: readonly (string | number)[], lines: readonly string[]): void {
  const last = path.at(-1);
  const parent = document.getIn(path.slice(0, -1), true);
  let node: unknown;
  if (typeof last === 'number') node = document.getIn(path, true);
  else if (isMap(parent)) node = parent.items.find((pair) => isPair(pair) && String(pair.key) === last)?.key;
  if (node !== undefined) (node as Node).commentBefore = commentOf(lines);
}

function commentOf(lines: readonly string[]): string {
  return lines.map((line) => ` ${oneLine(line)}`).join('\n');
}
