import type { PathMatching } from '../../policy/bundle/types.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Filter } from '../pipeline/filter.ts';
import type { FilterFault } from '../pipeline/run-pipeline.ts';
import type { BodyBudget } from './body-collector.ts';
import type { CheckedHead } from './check-head.ts';
import type { ClientAddress } from './client-address.ts';
import type { Tunnel } from './tunnel.ts';
import type { UpstreamTimeouts } from './upstream-connection.ts';
import type { UpstreamPool } from './upstream-pool.ts';

/** All that a policy decides about a request. Built when a bundle loads, swapped between two requests. */
export interface Pipeline {
  readonly filters: readonly Filter[];
  readonly pathMatching: PathMatching;
  readonly clientAddress: ClientAddress;
  readonly timeouts: UpstreamTimeouts;
  /** Answer headers that the policy decides alone: the application's own are dropped. Lower case. */
  readonly ownedAnswerHeaders: ReadonlySet<string>;
  /** The header lines that we add towards the application: forwarding, request id, identity. CRLF after each. */
  forwardLines(exchange: Exchange, peer: string, head: CheckedHead): string;
}

/** What every transaction shares. */
export interface EngineContext {
  readonly upstreams: UpstreamPool;
  readonly onFilterFault: FilterFault;
  readonly tunnels: Set<Tunnel>;
  readonly bodies: BodyBudget;
  draining: boolean;
}
