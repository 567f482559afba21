import type { LoadMonitor } from '../load/load-monitor.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { denial, type Filter } from '../pipeline/filter.ts';

const OVERLOADED = denial('overloaded', 'shed', 'the event loop is late', ['retry-after', '1']);

/**
 * Refuses what there is no time for before anything is spent on it. `mayBeReserved`: cheaply, whether a Reserved lane could admit a
 * request; those pass. It belongs to no policy, and holds in Shadow too: a sidecar that falls over decides nothing.
 */
export function shed(
  load: Pick<LoadMonitor, 'admits'>,
  mayBeReserved: ((exchange: Exchange) => boolean) | null,
): Filter {
  return {
    name: 'shed',
    onRequest: (exchange) => {
      if (mayBeReserved?.(exchange) === true || load.admits()) return undefined;
      return OVERLOADED;
    },
  };
}
