import { randomInt } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { KeySetAlgorithm } from './algorithms.ts';
import type { KeySetSpec } from './spec.ts';
import { type Command, commandsFor, run } from './testing/commands.ts';
import { HOUR, MINUTE, rotating, SPEC } from './testing/fixtures.ts';
import { shortest } from './testing/shortest.ts';
import { Simulation } from './testing/simulation.ts';
import { livesOn, restartsAgree } from './testing/trials.ts';

/** Each run has a seed of its own, counted from the first: FC_SEED=<seed> FC_RUNS=1 runs that one again. */
const RUNS = Number(process.env['FC_RUNS'] ?? 200);
const FIRST_SEED = Number(process.env['FC_SEED'] ?? randomInt(1_000_000_000));
const PHYSICS = { propagationMs: MINUTE, clockSkewMs: MINUTE, jwksMaxAgeMs: 2 * HOUR };
const FAST: KeySetSpec = {
  ...rotating({ periodMs: 6 * HOUR, prePublishMs: HOUR, ackTimeoutMs: 2 * HOUR }),
  escrow: { recipientsSecret: 'ops', required: true },
};
const LIFETIMES = [MINUTE, HOUR, 3 * HOUR];

interface Kind {
  readonly name: string;
  readonly spec: KeySetSpec;
  readonly algorithms: readonly KeySetAlgorithm[];
  readonly lifetimes: readonly (number | null)[];
}

const kinds: readonly Kind[] = [
  {
    name: 'key pairs that become others',
    spec: FAST,
    algorithms: ['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256', 'HS256'],
    lifetimes: LIFETIMES,
  },
  {
    name: 'secrets, and waits for ever on acknowledgements',
    spec: { ...rotating({ ackTimeoutMs: 0 }, FAST), algorithm: 'HS256' },
    algorithms: ['HS256', 'HS384', 'HS512', 'ES256'],
    lifetimes: LIFETIMES,
  },
  { name: 'the default durations, without escrow', spec: SPEC, algorithms: ['ES256'], lifetimes: LIFETIMES },
  {
    name: 'Fernet, with tokens that live for ever at times',
    spec: { ...FAST, algorithm: 'Fernet' },
    algorithms: ['Fernet'],
    lifetimes: [...LIFETIMES, null],
  },
];

/** Lives through a story and four quiet periods after it. Throws on a broken promise. */
function live(spec: KeySetSpec, story: readonly Command[]): Simulation {
  const simulation = new Simulation(spec, PHYSICS);
  for (const command of story) run(simulation, command);
  restartsAgree(simulation);
  livesOn(simulation, 4);
  return simulation;
}

function isBroken(spec: KeySetSpec, story: readonly Command[]): boolean {
  try {
    live(spec, story);
    return false;
  } catch {
    return true;
  }
}

/** As `live`; what breaks a promise is shown as short as it can be. */
function liveOrShow(t: TestContext, spec: KeySetSpec, story: readonly Command[], seed: number): Simulation {
  try {
    return live(spec, story);
  } catch {
    const short = shortest(story, (part) => isBroken(spec, part));
    t.diagnostic(`FC_SEED=${seed} FC_RUNS=1 breaks a promise:`);
    for (const command of short) t.diagnostic(JSON.stringify(command));
    return live(spec, short);
  }
}

function check(t: TestContext, { spec, algorithms, lifetimes }: Kind): void {
  const stories = commandsFor(algorithms, lifetimes);
  const total: Record<string, number> = {};
  for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
    const [story = []] = fc.sample(stories, { seed, numRuns: 1, unbiased: true });
    const { count, readers } = liveOrShow(t, spec, story, seed);
    for (const [name, number] of Object.entries({ ...count, tokensVerified: readers.verified })) {
      total[name] = (total[name] ?? 0) + number;
    }
  }
  const counts = Object.entries(total).map(([name, number]) => `${name} ${number}`);
  t.diagnostic(`seeds ${FIRST_SEED} to ${FIRST_SEED + RUNS - 1}: ${counts.join(', ')}`);
}

for (const kind of kinds) {
  test(`two controllers, crashes, clocks, losses, restores, deletions: all properties hold: ${kind.name}`, (t) => {
    check(t, kind);
  });
}
