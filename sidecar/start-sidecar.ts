import { randomBytes, randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createLogger, type LogSink } from '../runtime/log.ts';
import type { ForwardedProbe, HostPort, Listener } from '../runtime/sidecar-arguments.ts';
import { MAX_REASON_LENGTH, MAX_REASONS, type SidecarStatus } from '../runtime/sidecar-status.ts';
import { AdminServer } from './admin/admin-server.ts';
import { ControlServer } from './control/control-server.ts';
import { type BundleLocations, Enforcement } from './enforcement.ts';
import { createRequestIds } from './engine/request-ids.ts';
import { explain, refused } from './explain/explain.ts';
import { SidecarMetrics } from './metrics/sidecar-metrics.ts';
import { Traffic } from './traffic/traffic.ts';

const DEFAULT_DRAIN_MS = 5_000;

/** All that a sidecar is told at start. */
export interface SidecarConfig {
  readonly listeners: readonly Listener[];
  readonly admin: HostPort;
  readonly bundles: BundleLocations;
  /** What only the sidecar of a pod has. Absent: local mode, which issues tokens and fails where an address cannot be had. */
  readonly pod?: PodDuties;
  readonly sink: LogSink;
  readonly version: string;
}

/** What the sidecar of a pod has besides: it starts before the application, whatever comes, and says what is wrong. */
export interface PodDuties {
  readonly probes: readonly ForwardedProbe[];
  readonly issueTokens: boolean;
  /** Reasons to refuse all traffic. */
  readonly refuse: readonly string[];
  /** Path of the control socket. */
  readonly controlSocket: string;
}

/** A sidecar that serves. */
export interface RunningSidecar {
  /** Where it listens, one address a listener that could be had. */
  readonly traffic: readonly AddressInfo[];
  readonly admin: AddressInfo;
  /** What is enforced now; `keySets` is the acknowledgement that lets the next key sign. */
  status(): SidecarStatus;
  /** Looks for new bundles at once, without waiting for the file system to tell. */
  checkBundles(): Promise<void>;
  /** What is wrong with the source of a bundle (a policy that does not compile), or null when it is right again. */
  reportSourceError(kind: 'access' | 'limits', error: string | null): void;
  /** Turns readiness off and answers `Connection: close`, still accepting; WebSockets are closed evenly over `overMs`, default 5 s. */
  startDraining(overMs?: number): void;
  /** Stops: no new connections, requests under way get `graceMs`, default 10 s. */
  stop(graceMs?: number): Promise<void>;
}

/**
 * Starts the sidecar. Rejects when the admin address cannot be had, and without `pod` when any cannot; without a bundle it starts,
 * unready, and answers 503.
 */
export async function startSidecar(config: SidecarConfig): Promise<RunningSidecar> {
  const { pod } = config;
  const refuse = pod?.refuse ?? [];
  const log = createLogger(config.sink, 'sidecar');
  const uid = randomUUID();
  const metrics: SidecarMetrics = new SidecarMetrics({
    websocketConnections: () => traffic.tunnels,
    storeDegraded: () => !enforcement.storeAvailable,
    policySerials: () => enforcement.serials(),
    droppedLogLines: () => config.sink.dropped(),
    jwksAges: () => enforcement.jwksAges(),
  });
  const traffic = new Traffic(config.listeners, {
    log,
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
    issueTokens: pod?.issueTokens ?? true,
    // Without a pipeline every request is answered 503.
    use: (pipeline) => (refuse.length === 0 ? traffic.use(pipeline) : undefined),
  });
  let draining = false;
  const whyRefused = (): string[] => [...refuse, ...traffic.problems, ...enforcement.notReady()];
  const notReady = (): string[] => (draining ? ['draining'] : whyRefused());
  const status = (): SidecarStatus => ({
    uid,
    version: config.version,
    ...enforcement.status(),
    draining,
    notReady: notReady()
      .slice(0, MAX_REASONS)
      .map((reason) => reason.slice(0, MAX_REASON_LENGTH)),
  });
  const adminServer = new AdminServer({
    registry: metrics.registry,
    status,
    notReady,
    notes: () => traffic.notes,
    probes: pod?.probes ?? [],
    onFault: (error) => log.error({ err: error }, 'admin request failed'),
  });
  const startDraining = (overMs = DEFAULT_DRAIN_MS): void => {
    draining = true;
    traffic.startDraining(overMs);
    log.info({ websockets: traffic.tunnels }, 'draining');
  };
  const control =
    pod === undefined
      ? null
      : new ControlServer(
          pod.controlSocket,
          {
            notListening: () => traffic.problems,
            drain: startDraining,
            explain: async (request) => {
              const { policies } = enforcement;
              return policies === null || refuse.length > 0
                ? refused(request, 'policy', 'policy_not_loaded', whyRefused())
                : explain(policies, request, Date.now());
            },
          },
          (error) => log.error({ err: error }, 'control request failed'),
        );

  const stop = async (graceMs: number): Promise<void> => {
    await traffic.stop(graceMs);
    await enforcement.stop();
    await control?.stop();
    await adminServer.stop();
  };

  await enforcement.start();
  let admin: AddressInfo;
  try {
    admin = await adminServer.listen(config.admin.host, config.admin.port);
    await (pod === undefined ? traffic.listen() : traffic.listenUntilHad());
    // Serving comes first: without the socket only hooks and explain are missing.
    await control?.listen().catch((error) => log.error({ err: error }, 'no control socket'));
  } catch (error) {
    await stop(0);
    throw error;
  }
  log.info({ traffic: traffic.addresses, admin, version: config.version, refuse }, 'sidecar started');

  return {
    traffic: traffic.addresses,
    admin,
    status,
    checkBundles: () => enforcement.checkBundles(),
    reportSourceError: (kind, error) => enforcement.reportSourceError(kind, error),
    startDraining,
    stop: async (graceMs = 10_000) => {
      draining = true;
      await stop(graceMs);
      log.info('sidecar stopped');
    },
  };
}
