import type { PathMatching } from '../../policy/bundle/types.ts';
import { normalizePath } from '../../policy/evaluate/normalize-path.ts';
import { Exchange } from '../pipeline/exchange.ts';

/**
 * A request that is over, as a candidate sees it from its beginning; null: its path is one that the candidate's `pathMatching`
 * refuses. `query`: as the client wrote it. `receivedAt`: when it is to have come. The client's address is the one that the live policies found.
 */
export function candidateExchange(
  live: Exchange,
  query: string,
  matching: PathMatching,
  receivedAt: number,
): Exchange | null {
  const path = normalizePath(live.path, matching);
  if (typeof path !== 'string') return null;
  const { id, method, host, authority, headers, clientAddress, upgrade, startedAt } = live;
  return new Exchange(id, method, path, query, host, authority, headers, clientAddress, upgrade, receivedAt, startedAt);
}
