import fc from 'fast-check';
import type { KeySetAlgorithm } from '../algorithms.ts';
import type { DeletionSpec, EscrowSpec, KeySetSpec } from '../spec.ts';
import { HOUR, MINUTE } from './fixtures.ts';
import type { Fate } from './simulated-controller.ts';
import { PODS, type PodName } from './simulated-readers.ts';
import type { Loss, Remedy, Simulation, Who } from './simulation.ts';
import { settle } from './trials.ts';

/** What happens next; plain data, so that a counterexample can be read. */
export type Command =
  | { readonly move: Who; readonly times: number; readonly fate: Fate }
  | { readonly crash: Who }
  | { readonly settle: Who }
  | { readonly pass: number }
  | { readonly load: PodName }
  | { readonly fetch: PodName }
  | { readonly stick: PodName; readonly stuck: boolean }
  | { readonly skew: Who; readonly quarters: number }
  | { readonly change: Partial<KeySetSpec> }
  | { readonly rotation: Partial<KeySetSpec['rotation']> }
  | { readonly revoke: number }
  | { readonly escrow: EscrowSpec | null; readonly recipients: readonly string[] | null }
  | { readonly tamper: 'outputs' | 'exports' }
  | { readonly lose: Loss }
  | { readonly rollBack: number }
  | { readonly remedy: Remedy }
  | { readonly remake: DeletionSpec['policy']; readonly turns: readonly Who[] };

const who = fc.constantFrom<Who>(0, 1);
const pod = fc.constantFrom<PodName>(...PODS);
const fate = fc.constantFrom<Fate>('works', 'works', 'works', 'works', 'works', 'works', 'fails', 'crashes');

const rotation = fc.oneof(
  fc.record({ periodMs: fc.constantFrom(2 * HOUR, 6 * HOUR, 24 * HOUR) }),
  // Less than P + C + S too: the planner must not trust prePublish alone.
  fc.record({ prePublishMs: fc.constantFrom(0, HOUR, 3 * HOUR) }),
  fc.record({ maxKeys: fc.constantFrom(3, 4, 8) }),
  fc.record({ ackTimeoutMs: fc.constantFrom(0, 10 * MINUTE, 2 * HOUR) }),
  fc.record({ suspend: fc.boolean() }),
  fc.record({ notBefore: fc.constantFrom(null, 1_000_000_000_000 + 24 * HOUR, 1_000_000_000_000 + 72 * HOUR) }),
);

const escrow = fc.record({
  escrow: fc.constantFrom<EscrowSpec | null>(
    null,
    { recipientsSecret: 'ops', required: true },
    { recipientsSecret: 'ops', required: false },
  ),
  recipients: fc.constantFrom(null, ['AAAA'], ['AAAA', 'BBBB'], ['BBBB']),
});

const loss = fc.record({
  keyring: fc.boolean(),
  outputs: fc.boolean(),
  exports: fc.boolean(),
  escrow: fc.constantFrom(false, false, false, true),
  status: fc.boolean(),
});

const remedy = fc.constantFrom<Remedy>('Escrow', 'Escrow', 'Escrow', 'Backup', 'AcceptLoss', 'AcceptWrongSerial');

function often<T extends Command>(weight: number, arbitrary: fc.Arbitrary<T>) {
  return { weight, arbitrary: arbitrary as fc.Arbitrary<Command> };
}

/** What may happen to a set of these algorithms, whose tokens live for these times (null: for ever). */
export function commandsFor(
  algorithms: readonly KeySetAlgorithm[],
  lifetimes: readonly (number | null)[],
): fc.Arbitrary<Command[]> {
  const change = fc.oneof(
    fc.record({ maxTokenLifetimeMs: fc.constantFrom(...lifetimes) }),
    fc.record({ propagationMs: fc.constantFrom(MINUTE, 2 * MINUTE, 20 * MINUTE) }),
    fc.record({ jwksMaxAgeMs: fc.constantFrom(0, 10 * MINUTE, 2 * HOUR) }),
    fc.record({ clockSkewMs: fc.constantFrom(MINUTE, 5 * MINUTE) }),
    fc.record({ algorithm: fc.constantFrom(...algorithms) }),
    fc.record({ rotateRequest: fc.constantFrom('one', 'two', 'three') }),
  );
  const command = fc.oneof(
    often(40, fc.record({ move: who, times: fc.integer({ min: 1, max: 9 }), fate })),
    often(4, fc.record({ crash: who })),
    often(16, fc.record({ settle: who })),
    often(10, fc.record({ pass: fc.integer({ min: 1, max: 3 * MINUTE }) })),
    often(12, fc.record({ pass: fc.integer({ min: MINUTE, max: 2 * HOUR }) })),
    often(10, fc.record({ pass: fc.integer({ min: HOUR, max: 12 * HOUR }) })),
    often(8, fc.record({ load: pod })),
    often(3, fc.record({ fetch: pod })),
    often(2, fc.record({ stick: pod, stuck: fc.constantFrom(false, false, true) })),
    often(3, fc.record({ skew: who, quarters: fc.integer({ min: -4, max: 4 }) })),
    often(2, fc.record({ change })),
    often(2, fc.record({ rotation })),
    often(1, fc.record({ revoke: fc.nat(5) })),
    often(2, escrow),
    often(1, fc.record({ tamper: fc.constantFrom<'outputs' | 'exports'>('outputs', 'exports') })),
    often(1, fc.record({ lose: loss })),
    often(1, fc.record({ rollBack: fc.nat(3) })),
    often(10, fc.record({ remedy })),
    often(
      1,
      fc.record({
        remake: fc.constantFrom<DeletionSpec['policy']>('Retain', 'Delete'),
        turns: fc.array(who, { minLength: 1, maxLength: 7 }),
      }),
    ),
  );
  return fc.array(command, { maxLength: 1000, size: 'max' });
}

/** Makes it happen. */
export function run(simulation: Simulation, command: Command): void {
  if ('move' in command) for (let time = 0; time < command.times; time++) simulation.move(command.move, command.fate);
  else if ('crash' in command) simulation.crash(command.crash);
  else if ('settle' in command) settle(simulation, command.settle);
  else if ('pass' in command) simulation.pass(command.pass);
  else if ('load' in command) simulation.load(command.load);
  else if ('fetch' in command) simulation.fetch(command.fetch);
  else if ('stick' in command) simulation.stick(command.stick, command.stuck);
  else if ('skew' in command) simulation.skew(command.skew, command.quarters / 4);
  else if ('change' in command) simulation.respec(command.change);
  else if ('rotation' in command) {
    simulation.respec({ rotation: { ...simulation.spec.rotation, ...command.rotation } });
  } else if ('revoke' in command) simulation.revoke(command.revoke);
  else if ('escrow' in command) {
    simulation.respec({ escrow: command.escrow });
    simulation.recipients = command.recipients;
  } else if ('tamper' in command) simulation.tamper(command.tamper);
  else if ('lose' in command) simulation.lose(command.lose);
  else if ('rollBack' in command) simulation.rollBack(command.rollBack);
  else if ('remedy' in command) simulation.remedy(command.remedy);
  else simulation.remake(command.remake, command.turns);
}
