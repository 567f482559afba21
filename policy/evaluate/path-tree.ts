import type { PathMatching } from '../bundle/types.ts';
import { decodeSegment, type NormalizedPath } from './normalize-path.ts';
import type { PathPattern } from './path-pattern.ts';

/** Receives what a walk finds. Returning true ends the walk. */
export interface PathVisitor<Leaf> {
  visit(leaf: Leaf): boolean;
}

class Node<Leaf> {
  readonly literals = new Map<string, Node<Leaf>>();
  parameter: Node<Leaf> | null = null;
  /** Patterns that end here, with and without a trailing slash. */
  leaf: Leaf | null = null;
  slashLeaf: Leaf | null = null;
  /** Patterns that go on with `**`. */
  rest: Leaf | null = null;
}

/** Path patterns as a tree of segments: one leaf for all patterns of one shape. */
export class PathTree<Leaf> {
  readonly #root = new Node<Leaf>();
  /** Leaves of patterns of plain literals by their whole path: one look-up for most requests. */
  readonly #exact = new Map<string, Leaf>();
  readonly #foldCase: boolean;
  readonly #ignoreSlash: boolean;
  #path = '';
  #end = 0;
  #encoded = false;

  constructor(matching: PathMatching) {
    this.#foldCase = matching.case === 'Insensitive';
    this.#ignoreSlash = matching.trailingSlash === 'Ignore';
  }

  /** The leaf for the pattern's shape, made by `create` when it is the first of its shape. */
  leafFor(pattern: PathPattern, create: () => Leaf): Leaf {
    let node = this.#root;
    let literal = '';
    for (const segment of pattern.segments) {
      if (segment.kind === 'parameter') {
        node.parameter ??= new Node();
        node = node.parameter;
        literal += '%';
        continue;
      }
      const text = this.#foldCase ? foldAscii(segment.text) : segment.text;
      let child = node.literals.get(text);
      if (child === undefined) {
        child = new Node();
        node.literals.set(text, child);
      }
      node = child;
      literal += `/${text}`;
    }
    if (pattern.rest) {
      node.rest ??= create();
      return node.rest;
    }
    if (pattern.trailingSlash && !this.#ignoreSlash) {
      node.slashLeaf ??= create();
      return node.slashLeaf;
    }
    node.leaf ??= create();
    // Only characters that a canonical path never encodes: then the path equals its decoded segments.
    if (/^[A-Za-z0-9._~/-]*$/.test(literal)) this.#exact.set(literal === '' ? '/' : literal, node.leaf);
    return node.leaf;
  }

  /**
   * Visits the leaves that match a path, the most specific first; that one perhaps twice. Not re-entrant: a visitor must
   * not walk this tree.
   */
  walk(path: NormalizedPath, visitor: PathVisitor<Leaf>): void {
    const compared = this.#foldCase ? path.toLowerCase() : path;
    const exact = this.#exact.get(compared);
    if (exact !== undefined && visitor.visit(exact)) return;
    this.#path = compared;
    this.#encoded = compared.includes('%');
    this.#end = compared.length > 1 && compared.endsWith('/') ? compared.length - 1 : compared.length;
    this.#descend(this.#root, 1, visitor);
  }

  /** `at`: where the next segment starts; each node is reached by one prefix of the path, so at most once. */
  #descend(node: Node<Leaf>, at: number, visitor: PathVisitor<Leaf>): boolean {
    if (at >= this.#end) {
      const slash = this.#end < this.#path.length && !this.#ignoreSlash;
      const leaf = slash ? node.slashLeaf : node.leaf;
      if (leaf !== null && visitor.visit(leaf)) return true;
      return node.rest !== null && visitor.visit(node.rest);
    }
    let next = this.#path.indexOf('/', at);
    if (next < 0) next = this.#end;
    if (node.literals.size > 0) {
      const raw = this.#path.slice(at, next);
      const child = node.literals.get(this.#encoded ? decodeSegment(raw) : raw);
      if (child !== undefined && this.#descend(child, next + 1, visitor)) return true;
    }
    if (node.parameter !== null && this.#descend(node.parameter, next + 1, visitor)) return true;
    return node.rest !== null && visitor.visit(node.rest);
  }
}

/**
 * How literals are compared under `case: Insensitive`. ASCII letters only: folding more (the Kelvin sign to `k`) would match
 * what no server takes for the same path.
 */
export function foldAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
