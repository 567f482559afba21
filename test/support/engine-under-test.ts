import { randomBytes } from 'node:crypto';
import { type ConnectionsConfig, DEFAULT_CONNECTIONS } from '../../policy/bundle/connections.ts';
import { compileClientAddress } from '../../sidecar/engine/client-address.ts';
import { Engine } from '../../sidecar/engine/engine.ts';
import type { Pipeline } from '../../sidecar/engine/engine-context.ts';
import { createRequestIds } from '../../sidecar/engine/request-ids.ts';
import type { TlsListening } from '../../sidecar/engine/tls-listener.ts';
import type { UpstreamTimeouts } from '../../sidecar/engine/upstream-connection.ts';
import type { Exchange } from '../../sidecar/pipeline/exchange.ts';
import type { Filter } from '../../sidecar/pipeline/filter.ts';
import { forwardLines } from '../../sidecar/pipeline/forward-lines.ts';

/** The engine alone: a pipeline that lets everything through, in front of any upstream. Disposing stops it at once. */
export interface EngineUnderTest extends AsyncDisposable {
  readonly engine: Engine;
  readonly port: number;
  /** Exchanges that are over, in order. */
  readonly finished: readonly Exchange[];
  /** Resolves when `count` exchanges are over. */
  finishedCount(count: number): Promise<void>;
}

/** What a test wants otherwise. */
export interface EngineSettings {
  /** Default: connect 500, request 600, idle 900 ms. */
  readonly timeouts?: Partial<UpstreamTimeouts>;
  readonly filters?: readonly Filter[];
  /** Default: plain HTTP. */
  readonly tls?: TlsListening;
  /** Default: caps that no test reaches. */
  readonly connections?: Partial<ConnectionsConfig>;
  /** Whether those belong to a policy in Shadow. */
  readonly shadow?: boolean;
}

/** Starts an engine on a free port of the loopback. */
export async function startEngine(
  upstream: { readonly host?: string; readonly port: number },
  settings: EngineSettings = {},
): Promise<EngineUnderTest> {
  const finished: Exchange[] = [];
  const waiting = new Set<() => void>();
  const engine = new Engine({
    upstream: { host: '127.0.0.1', ...upstream },
    nextRequestId: createRequestIds(randomBytes(12)),
    onFilterFault: (filter, error) => {
      throw new Error(`filter ${filter.name} failed`, { cause: error });
    },
    onProtocolRefusal: () => {},
    ...(settings.tls && { tls: settings.tls }),
  });
  const recorder: Filter = {
    name: 'recorder',
    onFinish: (exchange) => {
      finished.push(exchange);
      for (const look of waiting) look();
    },
  };
  engine.use(pipeline([recorder, ...(settings.filters ?? [])], settings));
  const { port } = await engine.listen('127.0.0.1', 0);
  return {
    engine,
    port,
    finished,
    [Symbol.asyncDispose]: () => engine.stop(0),
    finishedCount: (count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (finished.length < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}

function pipeline(filters: readonly Filter[], { timeouts, connections, shadow = false }: EngineSettings): Pipeline {
  const clientAddress = compileClientAddress({ trustedHops: 0, trustedProxies: [] });
  return {
    filters,
    pathMatching: { case: 'Sensitive', trailingSlash: 'Strict', parameters: 'Refuse' },
    clientAddress,
    timeouts: { connectMs: 500, requestMs: 600, idleMs: 900, ...timeouts },
    connections: { config: { ...DEFAULT_CONNECTIONS, ...connections }, shadow },
    ownedAnswerHeaders: new Set(),
    forwardLines: forwardLines(clientAddress, true),
  };
}
