import { Registry } from 'prom-client';
import type { EgressConfig } from '../../policy/bundle/egress.ts';
import { createLogger } from '../../runtime/log.ts';
import { compileEgress } from '../../sidecar/egress/compile-brokers.ts';
import { Egress } from '../../sidecar/egress/egress.ts';
import { EgressMetrics } from '../../sidecar/egress/egress-metrics.ts';
import type { Denial } from '../../sidecar/pipeline/filter.ts';
import type { LimiterStore } from '../../sidecar/stores/limiter-store.ts';
import { MemoryStore } from '../../sidecar/stores/memory-store.ts';
import { type MemoryLog, memoryLog } from './memory-log.ts';
import { type RawAnswer, type SendOptions, send } from './raw-http.ts';
import { baseLimits } from './sidecar-under-test.ts';

/** The egress of a sidecar, alone. */
export interface EgressUnderTest extends AsyncDisposable {
  readonly port: number;
  readonly egress: Egress;
  readonly log: MemoryLog;
  readonly shadowDenials: readonly Denial[];
  /** Sends a request of these lines, with Host and the body, if any. */
  ask(requestLine: string, headers?: readonly string[], body?: string, options?: SendOptions): Promise<RawAnswer>;
  /** Exact bytes. */
  send(bytes: string, options?: SendOptions): Promise<RawAnswer>;
  /** The value of a metric by its whole name, labels included; 0 when it was never counted. */
  metric(name: string): Promise<number>;
  /** Puts other brokers in force. */
  use(...brokers: readonly Partial<EgressConfig>[]): void;
}

/** What tests may choose besides the brokers. */
export interface EgressUnderTestOptions {
  readonly mode?: 'Enforce' | 'Shadow';
  readonly limiter?: LimiterStore;
  /** Every address of a host. Default: 127.0.0.1 for all. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

/** A broker that lets everything through and asks nothing of it. */
export const openBroker: EgressConfig = {
  name: 'broker',
  origin: 'https://broker.example',
  allow: [{ methods: [], paths: ['/**'] }],
  rate: null,
  waitMs: 0,
  retry: null,
  circuitBreaker: null,
  credential: null,
  ca: null,
  allowPrivateAddresses: true,
};

/** Starts egress to these brokers on a free port of the loopback. */
export async function startEgress(
  brokers: readonly Partial<EgressConfig>[],
  { mode = 'Enforce', limiter = new MemoryStore(), resolve = async () => ['127.0.0.1'] }: EgressUnderTestOptions = {},
): Promise<EgressUnderTest> {
  const log = memoryLog();
  const registry = new Registry();
  const shadowDenials: Denial[] = [];
  let ids = 0;
  const egress = new Egress({
    listen: { host: '127.0.0.1', port: 0 },
    log: createLogger(log, 'sidecar'),
    metrics: new EgressMetrics(registry),
    nextRequestId: () => `id-${ids++}`,
    onProtocolRefusal: () => {},
    onShadowDenial: (denial) => shadowDenials.push(denial),
    resolve,
  });
  const use = (...configs: readonly Partial<EgressConfig>[]): void => {
    const limits = { ...baseLimits, mode, egress: configs.map((config) => ({ ...openBroker, ...config })) };
    egress.use(compileEgress(limits, limiter));
  };
  use(...brokers);
  await egress.start(false);
  const port = egress.port ?? 0;
  return {
    port,
    egress,
    log,
    shadowDenials,
    use,
    ask: (requestLine, headers = [], body = '', options = {}) => {
      const length = body === '' ? [] : [`Content-Length: ${body.length}`];
      const lines = [`${requestLine} HTTP/1.1`, `Host: 127.0.0.1:${port}`, ...headers, ...length];
      return send(port, `${lines.join('\r\n')}\r\n\r\n${body}`, {
        bodiless: requestLine.startsWith('HEAD '),
        ...options,
      });
    },
    send: (bytes, options) => send(port, bytes, options),
    metric: async (name) => {
      const line = (await registry.metrics()).split('\n').find((each) => each.startsWith(`${name} `));
      return Number(line?.split(' ').at(-1) ?? 0);
    },
    [Symbol.asyncDispose]: () => egress.stop(0),
  };
}
