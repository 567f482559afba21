import type { Exchange } from './exchange.ts';
import type { Decision, Filter } from './filter.ts';
import { denial } from './filter.ts';

/** What a filter that throws answers with: an error in a decision denies (docs/security.md). */
export const FILTER_FAILED = denial('internal_error', 'authorize', 'a filter failed');

/** Told about filters that threw, so that the fault is logged and never swallowed. */
export type FilterFault = (filter: Filter, error: unknown) => void;

/**
 * Runs the request through the filters. Answers synchronously unless a filter returned a promise; denials of filters in
 * Shadow are written down on the exchange and passed over. `undefined` means: forward.
 */
export function runRequest(
  filters: readonly Filter[],
  exchange: Exchange,
  onFault: FilterFault,
): Decision | Promise<Decision> {
  return runFrom(filters, 0, exchange, onFault);
}

function runFrom(
  filters: readonly Filter[],
  start: number,
  exchange: Exchange,
  onFault: FilterFault,
): Decision | Promise<Decision> {
  for (let i = start; i < filters.length; i++) {
    const filter = filters[i] as Filter;
    exchange.entered = i + 1;
    if (filter.onRequest === undefined) continue;
    let decision: Decision | Promise<Decision>;
    try {
      decision = filter.onRequest(exchange);
    } catch (error) {
      onFault(filter, error);
      decision = FILTER_FAILED;
    }
    if (decision === undefined) continue;
    if (decision instanceof Promise) return resume(filters, i, exchange, onFault, decision);
    const settled = settle(filter, exchange, decision);
    if (settled !== undefined) return settled;
  }
  return undefined;
}

async function resume(
  filters: readonly Filter[],
  index: number,
  exchange: Exchange,
  onFault: FilterFault,
  pending: Promise<Decision>,
): Promise<Decision> {
  const filter = filters[index] as Filter;
  let decision: Decision;
  try {
    decision = await pending;
  } catch (error) {
    onFault(filter, error);
    decision = FILTER_FAILED;
  }
  const settled = decision === undefined ? undefined : settle(filter, exchange, decision);
  return settled ?? runFrom(filters, index + 1, exchange, onFault);
}

function settle(filter: Filter, exchange: Exchange, decision: Decision): Decision {
  if (filter.shadow !== true || decision === undefined) return decision;
  if (decision.kind === 'deny') {
    exchange.shadowDenials ??= [];
    exchange.shadowDenials.push(decision);
  }
  return undefined;
}

/** Lets every entered filter add to the answer's headers, in reverse order. */
export function runResponse(
  filters: readonly Filter[],
  exchange: Exchange,
  headers: string[],
  onFault: FilterFault,
): void {
  for (let i = exchange.entered - 1; i >= 0; i--) {
    const filter = filters[i] as Filter;
    if (filter.onResponse === undefined) continue;
    try {
      filter.onResponse(exchange, headers);
    } catch (error) {
      onFault(filter, error);
    }
  }
}

/** Tells every entered filter that the exchange is over, in reverse order. */
export function runFinish(filters: readonly Filter[], exchange: Exchange, onFault: FilterFault): void {
  for (let i = exchange.entered - 1; i >= 0; i--) {
    const filter = filters[i] as Filter;
    if (filter.onFinish === undefined) continue;
    try {
      filter.onFinish(exchange);
    } catch (error) {
      onFault(filter, error);
    }
  }
}
