import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type LineCounter, type Node } from 'yaml';
import { formatPath, type Path } from '../api/problem.ts';

/** A place in a text, both counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * Where `path` stands in a parsed YAML document: the key of a member, the start of a list's item. Of a path that leads
 * out of the document, the nearest part that is there. `lines` must have counted the same source.
 */
export function locate(document: Document, lines: LineCounter, path: Path): Place {
  let node: unknown = document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const part of path) {
    const found = step(resolved(node, document), part);
    if (found === null) break;
    offset = found.at.range?.[0] ?? offset;
    node = found.value;
  }
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}

/** `file:line:column path: message`, as editors and compilers write it. */
export function describeProblem(file: string, place: Place, path: Path, message: string): string {
  const field = formatPath(path);
  return `${file}:${place.line}:${place.column} ${field === '' ? '' : `${field}: `}${message}`;
}

function resolved(node: unknown, document: Document): unknown {
  return isAlias(node) ? node.resolve(document) : node;
}

function step(node: unknown, part: string | number): { at: Node; value: unknown } | null {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
    return pair !== undefined && isNode(pair.key) ? { at: pair.key, value: pair.value } : null;
  }
  const item = isSeq(node) && typeof part === 'number' ? node.items[part] : undefined;
  return isNode(item) ? { at: item, value: item } : null;
}
