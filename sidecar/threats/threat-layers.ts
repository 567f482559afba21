import type { LimitsBundle, PathMatching } from '../../policy/bundle/types.ts';
import type { LogSink } from '../../runtime/log.ts';
import { blockLayers } from '../filters/blocklist.ts';
import { threats, type Watch } from '../filters/threats.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import type { Filter } from '../pipeline/filter.ts';
import type { BlockStore } from '../stores/blocks.ts';
import type { Stores } from '../stores/open-stores.ts';
import { compileOffences } from './offences.ts';
import { securityLog } from './security-log.ts';

/** What the layers are made from. */
export interface ThreatParts {
  /** Null where no RateLimitPolicy applies. */
  readonly limits: LimitsBundle | null;
  readonly stores: Stores;
  readonly metrics: PolicyMetrics;
  readonly sink: LogSink;
  readonly pathMatching: PathMatching;
}

/** All layers about attackers; null: the policy has nothing for them to do. */
export interface ThreatLayers {
  readonly watch: Filter;
  readonly blocklist: Filter | null;
  readonly blocklistBySubject: Filter | null;
  readonly throttle: Filter | null;
}

/** The measures that a policy's pods share; null: it names neither penalties nor threats. */
export function measuresOf(limits: LimitsBundle | null, stores: Stores | null): BlockStore | null {
  if (limits === null || stores === null) return null;
  return limits.penalties === undefined && limits.threats === undefined ? null : stores.blocksOf(limits.mode);
}

/**
 * Builds the layers. Security events are told under every policy; offences are counted under one that names some.
 * @throws PortcullisError `bundle_invalid`
 */
export function threatLayers({ limits, stores, metrics, sink, pathMatching }: ThreatParts): ThreatLayers {
  const log = securityLog(sink, metrics, limits?.mode === 'Shadow');
  const blocks = measuresOf(limits, stores);
  if (limits === null || blocks === null) {
    const watch = threats({ log, metrics, pathMatching, watch: null });
    return { watch, blocklist: null, blocklistBySubject: null, throttle: null };
  }
  const watched: Watch = { bundle: limits, blocks, offences: compileOffences(limits, log, Date.now) };
  const layers = blockLayers({ bundle: limits, blocks, limiter: stores.limiter });
  return {
    watch: threats({ log, metrics, pathMatching, watch: watched }),
    blocklist: layers.byAddress,
    blocklistBySubject: layers.bySubject,
    throttle: layers.throttle,
  };
}
