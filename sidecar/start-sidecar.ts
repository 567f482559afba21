import { type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createLogger, type LogSink } from '../runtime/log.ts';
import { AdminServer } from './admin/admin-server.ts';
import type { SidecarStatus } from './admin/status.ts';
import type { BundleLocation } from './bundle-source/bundle-source.ts';
import { Enforcement } from './enforcement.ts';
import { Engine } from './engine/engine.ts';
import { createRequestIds } from './engine/request-ids.ts';
import { SidecarMetrics } from './metrics/sidecar-metrics.ts';

/** A TCP address. */
export interface HostPort {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** All that a sidecar is told at start. */
export interface SidecarConfig {
  readonly listen: HostPort;
  readonly admin: HostPort;
  /** The application. */
  readonly upstream: HostPort;
  readonly bundles: {
    /** Ed25519 key of the only writer that is believed. */
    readonly publicKey: KeyObject;
    readonly access: BundleLocation;
    readonly limits: BundleLocation | null;
  };
  readonly sink: LogSink;
  readonly version: string;
}

/** A sidecar that serves. */
export interface RunningSidecar {
  readonly traffic: AddressInfo;
  readonly admin: AddressInfo;
  /** What is enforced now; `keySets` is the acknowledgement that lets the next key sign. */
  status(): SidecarStatus;
  /** Looks for new bundles at once, without waiting for the file system to tell. */
  checkBundles(): Promise<void>;
  /** What is wrong with the source of a bundle (a policy that does not compile), or null when it is right again. */
  reportSourceError(kind: 'access' | 'limits', error: string | null): void;
  /** Turns readiness off and answers `Connection: close`, still accepting: what preStop does. */
  startDraining(): void;
  /** Stops: no new connections, requests under way get `graceMs`, default 10 s. */
  stop(graceMs?: number): Promise<void>;
}

/** Starts the sidecar. Rejects when an address cannot be had; without a bundle it starts, unready, and answers 503. */
export async function startSidecar(config: SidecarConfig): Promise<RunningSidecar> {
  const log = createLogger(config.sink, 'sidecar');
  const uid = randomUUID();
  const metrics: SidecarMetrics = new SidecarMetrics({
    websocketConnections: () => engine.tunnels,
    storeDegraded: () => !enforcement.storeAvailable,
    policySerials: () => enforcement.serials(),
    droppedLogLines: () => config.sink.dropped(),
  });
  const engine = new Engine({
    upstream: config.upstream,
    nextRequestId: createRequestIds(randomBytes(12)),
    onFilterFault: (filter, error) => {
      metrics.filterFault(filter.name);
      log.error({ filter: filter.name, err: error }, 'filter failed, request refused');
    },
    onProtocolRefusal: (cause, peer, requestId) => {
      if (cause !== 'policy_not_loaded') metrics.malformed(cause);
      log.info({ code: cause, client: peer, requestId }, 'request refused before policy');
    },
  });
  const enforcement: Enforcement = new Enforcement({
    bundles: config.bundles,
    metrics,
    sink: config.sink,
    log,
    replica: uid,
    use: (pipeline) => engine.use(pipeline),
  });
  let draining = false;
  const status = (): SidecarStatus => ({ uid, version: config.version, ...enforcement.status(), draining });
  const adminServer = new AdminServer({
    registry: metrics.registry,
    status,
    notReady: () => (draining ? ['draining'] : enforcement.notReady()),
    onFault: (error) => log.error({ err: error }, 'admin request failed'),
  });

  const stop = async (graceMs: number): Promise<void> => {
    await engine.stop(graceMs);
    await enforcement.stop();
    await adminServer.stop();
  };

  await enforcement.start();
  let admin: AddressInfo;
  let traffic: AddressInfo;
  try {
    admin = await adminServer.listen(config.admin.host, config.admin.port);
    traffic = await engine.listen(config.listen.host, config.listen.port);
  } catch (error) {
    await stop(0);
    throw error;
  }
  log.info({ traffic, admin, upstream: config.upstream, version: config.version }, 'sidecar started');

  return {
    traffic,
    admin,
    status,
    checkBundles: () => enforcement.checkBundles(),
    reportSourceError: (kind, error) => enforcement.reportSourceError(kind, error),
    startDraining: () => {
      draining = true;
      engine.startDraining();
      log.info({ websockets: engine.tunnels }, 'draining');
    },
    stop: async (graceMs = 10_000) => {
      draining = true;
      await stop(graceMs);
      log.info('sidecar stopped');
    },
  };
}
