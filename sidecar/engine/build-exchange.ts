import { normalizePath } from '../../policy/evaluate/normalize-path.ts';
import { splitTarget } from '../../policy/evaluate/split-target.ts';
import { Exchange } from '../pipeline/exchange.ts';
import type { CheckedHead } from './check-head.ts';
import type { Pipeline } from './engine-context.ts';
import { isRequestId } from './request-ids.ts';
import type { ProtocolRefusal } from './rescue.ts';

/** When a request arrived: epoch milliseconds, and performance.now(). */
export interface Arrival {
  readonly receivedAt: number;
  readonly startedAt: number;
}

/** The exchange of a checked head as a policy reads it, or why it cannot be decided on. `nextId` is asked when no trusted peer gave an id. */
export function buildExchange(
  head: CheckedHead,
  peer: string,
  { pathMatching, clientAddress }: Pick<Pipeline, 'pathMatching' | 'clientAddress'>,
  nextId: () => string,
  { receivedAt, startedAt }: Arrival,
): Exchange | ProtocolRefusal {
  const target = splitTarget(head.target);
  if (target === null) return 'bad_target';
  const path = normalizePath(target.path, pathMatching);
  if (typeof path !== 'string') return 'bad_path';
  const trusted = head.requestId !== '' && clientAddress.trusts(peer) && isRequestId(head.requestId);
  return new Exchange(
    trusted ? head.requestId : nextId(),
    head.method,
    path,
    target.query,
    head.host,
    head.authority,
    head.headers,
    clientAddress.of(peer, head.forwardedFor),
    head.websocketKey !== '',
    receivedAt,
    startedAt,
  );
}
