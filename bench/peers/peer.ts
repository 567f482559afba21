import type { Child } from '../children.ts';
import type { Lab } from '../lab.ts';
import { type Probe, statusOf, untilReady } from '../probe.ts';
import type { TokenSet } from '../tokens.ts';

/** A proxy with its policy: who may read /orders (JWT, role), how often (one limit a user). */
export interface Peer {
  readonly name: string;
  readonly tokens: TokenSet;
  /** File of a JSON body that is posted; without: GET. */
  readonly body?: string;
  /** Starts it on the proxy's core in front of `upstreamPort`; it may not be ready yet. */
  launch(lab: Lab, upstreamPort: number): Promise<LaunchedPeer>;
}

/** A proxy that was started. */
export interface LaunchedPeer {
  readonly child: Child;
  readonly port: number;
  /** Answers 200 once the proxy enforces its policy. */
  readonly ready: Probe;
  /** Its access log, when it writes one. */
  readonly logFile: string | null;
}

/** Starts a proxy, waits until it is ready and checks that it enforces the policy. */
export async function startPeer(peer: Peer, lab: Lab, upstreamPort: number): Promise<LaunchedPeer> {
  const launched = await peer.launch(lab, upstreamPort);
  await untilReady(launched.child, launched.ready);
  await checkPolicy(peer, launched.port);
  return launched;
}

/** Throws when a proxy lets through what it should refuse, or the reverse: its cost would then mean nothing. */
async function checkPolicy({ name, tokens }: Peer, port: number): Promise<void> {
  const cases: readonly (readonly [string, string | undefined, number])[] = [
    ['a good token', tokens.good, 200],
    ['the same again', tokens.good, 200],
    ['no token', undefined, 401],
    ['a tampered token', tokens.tampered, 401],
    ['a token of another role', tokens.wrongRole, 403],
  ];
  for (const [what, token, expected] of cases) {
    const status = await statusOf({ port, path: '/orders', ...(token === undefined ? {} : { token }) });
    if (status !== expected) throw new Error(`${name} answered ${status} to ${what}, not ${expected}`);
  }
}
