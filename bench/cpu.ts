import {
  coreTicks,
  endedChildrenTicks,
  LOAD_CORE,
  PROXY_CORE,
  processTicks,
  TICKS_PER_SECOND,
} from './proc-readings.ts';

const MICROSECONDS_PER_TICK = 1e6 / TICKS_PER_SECOND;
// Shares of a core that others may use before a round counts as disturbed. On the proxy's core ticks are sampled at
// interrupts, so a few per cent are an artefact.
const FOREIGN_ON_PROXY_CORE = 0.05;
const FOREIGN_ON_LOAD_CORE = 0.2;
const STOLEN = 0.03;

/** What a generator of load saw. */
export interface LoadResult {
  readonly requests: number;
  /** Answers that were not 2xx, and broken connections. */
  readonly failed: number;
}

/** What a round cost, and what else the machine did meanwhile. Shares are of one core, 0 to 1. */
export interface CpuReading {
  /** CPU of the proxy per request, user and system. */
  readonly microseconds: number;
  /** CPU per request of each helper, in the order given. */
  readonly helperMicroseconds: readonly number[];
  /** Share of its core that the proxy used; below about 0.95 the load was the limit. */
  readonly coreUse: number;
  readonly requestsPerSecond: number;
  readonly foreignOnProxyCore: number;
  readonly foreignOnLoadCore: number;
  readonly stolen: number;
  readonly disturbed: boolean;
}

/** The processes of a round. */
export interface Measured {
  readonly proxy: number;
  readonly backend: number;
  /** Further processes of ours on the load's core, such as Redis. */
  readonly helpers: readonly number[];
}

/**
 * Runs `load` and adds what the proxy's process used for it. Rejects when no request was answered.
 * The load's own processes must have ended when it resolves.
 */
export async function measureCpu<L extends LoadResult>(
  { proxy, backend, helpers }: Measured,
  load: () => Promise<L>,
): Promise<L & CpuReading> {
  const read = () => ({
    at: performance.now(),
    proxy: processTicks(proxy),
    backend: processTicks(backend),
    helpers: helpers.map(processTicks),
    load: endedChildrenTicks(),
    proxyCore: coreTicks(PROXY_CORE),
    loadCore: coreTicks(LOAD_CORE),
  });
  const before = read();
  const result = await load();
  const after = read();
  if (result.requests === 0) throw new Error('no request was answered');

  const ticks = ((after.at - before.at) / 1_000) * TICKS_PER_SECOND;
  const used = after.proxy - before.proxy;
  const helpersUsed = after.helpers.map((value, i) => value - (before.helpers[i] as number));
  const oursOnLoadCore =
    after.backend - before.backend + (after.load - before.load) + helpersUsed.reduce((sum, value) => sum + value, 0);
  const foreignOnProxyCore = (after.proxyCore.busy - before.proxyCore.busy - used) / ticks;
  const foreignOnLoadCore = (after.loadCore.busy - before.loadCore.busy - oursOnLoadCore) / ticks;
  const stolen = (after.proxyCore.steal - before.proxyCore.steal) / ticks;
  return {
    ...result,
    microseconds: (used * MICROSECONDS_PER_TICK) / result.requests,
    helperMicroseconds: helpersUsed.map((value) => (value * MICROSECONDS_PER_TICK) / result.requests),
    coreUse: used / ticks,
    requestsPerSecond: (result.requests / ticks) * TICKS_PER_SECOND,
    foreignOnProxyCore,
    foreignOnLoadCore,
    stolen,
    disturbed:
      foreignOnProxyCore > FOREIGN_ON_PROXY_CORE || foreignOnLoadCore > FOREIGN_ON_LOAD_CORE || stolen > STOLEN,
  };
}

/** Says what disturbed a round, or nothing. */
export function disturbance(reading: CpuReading): string {
  if (!reading.disturbed) return '';
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  return `  disturbed: others used ${percent(reading.foreignOnProxyCore)} of the proxy's core, ${percent(reading.foreignOnLoadCore)} of the load's`;
}
