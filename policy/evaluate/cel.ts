import { TypeError as CelTypeError, Environment, EvaluationError, ParseError } from '@marcbachmann/cel-js';
import { type CelReferences, checkCelNodes } from './cel-checks.ts';
import { Re2Matches } from './cel-matches.ts';
import { CelMeter } from './cel-meter.ts';
import { type ConditionContext, ConditionSource } from './condition-context.ts';

/**
 * Where an expression stands: a rule's `when`; a tier's, which sees no path parameters; a rule about a request's body, which
 * sees `body` too.
 */
export type CelEnvironment = 'rule' | 'tier' | 'body';

/** A checked expression. */
export interface CelExpression {
  /** The expression's value. Throws for every error in it (a missing key, a wrong type): the caller denies. */
  evaluate(context: ConditionContext): boolean;
  readonly references: CelReferences;
}

/** A checked expression, or what is wrong with it; `position` is a zero-based offset into the source. */
export type CelResult =
  | { readonly ok: true; readonly value: CelExpression }
  | { readonly ok: false; readonly message: string; readonly position: number };

const MAX_SOURCE_LENGTH = 2048;
const LIMITS = { maxAstNodes: 256, maxDepth: 24, maxListElements: 64, maxMapEntries: 64, maxCallArguments: 8 };

const VARIABLES = {
  claims: 'map<string, dyn>',
  headers: 'map<string, string>',
  method: 'string',
  now: 'google.protobuf.Timestamp',
  query: 'map<string, string>',
  source: 'Source',
} as const;

const tierEnvironment = new Environment({ limits: LIMITS }).registerType('Source', {
  ctor: ConditionSource,
  fields: { ip: 'string' },
});
for (const [name, type] of Object.entries(VARIABLES)) tierEnvironment.registerVariable(name, type);
const ruleEnvironment = tierEnvironment.clone().registerVariable('path', 'map<string, string>');
const environments: Readonly<
  Record<CelEnvironment, { readonly base: Environment; readonly names: readonly string[] }>
> = {
  tier: { base: tierEnvironment, names: Object.keys(VARIABLES) },
  rule: { base: ruleEnvironment, names: [...Object.keys(VARIABLES), 'path'] },
  body: {
    base: ruleEnvironment.clone().registerVariable('body', 'dyn'),
    names: [...Object.keys(VARIABLES), 'path', 'body'],
  },
};

/**
 * Compiles a condition in CEL: it must be of type bool, of bounded length, depth and worst-case steps, and
 * its regular expressions literal RE2. About a body, whose lists may be long, steps are counted while it is evaluated.
 */
export function compileCel(source: string, environment: CelEnvironment): CelResult {
  if (source.length > MAX_SOURCE_LENGTH) {
    return refuse(`expression is ${source.length} characters long; write at most ${MAX_SOURCE_LENGTH}`, 0);
  }
  const matches = new Re2Matches();
  try {
    const program = matches.register(environments[environment].base.clone()).parse(source);
    const meter = environment === 'body' ? new CelMeter() : null;
    const checked = checkCelNodes(program.ast, matches, meter === null);
    if (!checked.ok) return checked;
    const { valid, type, error } = program.check();
    if (!valid) return refuseError(error, environment);
    if (type !== 'bool') return refuse(`expression is of type ${type}, not bool; compare it, as in \`… == true\``, 0);
    meter?.instrument(program.ast);
    return {
      ok: true,
      value: {
        references: checked.references,
        evaluate(context) {
          matches.reset();
          meter?.reset();
          const value: unknown = program(context);
          if (typeof value !== 'boolean') throw new EvaluationError('the expression gave no bool');
          return value;
        },
      },
    };
  } catch (error) {
    return refuseError(error, environment);
  }
}

function refuseError(error: unknown, environment: CelEnvironment): CelResult {
  if (!(error instanceof ParseError || error instanceof CelTypeError || error instanceof EvaluationError)) throw error;
  const summary = error.summary.replace(Re2Matches.FUNCTION, 'matches');
  const position = error.range?.start ?? 0;
  if (summary.startsWith('Exceeded max')) return refuse(`${summary}; write a shorter, flatter expression`, position);
  if (error.code !== 'unknown_variable') return refuse(summary, position);
  return refuse(`${summary}; there are ${environments[environment].names.toSorted().join(', ')}`, position);
}

function refuse(message: string, position: number): { ok: false; message: string; position: number } {
  return { ok: false, message, position };
}
