import { randomBytes, randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createLogger, type LogSink } from '../runtime/log.ts';
import type { ForwardedProbe, HostPort, Listener } from '../runtime/sidecar-arguments.ts';
import { MAX_REASON_LENGTH, MAX_REASONS, type SidecarStatus } from '../runtime/sidecar-status.ts';
import { AdminServer } from './admin/admin-server.ts';
import { ControlServer } from './control/control-server.ts';
import { Egress } from './egress/egress.ts';
import { Enforcement } from './enforcement.ts';
import type { BundleLocations } from './enforcement-options.ts';
import { ConnectionTable } from './engine/connection-table.ts';
import { createRequestIds } from './engine/request-ids.ts';
import type { Cause } from './engine/rescue.ts';
import { explain, refused } from './explain/explain.ts';
import { Breakers } from './filters/breakers.ts';
import { LoadMonitor } from './load/load-monitor.ts';
import { ConnectionMetrics } from './metrics/connection-metrics.ts';
import { SidecarMetrics } from './metrics/sidecar-metrics.ts';
import { clearBlocks, reportBlocks } from './threats/block-report.ts';
import { securityLog } from './threats/security-log.ts';
import type { CertificateFiles } from './tls/certificate-source.ts';
import { TlsTermination } from './tls/tls-termination.ts';
import { Traffic } from './traffic/traffic.ts';

/** Under an operator that knew no egress, a pod got no address for it. */
const EGRESS_NOT_SERVED =
  'EgressNotServed: the policy has egress, and this pod was injected before there was any; restart it';
const DEFAULT_DRAIN_MS = 5_000;

