import { type Environment, EvaluationError } from '@marcbachmann/cel-js';
import { RE2JS, RE2JSException } from 're2js';
import type { ParseResult } from './parse-result.ts';

const MAX_PROGRAM_SIZE = 250;
const MAX_CHARACTERS = 16_384;

/** Compiles a regular expression by RE2 (linear time): at most 250 instructions. */
export function compilePattern(pattern: string): ParseResult<RE2JS> {
  try {
    const value = RE2JS.compile(pattern);
    if (value.programSize() <= MAX_PROGRAM_SIZE) return { ok: true, value };
    return { ok: false, message: `pattern "${pattern}" is too large; write smaller repeat counts` };
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    const remedy = 'write RE2 syntax: no lookahead, lookbehind or backreferences';
    return { ok: false, message: `pattern "${pattern}" is refused by RE2 (${error.message}); ${remedy}` };
  }
}

/** The regular expressions of one CEL expression, run by RE2 (linear time) in place of the library's native RegExp. */
export class Re2Matches {
  /** The method that calls of `matches` are renamed to. */
  static readonly FUNCTION = 'matchesRe2';
  readonly #patterns = new Map<string, RE2JS>();
  #charactersLeft = MAX_CHARACTERS;

  /** Adds the method to an environment. */
  register(environment: Environment): Environment {
    return environment.registerFunction(`string.${Re2Matches.FUNCTION}(string): bool`, this.#matches, { async: false });
  }

  /** Compiles a pattern; a message when RE2 refuses it. */
  add(pattern: string): string | null {
    const compiled = compilePattern(pattern);
    if (!compiled.ok) return compiled.message;
    this.#patterns.set(pattern, compiled.value);
    return null;
  }

  /** Starts the budget of one evaluation: 16,384 characters of input over all its matches. */
  reset(): void {
    this.#charactersLeft = MAX_CHARACTERS;
  }

  readonly #matches = (text: string, pattern: string): boolean => {
    this.#charactersLeft -= text.length;
    const compiled = this.#patterns.get(pattern);
    if (compiled === undefined || this.#charactersLeft < 0) {
      throw new EvaluationError('matches was given more text than one evaluation may search');
    }
    return compiled.test(text);
  };
}
