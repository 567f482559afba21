import type { ASTNode } from '@marcbachmann/cel-js';
import { Re2Matches } from './cel-matches.ts';

/** What an expression reads. */
export interface CelReferences {
  /** Names of the variables. */
  readonly variables: ReadonlySet<string>;
  /** Path parameters that are named outright, `path.id` or `path["id"]`. */
  readonly pathParameters: ReadonlySet<string>;
}

type Checked =
  | { readonly ok: true; readonly references: CelReferences }
  | { readonly ok: false; readonly message: string; readonly position: number };

/** Nodes visited at worst. */
const MAX_STEPS = 100_000;
/** The longest list that a token of 8 KiB or a header can hold, near enough. */
const LIST_LENGTH = 4096;
const MAX_SPLIT = 1000;
const COMPREHENSIONS = new Set(['all', 'exists', 'exists_one', 'filter', 'map']);

class Refusal extends Error {
  readonly position: number;

  constructor(message: string, node: ASTNode) {
    super(message);
    this.position = node.range.start;
  }
}

/**
 * Bounds the cost of a parsed expression, collects what it reads and hands its regular expressions to RE2. Must run before
 * the expression is type-checked, because calls of `matches` are renamed.
 * @param boundSteps whether to refuse what may take too many steps; false for what a meter bounds
 */
export function checkCelNodes(root: ASTNode, matches: Re2Matches, boundSteps: boolean): Checked {
  const checks = new CelChecks(matches);
  try {
    if (checks.steps(root) > MAX_STEPS && boundSteps) {
      throw new Refusal(
        'expression may take too many steps; do not loop over one list inside a loop over another',
        root,
      );
    }
    return { ok: true, references: checks };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { ok: false, message: error.message, position: error.position };
  }
}

class CelChecks implements CelReferences {
  readonly variables = new Set<string>();
  readonly pathParameters = new Set<string>();
  readonly #matches: Re2Matches;
  /** Variables of the comprehensions around the node, which hide those of the request. */
  readonly #bound: string[] = [];

  constructor(matches: Re2Matches) {
    this.#matches = matches;
  }

  /** Nodes that evaluating `node` visits at worst. */
  steps(node: ASTNode): number {
    switch (node.op) {
      case 'value':
        return 1;
      case 'id':
        if (!this.#bound.includes(node.args)) this.variables.add(node.args);
        return 1;
      case '.':
      case '.?':
        this.#noteField(node.args[0], node.args[1], node);
        return 1 + this.steps(node.args[0]);
      case '[]':
      case '[?]': {
        const key = node.args[1];
        if (key.op === 'value' && typeof key.args === 'string') this.#noteField(node.args[0], key.args, node);
        return 1 + this.#sum(node.args);
      }
      case 'in':
        return 1 + this.#sum(node.args) + listLength(node.args[1]);
      case 'call':
        if (node.args[0] === 'matches') throw new Refusal('matches is a method; write text.matches("pattern")', node);
        return 1 + this.#sum(node.args[1]);
      case 'rcall':
        return this.#method(node.args[0], node.args[1], node.args[2], node);
      case 'list':
        return 1 + this.#sum(node.args);
      case 'map':
        return 1 + this.#sum(node.args.flat());
      case '!_':
      case '-_':
        return 1 + this.steps(node.args);
      default:
        return 1 + this.#sum(node.args);
    }
  }

  #sum(nodes: readonly ASTNode[]): number {
    return nodes.reduce((total, node) => total + this.steps(node), 0);
  }

  #method(name: string, receiver: ASTNode, args: readonly ASTNode[], node: ASTNode & { op: 'rcall' }): number {
    const steps = 1 + this.steps(receiver);
    const variable = args[0];
    if (COMPREHENSIONS.has(name) && variable?.op === 'id' && args.length > 1) {
      this.#bound.push(variable.args);
      const body = this.#sum(args.slice(1));
      this.#bound.pop();
      return steps + listLength(receiver) * (1 + body);
    }
    if (name === 'bind') throw new Refusal('cel.bind is not supported; write the value out where it is used', node);
    if (name === 'matches') this.#usePattern(variable, node);
    if (name === 'split' && splitLimit(args) === null) {
      throw new Refusal(`split needs a limit from 1 to ${MAX_SPLIT}; write split(",", 100)`, node);
    }
    return steps + this.#sum(args);
  }

  #usePattern(pattern: ASTNode | undefined, node: ASTNode & { op: 'rcall' }): void {
    if (pattern?.op !== 'value' || typeof pattern.args !== 'string') {
      throw new Refusal('matches takes a literal pattern; write text.matches("pattern")', node);
    }
    const problem = this.#matches.add(pattern.args);
    if (problem !== null) throw new Refusal(problem, pattern);
    node.args[0] = Re2Matches.FUNCTION;
  }

  #noteField(object: ASTNode, field: string, node: ASTNode): void {
    if (object.op !== 'id' || this.#bound.includes(object.args)) return;
    if (object.args === 'path') this.pathParameters.add(field);
    if (object.args === 'headers' && field !== field.toLowerCase()) {
      throw new Refusal(`header names are lower case here; write headers["${field.toLowerCase()}"]`, node);
    }
  }
}

function listLength(node: ASTNode): number {
  if (node.op === 'list' || node.op === 'map') return node.args.length;
  if (node.op !== 'rcall') return LIST_LENGTH;
  const [name, receiver, args] = node.args;
  if (name === 'filter' || name === 'map') return listLength(receiver);
  return (name === 'split' ? splitLimit(args) : null) ?? LIST_LENGTH;
}

function splitLimit(args: readonly ASTNode[]): number | null {
  const limit = args[1];
  if (limit?.op !== 'value' || typeof limit.args !== 'bigint') return null;
  return limit.args >= 1n && limit.args <= BigInt(MAX_SPLIT) ? Number(limit.args) : null;
}
