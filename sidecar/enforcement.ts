import type { KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import { decodeBundle } from '../policy/bundle/decode.ts';
import type { AccessBundle, LimitsBundle } from '../policy/bundle/types.ts';
import type { LogSink } from '../runtime/log.ts';
import type { SidecarStatus } from './admin/status.ts';
import { type BundleLocation, BundleSource, type BundleState } from './bundle-source/bundle-source.ts';
import type { Pipeline } from './engine/engine-context.ts';
import type { SidecarMetrics } from './metrics/sidecar-metrics.ts';
import { buildPipeline } from './pipeline/build-pipeline.ts';
import type { LimiterStore } from './stores/limiter-store.ts';
import { openStore } from './stores/open-store.ts';
import type { TokenVerifier } from './tokens/token-verifier.ts';
import { createTokenVerifier } from './tokens/verifier.ts';

const CLOSE_OLD_STORE_MS = 5_000;

/** What enforcement is made from. */
export interface EnforcementOptions {
  readonly bundles: {
    readonly publicKey: KeyObject;
    readonly access: BundleLocation;
    readonly limits: BundleLocation | null;
  };
  readonly metrics: SidecarMetrics;
  readonly sink: LogSink;
  readonly log: Logger;
  /** Name of this process among those that share a store. */
  readonly replica: string;
  /** Puts a pipeline in force. */
  readonly use: (pipeline: Pipeline) => void;
}

/**
 * Turns bundles into the pipeline in force. Each new bundle is built wholly before it replaces anything; counters in memory,
 * connections to the store and verified tokens outlive the change where their settings did not change.
 */
export class Enforcement {
  readonly #options: EnforcementOptions;
  readonly #accessSource: BundleSource<AccessBundle>;
  readonly #limitsSource: BundleSource<LimitsBundle> | null;
  readonly #sourceErrors = new Map<'access' | 'limits', string>();
  #access: AccessBundle | null = null;
  #limits: LimitsBundle | null = null;
  #verifier: TokenVerifier | null = null;
  #store: LimiterStore | null = null;
  #storeConfig = '';

  constructor(options: EnforcementOptions) {
    this.#options = options;
    const { publicKey, access, limits } = options.bundles;
    const refused = (kind: string) => (error: { code: string; message: string }) => {
      options.metrics.bundleRefused(kind, error.code);
      options.log.error({ kind, code: error.code, reason: error.message }, 'bundle refused, the last good one stays');
    };
    this.#accessSource = new BundleSource(
      access,
      {
        decode: (bytes, after) => decodeBundle(bytes, { kind: 'Access', publicKey, ...access, ...afterOf(after) }),
        accept: (bundle) => this.#acceptAccess(bundle),
        refused: refused('access'),
      },
      Date.now,
    );
    this.#limitsSource =
      limits === null
        ? null
        : new BundleSource(
            limits,
            {
              decode: (bytes, after) =>
                decodeBundle(bytes, { kind: 'Limits', publicKey, ...limits, ...afterOf(after) }),
              accept: (bundle) => this.#acceptLimits(bundle),
              refused: refused('limits'),
            },
            Date.now,
          );
  }

  async start(): Promise<void> {
    await this.#limitsSource?.start();
    await this.#accessSource.start();
  }

  async checkBundles(): Promise<void> {
    await this.#limitsSource?.check();
    await this.#accessSource.check();
  }

  async stop(): Promise<void> {
    this.#accessSource.stop();
    this.#limitsSource?.stop();
    await this.#store?.close();
  }

  get storeAvailable(): boolean {
    return this.#store?.available ?? true;
  }

  /** Serials in force by kind, 0 for none. */
  serials(): Record<string, number> {
    return { access: this.#access?.serial ?? 0, limits: this.#limits?.serial ?? 0 };
  }

  reportSourceError(kind: 'access' | 'limits', error: string | null): void {
    if (error === null) this.#sourceErrors.delete(kind);
    else if (this.#sourceErrors.get(kind) !== error) {
      this.#sourceErrors.set(kind, error);
      this.#options.metrics.bundleRefused(kind, 'policy_invalid');
      this.#options.log.error({ kind, reason: error }, 'policy does not compile, the last good one stays');
    }
  }

  status(): Pick<SidecarStatus, 'bundles' | 'keySets'> {
    const keySets: Record<string, number> = {};
    for (const { keySet, keySetSerial } of this.#access?.jwt ?? []) keySets[keySet] = keySetSerial;
    return {
      bundles: {
        access: this.#withSourceError('access', this.#accessSource.state),
        limits: this.#limitsSource === null ? null : this.#withSourceError('limits', this.#limitsSource.state),
      },
      keySets,
    };
  }

  notReady(): string[] {
    const reasons: string[] = [];
    for (const [kind, source] of [
      ['access', this.#accessSource],
      ['limits', this.#limitsSource],
    ] as const) {
      if (source === null || source.state.serial > 0) continue;
      const { namespace, name, error } = source.state;
      reasons.push(
        error === null
          ? `PolicyNotFound: no ${kind} bundle for ${namespace}/${name} yet`
          : `${error.code}: ${error.message}`,
      );
    }
    return reasons;
  }

  #withSourceError(kind: 'access' | 'limits', state: BundleState): BundleState {
    const message = this.#sourceErrors.get(kind);
    return message === undefined ? state : { ...state, error: { code: 'policy_invalid', message } };
  }

  #acceptAccess(bundle: AccessBundle): void {
    const verifier = createTokenVerifier(bundle.jwt, {}, this.#verifier ?? undefined);
    this.#build(bundle, this.#limits, verifier, this.#store);
    this.#access = bundle;
    this.#verifier = verifier;
    this.#options.log.info(
      { serial: bundle.serial, mode: bundle.mode, rules: bundle.rules.length },
      'access policy loaded',
    );
  }

  async #acceptLimits(bundle: LimitsBundle): Promise<void> {
    const wanted = JSON.stringify(bundle.store);
    const store = this.#store !== null && wanted === this.#storeConfig ? this.#store : await this.#openStore(bundle);
    try {
      this.#build(this.#access, bundle, this.#verifier, store);
    } catch (error) {
      if (store !== this.#store) void store.close();
      throw error;
    }
    this.#limits = bundle;
    this.#storeConfig = wanted;
    if (this.#store !== store) this.#replaceStore(store);
    this.#options.log.info(
      { serial: bundle.serial, mode: bundle.mode, limits: bundle.limits.length },
      'rate limits loaded',
    );
  }

  /** Builds and puts in force, once every bundle that this sidecar was promised is there. */
  #build(
    access: AccessBundle | null,
    limits: LimitsBundle | null,
    verifier: TokenVerifier | null,
    store: LimiterStore | null,
  ): void {
    if (access === null || verifier === null) return;
    if (this.#limitsSource !== null && (limits === null || store === null)) return;
    const { metrics, sink, use } = this.#options;
    use(
      buildPipeline({
        access,
        limits: limits === null || store === null ? null : { bundle: limits, store },
        verifier,
        metrics,
        sink,
      }),
    );
  }

  #openStore({ namespace, name, store }: LimitsBundle): Promise<LimiterStore> {
    const { log, replica } = this.#options;
    return openStore(store, {
      group: `${namespace}/${name}`,
      replica,
      onStateChange: (available, cause) => {
        if (available) log.info({ reason: cause }, 'rate limit store answers');
        else log.warn({ reason: cause }, 'rate limit store does not answer, onStoreFailure decides');
      },
    });
  }

  #replaceStore(store: LimiterStore): void {
    const old = this.#store;
    this.#store = store;
    if (old !== null) setTimeout(() => void old.close(), CLOSE_OLD_STORE_MS).unref();
  }
}

function afterOf({ serial, hash }: { serial: number; hash: string }): { afterSerial: number; afterHash?: string } {
  return hash === '' ? { afterSerial: serial } : { afterSerial: serial, afterHash: hash };
}
