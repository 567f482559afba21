import { type ASTNode, EvaluationError } from '@marcbachmann/cel-js';

type Evaluate = (evaluator: unknown, node: unknown, context: unknown) => unknown;

/** What the library keeps beside a node and leaves out of its types: how it is evaluated, and what a macro became. */
interface Evaluated {
  readonly op: string;
  readonly args: unknown;
  readonly meta: { readonly evaluate: Evaluate; readonly alternate?: Evaluated; readonly macro?: unknown };
  setMeta(key: 'evaluate', evaluate: Evaluate): void;
}

const MAX_STEPS = 100_000;
/** An error costs this many steps (its stack is captured) at every node it leaves. */
const ERROR_STEPS = 100;
/** Characters of a string, or items of a list, that count as one step. */
const SIZE_OF_STEP = 32;
/** Operators that compare whole values, however deep. */
const DEEP = new Set(['==', '!=', 'in']);
/** One for all: it may be thrown for each item of a loop. */
const EXHAUSTED = new EvaluationError('the expression takes too many steps on a value of this size');

/**
 * Bounds what one evaluation costs, for expressions over values as large as their sender pleases: at most 100,000 nodes
 * evaluated, where 32 characters or list items that a node gives count as one more; then evaluation throws. A loop that might
 * take more than what is left does not begin.
 */
export class CelMeter {
  #left = 0;

  /** Meters an expression. Must run after it is type-checked, because that chooses how its nodes are evaluated. */
  instrument(root: ASTNode): void {
    this.#visit(root);
  }

  /** Starts the budget of one evaluation. */
  reset(): void {
    this.#left = MAX_STEPS;
  }

  /** Meters `part` of an expression; `inspect` charges for what it gives beyond its size. Returns how many nodes it has. */
  #visit(part: unknown, inspect?: (value: unknown) => void): number {
    if (Array.isArray(part)) return part.reduce((count: number, item) => count + this.#visit(item, inspect), 0);
    if (!isNode(part)) return 0;
    let count = 1;
    if (part.op === 'rcall' && part.meta.alternate !== undefined) {
      const [, receiver, args] = part.args as [string, unknown, unknown];
      const inside = this.#visit(args);
      // Before the loop, because the library catches an error of one item and goes on to the next.
      count += inside + this.#visit(receiver, (value) => this.#require(lengthOf(value) * inside));
    } else {
      count += this.#visit(part.args, DEEP.has(part.op) ? (value) => this.#spendWhole(value) : undefined);
    }
    this.#wrap(part.meta.alternate ?? part, inspect);
    return count;
  }

  #wrap(node: Evaluated, inspect: ((value: unknown) => void) | undefined): void {
    if (node.meta.macro !== undefined) return; // has() evaluates only the variable inside it, which is metered
    const evaluate = node.meta.evaluate;
    node.setMeta('evaluate', (evaluator, self, context) => {
      this.#spend(1);
      let value: unknown;
      try {
        value = evaluate.call(self, evaluator, self, context);
      } catch (error) {
        this.#left -= ERROR_STEPS;
        throw error;
      }
      if (typeof value === 'string' || Array.isArray(value)) this.#spend(value.length / SIZE_OF_STEP);
      inspect?.(value);
      return value;
    });
  }

  #spend(steps: number): void {
    this.#left -= steps;
    this.#require(0);
  }

  #require(steps: number): void {
    if (this.#left < steps) throw EXHAUSTED;
  }

  #spendWhole(value: unknown): void {
    if (typeof value !== 'object' || value === null) return;
    for (const item of Object.values(value)) {
      this.#spend(typeof item === 'string' ? 1 + item.length / SIZE_OF_STEP : 1);
      this.#spendWhole(item);
    }
  }
}

function isNode(part: unknown): part is Evaluated {
  return typeof part === 'object' && part !== null && 'op' in part && 'args' in part;
}

function lengthOf(value: unknown): number {
  if (Array.isArray(value)) return value.length;
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
}