/** All that a sidecar is told at start. */
export interface SidecarConfig {
  readonly listeners: readonly Listener[];
  /** The certificate that all listeners show. Absent: they speak plain HTTP. */
  readonly tls?: CertificateFiles;
  readonly admin: HostPort;
  /** Where the application asks others, on the loopback. Absent: nowhere, whatever policies say. */
  readonly egress?: HostPort;
  readonly bundles: BundleLocations;
  /** What only the sidecar of a pod has. Absent: local mode, which issues tokens and fails where an address cannot be had. */
  readonly pod?: PodDuties;
  /** Path of the control socket where there is no pod; absent: none. */
  readonly controlSocket?: string;
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
  /** Port of egress on the loopback; null: no policy has any. */
  egressPort(): number | null;
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
    activeSessions: () => enforcement.activeSessions(),
    storeDegraded: () => !enforcement.storeAvailable,
    policySerials: () => enforcement.serials(),
    droppedLogLines: () => config.sink.dropped(),
    jwksAges: () => enforcement.jwksAges(),
    staleJwks: () => enforcement.staleJwks(),
  });
  const connections = new ConnectionTable();
  const breakers = new Breakers();
  const load = new LoadMonitor();
  const connectionMetrics = new ConnectionMetrics(metrics.registry, {
    connections: () => connections.size,
    closedAtCap: () => ({ ...connections.refused, spared: connections.spared }),
    shed: () => load.shed,
    breakers: () => breakers.states(performance.now()),
    breakerOpens: () => breakers.opens,
  });
  const tls: TlsTermination | null =
    config.tls === undefined
      ? null
      : new TlsTermination({
          files: config.tls,
          use: (pair) => traffic.useCertificate(pair),
          log,
          registry: metrics.registry,
          now: Date.now,
        });
  const countRefusal = (cause: Cause, peer: string, requestId: string): void => {
    if (cause !== 'policy_not_loaded') metrics.malformed(cause);
    log.info({ code: cause, client: peer, requestId }, 'request refused before policy');
  };
  const traffic = new Traffic(config.listeners, {
    log,
    ...(tls !== null && { tls: tls.listening }),
    connections,
    onTunnelEnd: (why) => connectionMetrics.websocketEnded(why),
    nextRequestId: createRequestIds(randomBytes(12)),
    onFilterFault: (filter, error) => {
      metrics.filterFault(filter.name);
      log.error({ filter: filter.name, err: error }, 'filter failed, request refused');
    },
    onProtocolRefusal: countRefusal,
  });
  let egressAsked = false;
  const egress =
    config.egress === undefined
      ? null
      : new Egress({
          listen: config.egress,
          log,
          metrics: metrics.egress,
          nextRequestId: createRequestIds(randomBytes(12)),
          onProtocolRefusal: countRefusal,
          onShadowDenial: (denial) => metrics.shadowDenied([denial]),
        });
  const enforcement: Enforcement = new Enforcement({
    bundles: config.bundles,
    metrics,
    sink: config.sink,
    log,
    replica: uid,
    issueTokens: pod?.issueTokens ?? true,
    scheme: tls === null ? 'http' : 'https',
    load,
    breakers,
    // Without a pipeline every request is answered 503.
    use: (pipeline) => (refuse.length === 0 ? traffic.use(pipeline) : undefined),
    useEgress: (policy) => {
      egressAsked = policy !== null;
      if (refuse.length === 0) egress?.use(policy);
    },
  });
  let draining = false;
  const whyRefused = (): string[] => [
    ...refuse,
    ...traffic.problems,
    ...(egress?.problem ? [egress.problem] : []),
    ...(tls?.notReady() ?? []),
    ...enforcement.notReady(),
  ];
  const notReady = (): string[] => (draining ? ['draining'] : whyRefused());
  const status = (): SidecarStatus => ({
    uid,
    version: config.version,
    ...enforcement.status(),
    ...(enforcement.staleJwks().size > 0 && { staleJwks: Object.fromEntries(enforcement.staleJwks()) }),
    ...(tls !== null && { tls: tls.state }),
    draining,
    notReady: notReady()
      .slice(0, MAX_REASONS)
      .map((reason) => reason.slice(0, MAX_REASON_LENGTH)),
  });
  const adminServer = new AdminServer({
    registry: metrics.registry,
    status,
    notReady,
    notes: () => [
      ...(egressAsked && egress === null ? [EGRESS_NOT_SERVED] : []),
      ...traffic.notes,
      ...(tls?.notes() ?? []),
    ],
    probes: pod?.probes ?? [],
    onFault: (error) => log.error({ err: error }, 'admin request failed'),
  });
  const startDraining = (overMs = DEFAULT_DRAIN_MS): void => {
    draining = true;
    traffic.startDraining(overMs);
    log.info({ websockets: traffic.tunnels }, 'draining');
  };
  const controlSocket = pod?.controlSocket ?? config.controlSocket;
  const control =
    controlSocket === undefined
      ? null
      : new ControlServer(
          controlSocket,
          {
            notListening: () => traffic.problems,
            drain: startDraining,
            blocks: () => reportBlocks(enforcement, Date.now()),
            clearBlocks: (request) =>
              clearBlocks(enforcement, request, Date.now(), securityLog(config.sink, metrics, false)),
            explain: async (request) => {
              const { policies } = enforcement;
              return policies === null || refuse.length > 0
                ? refused(request, 'policy', 'policy_not_loaded', whyRefused())
                : explain(policies, request, Date.now());
            },
            revoke: (request) => enforcement.revoke(request, Date.now()),
          },
          (error) => log.error({ err: error }, 'control request failed'),
        );

  const stop = async (graceMs: number): Promise<void> => {
    await traffic.stop(graceMs);
    await egress?.stop(graceMs);
    tls?.stop();
    await enforcement.stop();
    load.stop();
    await control?.stop();
    await adminServer.stop();
  };

  await tls?.start();
  await enforcement.start();
  let admin: AddressInfo;
  try {
    admin = await adminServer.listen(config.admin.host, config.admin.port);
    await (pod === undefined ? traffic.listen() : traffic.listenUntilHad());
    await egress?.start(pod !== undefined);
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
    egressPort: () => egress?.port ?? null,
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
