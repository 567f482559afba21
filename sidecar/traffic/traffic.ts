import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { HostPort, Listener } from '../../runtime/sidecar-arguments.ts';
import { Engine, type EngineOptions } from '../engine/engine.ts';
import type { Pipeline } from '../engine/engine-context.ts';
import type { CertificatePair } from '../engine/tls-listener.ts';
import { UpstreamWatch } from './upstream-watch.ts';

const RETRY_MS = 1_000;
/** Seconds after which an application that still refuses is worth a line in the log. */
const SECONDS_TO_SAY = 2;

/** What every port needs from its owner. */
export interface TrafficOptions extends Omit<EngineOptions, 'upstream'> {
  readonly log: Logger;
}

interface Port {
  readonly listener: Listener;
  readonly engine: Engine;
  /** Under capture Bind alone: there the application may fail because of us. */
  readonly watch: UpstreamWatch | null;
  /** Where it listens; null: not yet. */
  address: AddressInfo | null;
  /** Why it does not. */
  problem: string;
}

/** The captured ports of one pod: an engine each, one pipeline for all. */
export class Traffic {
  readonly #ports: readonly Port[];
  readonly #log: Logger;
  #stopped = false;

  constructor(listeners: readonly Listener[], { log, ...options }: TrafficOptions) {
    this.#log = log;
    this.#ports = listeners.map((listener) => ({
      listener,
      engine: new Engine({ ...options, upstream: listener.upstream }),
      watch: isBind(listener) ? watchStart(listener, log) : null,
      address: null,
      problem: 'not listening yet',
    }));
  }

  use(pipeline: Pipeline): void {
    for (const { engine } of this.#ports) engine.use(pipeline);
  }

  /** With TLS: see Engine.useCertificate. */
  useCertificate(pair: CertificatePair): void {
    for (const { engine } of this.#ports) engine.useCertificate(pair);
  }

  /** Open WebSockets. */
  get tunnels(): number {
    return this.#ports.reduce((sum, { engine }) => sum + engine.tunnels, 0);
  }

  /** Where it listens. */
  get addresses(): readonly AddressInfo[] {
    return this.#ports.flatMap(({ address }) => address ?? []);
  }

  /** Reasons for which some port is not served. */
  get problems(): readonly string[] {
    return this.#ports.flatMap(({ address, problem }) => (address === null ? problem : []));
  }

  /** What is worth knowing and no reason to be unready: the application may take its time. */
  get notes(): readonly string[] {
    return this.#ports.flatMap(({ listener, watch }) => (watch?.refusing === true ? whyRefused(listener) : []));
  }

  /** Listens on every port; rejects with the system's error when one cannot be had. */
  async listen(): Promise<void> {
    await Promise.all(this.#ports.map((port) => this.#listen(port)));
  }

  /** Listens on every port, trying again for ever where one cannot be had: `problems` says why. Resolves after the first try. */
  async listenUntilHad(): Promise<void> {
    await Promise.all(
      this.#ports.map(async (port) => {
        try {
          await this.#listen(port);
        } catch (error) {
          this.#cannotListen(port, error as NodeJS.ErrnoException);
          void this.#retry(port);
        }
      }),
    );
  }

  startDraining(overMs: number): void {
    for (const { engine } of this.#ports) engine.startDraining(overMs);
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    for (const { watch } of this.#ports) watch?.stop();
    await Promise.all(this.#ports.map(({ engine }) => engine.stop(graceMs)));
  }

  async #listen(port: Port): Promise<void> {
    const { host, port: number } = port.listener.listen;
    port.address = await port.engine.listen(host, number);
  }

  async #retry(port: Port): Promise<void> {
    for (;;) {
      await delay(RETRY_MS, undefined, { ref: false });
      if (this.#stopped) return;
      try {
        await this.#listen(port);
        this.#log.info({ address: port.address }, 'listening at last');
        return;
      } catch (error) {
        this.#cannotListen(port, error as NodeJS.ErrnoException);
      }
    }
  }

  #cannotListen(port: Port, error: NodeJS.ErrnoException): void {
    const problem = whyNotListening(port.listener, error);
    if (problem !== port.problem) this.#log.error({ reason: problem }, 'cannot listen, traffic is not served');
    port.problem = problem;
  }
}

/** Under capture Bind the sidecar listens on the application's own port, on the pod's address. */
function isBind({ listen, upstream }: Listener): boolean {
  return listen.port === upstream.port;
}

const HOW_TO_BIND =
  'under capture Bind the application must listen on 127.0.0.1 only: set the address in its own settings, or name the variable it reads with the annotation portcullis.dev/bind-env';

function whyNotListening(listener: Listener, error: NodeJS.ErrnoException): string {
  const where = addressOf(listener.listen);
  if (error.code !== 'EADDRINUSE') return `cannot listen on ${where}: ${error.message}`;
  return isBind(listener)
    ? `AddressInUse: ${where} is taken, most likely by an application that binds every address; ${HOW_TO_BIND}`
    : `AddressInUse: ${where} is taken by another process of this pod; choose other sidecar ports in the chart's values, or move that process`;
}

function whyRefused({ upstream }: Listener): string {
  return `UpstreamRefused: ${addressOf(upstream)} does not accept connections; if the application fails with "address already in use", it binds every address: ${HOW_TO_BIND}`;
}

function watchStart(listener: Listener, log: Logger): UpstreamWatch {
  return new UpstreamWatch(listener.upstream, (times) => {
    if (times === SECONDS_TO_SAY) log.warn({ reason: whyRefused(listener) }, 'the application refuses connections');
  });
}

function addressOf({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
