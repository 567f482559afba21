import type { CheckedSchema, SchemaObject } from './check-schema.ts';
import { isObject, resolveRef, subschemas } from './check-schema.ts';

/** Keywords whose schemas apply to the value itself, not to what is in it. */
const IN_PLACE = new Set(['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'dependentSchemas']);

/** What a schema asks of one value at most: checks by the value's depth in the body; null when a reference leads back to itself. */
export type SchemaCost = readonly number[] | null;

/**
 * Counts the checks that a schema makes of any one value, for each depth of nesting below `maxDepth`: keywords, required names
 * and allowed values, through all references. It bounds the work of a body by its size: a schema may double with each
 * reference (and again at each level of a recursive one).
 */
export function schemaCost({ root, nodes }: CheckedSchema, maxDepth: number): SchemaCost {
  if (!isObject(root)) return [1];
  const parts = new Map(nodes.map((node) => [node, partsOf(root, node)] as const));
  const order = inPlaceOrder(parts);
  if (order === null) return null;
  const costs: number[] = [];
  let above = new Map<SchemaObject, number>();
  for (let depth = 0; depth <= maxDepth; depth++) {
    const here = new Map<SchemaObject, number>();
    for (const node of order) {
      const { own, inPlace, named, every } = parts.get(node)!;
      const below = (child: SchemaObject): number => above.get(child) ?? 0;
      let cost = sum(inPlace, (part) => here.get(part)!) + sum(every, below) + Math.max(0, ...named.map(below));
      if (depth === 0) cost += own;
      here.set(node, cost);
    }
    if (order.every((node) => here.get(node) === 0)) break;
    costs.push(here.get(root)!);
    above = here;
  }
  return costs;
}

interface Parts {
  /** Checks of the node's own keywords. */
  readonly own: number;
  readonly inPlace: readonly SchemaObject[];
  /** For members of which each falls under one of them at most. */
  readonly named: readonly SchemaObject[];
  readonly every: readonly SchemaObject[];
}

function partsOf(root: unknown, node: SchemaObject): Parts {
  const [inPlace, named, every]: SchemaObject[][] = [[], [], []];
  let own = 1;
  for (const [keyword, value] of Object.entries(node)) {
    const counts =
      keyword === 'required' ||
      keyword === 'enum' ||
      keyword === 'dependentRequired' ||
      keyword === 'patternProperties';
    own += counts && typeof value === 'object' && value !== null ? Object.values(value).flat().length : 1;
  }
  const target = resolveRef(root, node['$ref']);
  if (isObject(target)) inPlace!.push(target);
  for (const [keyword, , schema] of subschemas(node)) {
    if (!isObject(schema) || keyword === '$defs') continue;
    if (IN_PLACE.has(keyword)) inPlace!.push(schema);
    else if (keyword === 'properties' || keyword === 'prefixItems') named!.push(schema);
    else every!.push(schema);
  }
  return { own, inPlace: inPlace!, named: named!, every: every! };
}

/** The nodes so that each stands after those that apply in place with it; null when they go round in a circle. */
function inPlaceOrder(parts: ReadonlyMap<SchemaObject, Parts>): readonly SchemaObject[] | null {
  const waiting = new Map<SchemaObject, number>();
  const users = new Map<SchemaObject, SchemaObject[]>([...parts.keys()].map((node) => [node, []]));
  for (const [node, { inPlace }] of parts) {
    waiting.set(node, inPlace.length);
    for (const part of inPlace) users.get(part)!.push(node);
  }
  const order = [...parts.keys()].filter((node) => waiting.get(node) === 0);
  for (const node of order) {
    for (const user of users.get(node)!) {
      const left = waiting.get(user)! - 1;
      waiting.set(user, left);
      if (left === 0) order.push(user);
    }
  }
  return order.length === parts.size ? order : null;
}

function sum(nodes: readonly SchemaObject[], cost: (node: SchemaObject) => number): number {
  return nodes.reduce((total, node) => total + cost(node), 0);
}
