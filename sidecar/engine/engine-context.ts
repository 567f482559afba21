import type { ConnectionsConfig } from '../../policy/bundle/connections.ts';
import type { PathMatching } from '../../policy/bundle/types.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Filter } from '../pipeline/filter.ts';
import type { FilterFault } from '../pipeline/run-pipeline.ts';
import type { Application } from './application-client.ts';
import type { BodyBudget } from './body-collector.ts';
import type { CheckedHead } from './check-head.ts';
import type { ClientAddress } from './client-address.ts';
import type { CoarseClock } from './coarse-clock.ts';
import type { Tunnel, TunnelEnd } from './tunnel.ts';
import type { UpstreamTimeouts } from './upstream-connection.ts';
import type { UpstreamPool } from './upstream-pool.ts';

/** All that a policy decides about a request. Built when a bundle loads, swapped between two requests. */
export interface Pipeline {
  readonly filters: readonly Filter[];
  readonly pathMatching: PathMatching;
  readonly clientAddress: ClientAddress;
  readonly timeouts: UpstreamTimeouts;
  readonly connections: ConnectionRules;
  /** Answer headers that the policy decides alone: the application's own are dropped. Lower case. */
  readonly ownedAnswerHeaders: ReadonlySet<string>;
  /** The header lines that we add towards the application: forwarding, request id, identity. CRLF after each. */
  forwardLines(exchange: Exchange, peer: string, head: CheckedHead): string;
}

/** What the RateLimitPolicy says of connections; in Shadow what goes beyond is told and not carried out. */
export interface ConnectionRules {
  readonly config: ConnectionsConfig;
  readonly shadow: boolean;
}

/** What every transaction shares. */
export interface EngineContext {
  readonly upstreams: UpstreamPool;
  readonly application: Application;
  readonly onFilterFault: FilterFault;
  readonly clock: CoarseClock;
  readonly tunnels: Set<Tunnel>;
  readonly onTunnelEnd: (why: TunnelEnd) => void;
  readonly bodies: BodyBudget;
  draining: boolean;
}
