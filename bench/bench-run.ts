import type { Backend } from './backend.ts';
import type { Lab } from './lab.ts';
import type { BenchOptions } from './options.ts';
import type { LaunchedPeer, Peer } from './peers/peer.ts';
import { startPeer } from './peers/peer.ts';

/** What every part of a run gets. */
export interface BenchRun {
  readonly lab: Lab;
  readonly options: BenchOptions;
  readonly backend: Backend;
  /** Null: not to be had; the parts leave Envoy out. */
  readonly envoyBinary: string | null;
  /** Whether redis-server is there. */
  readonly hasRedis: boolean;
  /** Progress, for people. */
  say(line: string): void;
  /** Notes that something was left out or went wrong; printed with the results. */
  note(line: string): void;
}

/** A proxy that runs and is ready to be measured. */
export interface Case {
  readonly peer: Peer;
  readonly launched: LaunchedPeer;
}

/** Starts proxies one after the other; one that fails is noted and left out. */
export async function startCases(run: BenchRun, peers: readonly Peer[]): Promise<Case[]> {
  const cases: Case[] = [];
  for (const peer of peers) {
    try {
      cases.push({ peer, launched: await startPeer(peer, run.lab, run.backend.port) });
    } catch (error) {
      run.note(`left out: ${peer.name}: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
    }
  }
  return cases;
}

/** Stops the proxies of a part. */
export async function stopCases(run: BenchRun, cases: readonly Case[]): Promise<void> {
  await Promise.all(cases.map(({ launched }) => run.lab.children.stop(launched.child)));
}

/** Measures case after case, `rounds` times over, so that a slow drift of the machine meets them all; a disturbed round is repeated. */
export async function interleave<C, R extends { readonly disturbed: boolean }>(
  { options }: BenchRun,
  cases: readonly C[],
  measure: (of: C, round: number) => Promise<R>,
): Promise<ReadonlyMap<C, readonly R[]>> {
  const results = new Map<C, R[]>(cases.map((of) => [of, []]));
  for (let round = 0; round < options.rounds; round++) {
    for (const of of cases) {
      let result = await measure(of, round);
      for (let again = 0; result.disturbed && again < options.repeats; again++) result = await measure(of, round);
      results.get(of)?.push(result);
    }
  }
  return results;
}
