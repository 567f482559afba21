import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { KeySetSpec } from './spec.ts';
import { HOUR, MINUTE, rotating, SPEC } from './testing/fixtures.ts';
import { type Fate, Simulation, type Who } from './testing/simulation.ts';

const RUNS = Number(process.env['FC_RUNS'] ?? 200);
const PHYSICS = { propagationMs: MINUTE, clockSkewMs: MINUTE };
const FAST = rotating({ periodMs: 6 * HOUR, prePublishMs: HOUR, ackTimeoutMs: 2 * HOUR });

const who = fc.constantFrom<Who>(0, 1);
const pod = fc.constantFrom<'pod-a' | 'pod-b'>('pod-a', 'pod-b');

const change = fc.oneof(
  fc.record({ maxTokenLifetimeMs: fc.constantFrom(MINUTE, HOUR, 3 * HOUR) }),
  fc.record({ propagationMs: fc.constantFrom(MINUTE, 2 * MINUTE, 20 * MINUTE) }),
  fc.record({ jwksMaxAgeMs: fc.constantFrom(0, 10 * MINUTE, 2 * HOUR) }),
  fc.record({ clockSkewMs: fc.constantFrom(MINUTE, 5 * MINUTE) }),
  fc.record({ algorithm: fc.constantFrom<KeySetSpec['algorithm']>('ES256', 'RS256', 'HS256') }),
  fc.record({ rotateRequest: fc.constantFrom('one', 'two', 'three') }),
);

const rotationChange = fc.oneof(
  fc.record({ periodMs: fc.constantFrom(2 * HOUR, 6 * HOUR, 24 * HOUR) }),
  // Less than P + C + S too: the planner must not trust prePublish alone.
  fc.record({ prePublishMs: fc.constantFrom(0, HOUR, 3 * HOUR) }),
  fc.record({ maxKeys: fc.constantFrom(3, 4, 8) }),
  fc.record({ ackTimeoutMs: fc.constantFrom(0, 10 * MINUTE, 2 * HOUR) }),
  fc.record({ suspend: fc.boolean() }),
  fc.record({ notBefore: fc.constantFrom(null, 1_000_000_000_000 + 24 * HOUR, 1_000_000_000_000 + 72 * HOUR) }),
);

/** Plain data, so that a counterexample can be read. */
type Command =
  | { readonly move: Who; readonly times: number; readonly fate: Fate }
  | { readonly crash: Who }
  | { readonly settle: Who }
  | { readonly pass: number }
  | { readonly load: 'pod-a' | 'pod-b' }
  | { readonly skew: Who; readonly quarters: number }
  | { readonly change: Partial<KeySetSpec> }
  | { readonly rotation: Partial<KeySetSpec['rotation']> }
  | { readonly revoke: number };

function often<T extends Command>(weight: number, arbitrary: fc.Arbitrary<T>) {
  return { weight, arbitrary: arbitrary as fc.Arbitrary<Command> };
}

const fate = fc.constantFrom<Fate>('works', 'works', 'works', 'works', 'works', 'works', 'fails');

const command = fc.oneof(
  often(40, fc.record({ move: who, times: fc.integer({ min: 1, max: 9 }), fate })),
  often(4, fc.record({ crash: who })),
  often(12, fc.record({ settle: who })),
  often(12, fc.record({ pass: fc.integer({ min: 1, max: 3 * MINUTE }) })),
  often(12, fc.record({ pass: fc.integer({ min: MINUTE, max: 2 * HOUR }) })),
  often(8, fc.record({ pass: fc.integer({ min: HOUR, max: 12 * HOUR }) })),
  often(12, fc.record({ load: pod })),
  often(3, fc.record({ skew: who, quarters: fc.integer({ min: -4, max: 4 }) })),
  often(2, fc.record({ change })),
  often(2, fc.record({ rotation: rotationChange })),
  often(1, fc.record({ revoke: fc.nat(5) })),
);

function run(simulation: Simulation, command: Command): void {
  if ('move' in command) for (let time = 0; time < command.times; time++) simulation.move(command.move, command.fate);
  else if ('crash' in command) simulation.crash(command.crash);
  else if ('settle' in command) simulation.settle(command.settle);
  else if ('pass' in command) simulation.pass(command.pass);
  else if ('load' in command) simulation.load(command.load);
  else if ('skew' in command) simulation.skew(command.skew, command.quarters / 4);
  else if ('change' in command) simulation.respec((spec) => ({ ...spec, ...command.change }));
  else if ('rotation' in command) simulation.respec((spec) => rotating(command.rotation, spec));
  else simulation.revoke(command.revoke);
}

function check(t: TestContext, spec: KeySetSpec): void {
  const total = { runs: 0, activations: 0, writes: 0, conflicts: 0 };
  fc.assert(
    fc.property(fc.array(command, { minLength: 400, maxLength: 600, size: 'max' }), (commands) => {
      const simulation = new Simulation(spec, PHYSICS);
      for (const command of commands) run(simulation, command);
      simulation.restartsAgree();
      simulation.livesOn(4);
      total.runs++;
      total.activations += simulation.activations;
      total.writes += simulation.writes;
      total.conflicts += simulation.conflicts;
    }),
    // Bounds the search for a smaller counterexample; the runs themselves take a fifth of it.
    { numRuns: RUNS, interruptAfterTimeLimit: 30_000 + RUNS * 50 },
  );
  const { runs, activations, writes, conflicts } = total;
  t.diagnostic(`${runs} runs, ${activations} activations, ${writes} keyring writes, ${conflicts} conflicts`);
}

test('two controllers, crashes, wrong clocks, changing specs: properties 1 to 8, 10, 11 and 13 hold', (t) => {
  check(t, FAST);
});

test('the same with waits for ever on acknowledgements and a symmetric algorithm', (t) => {
  check(t, { ...rotating({ ackTimeoutMs: 0 }, FAST), algorithm: 'HS256' });
});

test('the same with the default durations', (t) => {
  check(t, SPEC);
});
