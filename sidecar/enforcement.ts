import { decodeBundle } from '../policy/bundle/decode.ts';
import type { AccessBundle, LimitsBundle } from '../policy/bundle/types.ts';
import type { PortcullisError } from '../policy/errors.ts';
import { resolveConnection } from '../policy/evaluate/connection.ts';
import type { BundleState, SidecarStatus } from '../runtime/sidecar-status.ts';
import { BundleSource } from './bundle-source/bundle-source.ts';
import { withEither } from './bundle-source/with-either.ts';
import { Candidates } from './candidates/candidates.ts';
import { type RevokeAnswer, type RevokeRequest, revokeTokens } from './control/revoke-tokens.ts';
import { type CompiledEgress, compileEgress } from './egress/compile-brokers.ts';
import type { EnforcementOptions, Policies } from './enforcement-options.ts';
import { LiveCredentials } from './filters/live-credentials.ts';
import { type BodyValidators, compileBodies } from './filters/validate-body.ts';
import { HeldStores } from './held-stores.ts';
import { Issuing } from './issuing.ts';
import { notReadyReasons } from './not-ready-reasons.ts';
import { buildPipeline, checkLimits } from './pipeline/build-pipeline.ts';
import type { Stores } from './stores/open-stores.ts';
import { measuresOf } from './threats/threat-layers.ts';
import type { ExternalJwks } from './tokens/external-jwks.ts';
import { createExternalVerifier } from './tokens/external-verifier.ts';
import { openExternalJwks } from './tokens/open-external-jwks.ts';
import type { TokenVerifier } from './tokens/token-verifier.ts';

type Kind = 'access' | 'limits';

/**
 * Turns bundles into the pipeline in force. Each new bundle is built wholly, together with the other one, before it replaces
 * anything; counters in memory, connections to the store and verified tokens outlive the change where their settings did not change.
 */
export class Enforcement {
  readonly #options: EnforcementOptions;
  readonly #accessSource: BundleSource<AccessBundle>;
  readonly #limitsSource: BundleSource<LimitsBundle> | null;
  readonly #sourceErrors = new Map<Kind, string>();
  readonly #externalJwks: ExternalJwks;
  readonly #stores: HeldStores;
  readonly #credentials = new LiveCredentials();
  readonly #candidates: Candidates | null;
  /** Null: this pod issues no tokens. */
  readonly #issuing: Issuing | null;
  /** Set once everything that was promised was there: what comes later must not make a pod that serves unready. */
  #wasComplete = false;
  #access: AccessBundle | null = null;
  #bodies: BodyValidators = null;
  #limits: LimitsBundle | null = null;
  #verifier: TokenVerifier | null = null;
  #adopting: Promise<void> = Promise.resolve();

  constructor(options: EnforcementOptions) {
    this.#options = options;
    const { publicKey, access, limits } = options.bundles;
    this.#externalJwks = openExternalJwks(options);
    this.#stores = new HeldStores(options.log, options.replica);
    const { candidates: locations } = options.bundles;
    this.#candidates =
      locations === undefined ? null : new Candidates({ ...options, publicKey, locations, now: Date.now });
    const refused = (kind: Kind | 'issuer') => (error: PortcullisError) => {
      options.metrics.bundleRefused(kind, error.code);
      options.log.error({ kind, code: error.code, reason: error.message }, 'bundle refused, the last good one stays');
    };
    this.#issuing = !options.issueTokens
      ? null
      : new Issuing({
          publicKey,
          location: options.bundles.issuer ?? null,
          changed: () => this.#inTurn(() => this.#adopt(this.#access, this.#limits, this.#verifier)),
          refused: refused('issuer'),
        });
    this.#accessSource = new BundleSource(
      access,
      {
        decode: (bytes, after) => decodeBundle(bytes, { kind: 'Access', publicKey, ...access, ...after }),
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
              decode: (bytes, after) => decodeBundle(bytes, { kind: 'Limits', publicKey, ...limits, ...after }),
              accept: (bundle) => this.#acceptLimits(bundle),
              refused: refused('limits'),
            },
            Date.now,
          );
  }

  async start(): Promise<void> {
    await this.#issuing?.start();
    await this.#limitsSource?.start();
    await this.#accessSource.start();
    await this.#candidates?.start();
  }

  async checkBundles(): Promise<void> {
    await this.#issuing?.check();
    await this.#limitsSource?.check();
    await this.#accessSource.check();
    await this.#limitsSource?.check(); // it may have waited for the access policy
    await this.#candidates?.checkBundles();
  }

  async stop(): Promise<void> {
    this.#accessSource.stop();
    this.#limitsSource?.stop();
    await this.#issuing?.stop();
    this.#externalJwks.keepOnly([]);
    await this.#candidates?.stop();
    await this.#stores.close();
  }

  /** Seconds since the keys of issuers outside were fetched, by URI; Infinity: never. */
  jwksAges(): ReadonlyMap<string, number> {
    return this.#externalJwks.ages();
  }

  /** Logins whose refresh tokens live; null: this pod issues none, or nobody knows. */
  async activeSessions(): Promise<number | null> {
    const refreshes = this.#issuing !== null && this.#access?.tokens?.endpoints?.refresh;
    return refreshes ? ((await this.#stores.current?.refreshTokens.count(Date.now())) ?? null) : null;
  }

  /** What the policies in force remember; null: none was in force yet. */
  get stores(): Stores | null {
    return this.#stores.current;
  }

  /** Issuers outside whose keys could not be had for long, or ever, by URI; null: never. */
  staleJwks(): ReadonlyMap<string, number | null> {
    return this.#externalJwks.stale();
  }

  get storeAvailable(): boolean {
    return this.#stores.available;
  }

  /** What is in force; null until every bundle that this sidecar was promised is there. */
  get policies(): Policies | null {
    if (this.#access === null || this.#verifier === null) return null;
    if (this.#limitsSource !== null && this.#limits === null) return null;
    const issuesTokens = this.#issuing !== null;
    const bodies = this.#bodies;
    const blocks = measuresOf(this.#limits, this.#stores.current);
    return {
      access: this.#access,
      limits: this.#limits,
      verifier: this.#verifier,
      issuesTokens,
      scheme: this.#options.scheme,
      bodies,
      ...(blocks !== null && { blocks }),
      ...(this.#stores.current !== null && { revocationsOf: this.#stores.current.revocationsOf }),
    };
  }

  /** Refuses tokens before they end, here and wherever the store is shared. `now`: epoch milliseconds. */
  async revoke(request: RevokeRequest, now: number): Promise<RevokeAnswer> {
    const stores = this.#stores.current;
    if (this.#access === null || stores === null) return { error: 'no policy is in force yet' };
    const shared = resolveConnection(this.#access, this.#limits).store !== null;
    return revokeTokens(request, this.#access, { revocationsOf: stores.revocationsOf, shared }, now);
  }

  /** Serials in force by kind, 0 for none. */
  serials(): Record<string, number> {
    const issuer = this.#issuing?.state;
    const serials = { access: this.#access?.serial ?? 0, limits: this.#limits?.serial ?? 0 };
    return issuer ? { ...serials, issuer: issuer.serial } : serials;
  }

  reportSourceError(kind: Kind, error: string | null): void {
    if (error === null) this.#sourceErrors.delete(kind);
    else if (this.#sourceErrors.get(kind) !== error) {
      this.#sourceErrors.set(kind, error);
      this.#options.metrics.bundleRefused(kind, 'policy_invalid');
      this.#options.log.error({ kind, reason: error }, 'policy does not compile, the last good one stays');
    }
  }

  status(): Pick<SidecarStatus, 'bundles' | 'keySets'> {
    const keySets: Record<string, number> = {};
    const { jwt = [], tokens } = this.#access ?? {};
    for (const { keySet, keySetSerial } of tokens === undefined ? jwt : [...jwt, tokens])
      if (keySet !== null) keySets[keySet] = keySetSerial;
    return {
      bundles: {
        access: this.#withSourceError('access', this.#accessSource.state),
        limits: this.#limitsSource === null ? null : this.#withSourceError('limits', this.#limitsSource.state),
        issuer: this.#issuing?.state ?? null,
        ...this.#candidates?.status(),
      },
      keySets,
    };
  }

  notReady(): string[] {
    const awaitsIssuer = !this.#wasComplete && this.#access !== null && this.#issuing?.awaits(this.#access) === true;
    return notReadyReasons({
      access: this.#accessSource.state,
      limits: this.#limitsSource?.state ?? null,
      issuer: awaitsIssuer ? (this.#issuing?.state ?? null) : null,
    });
  }

  #withSourceError(kind: Kind, state: BundleState): BundleState {
    const message = this.#sourceErrors.get(kind);
    return message === undefined ? state : { ...state, error: { code: 'policy_invalid', message } };
  }

  async #acceptAccess(bundle: AccessBundle): Promise<void> {
    await this.#inTurn(async () => {
      const verifier = this.#verifierOf(bundle);
      await withEither(this.#limits, this.#limitsSource, (limits) => this.#adopt(bundle, limits, verifier));
    });
    const { serial, mode, rules } = bundle;
    this.#options.log.info({ serial, mode, rules: rules.length }, 'access policy loaded');
    this.#limitsSource?.reconsider();
  }

  async #acceptLimits(bundle: LimitsBundle): Promise<void> {
    checkLimits(bundle); // by itself: until there is an access policy nothing else would find its mistakes
    await this.#inTurn(() =>
      withEither(this.#access, this.#accessSource, (access) =>
        this.#adopt(access, bundle, access === null ? null : this.#verifierOf(access)),
      ),
    );
    const { serial, mode, limits } = bundle;
    this.#options.log.info({ serial, mode, limits: limits.length }, 'rate limits loaded');
    this.#accessSource.reconsider();
  }

  #verifierOf(access: AccessBundle): TokenVerifier {
    if (access === this.#access && this.#verifier !== null) return this.#verifier;
    this.#externalJwks.open(access.jwt);
    return createExternalVerifier(access.jwt, this.#externalJwks, this.#verifier ?? undefined);
  }

  /** Both bundles may change at once, and opening a store takes time. */
  #inTurn(task: () => Promise<void>): Promise<void> {
    const done = this.#adopting.then(task).finally(() => this.#externalJwks.keepOnly(this.#access?.jwt ?? []));
    this.#adopting = done.catch(() => {});
    return done;
  }

  /** Builds and puts in force, once every bundle that this sidecar was promised is there; throws and changes nothing when it cannot. */
  async #adopt(
    access: AccessBundle | null,
    limits: LimitsBundle | null,
    verifier: TokenVerifier | null,
  ): Promise<void> {
    const bodies = access === null || access === this.#access ? this.#bodies : await compileBodies(access);
    if (access !== null && verifier !== null && (this.#limitsSource === null || limits !== null)) {
      const { metrics, sink, scheme, use, useEgress } = this.#options;
      let egress: CompiledEgress | null = null;
      const tokenHandlers = (await this.#issuing?.handlers(access)) ?? null;
      const { built: pipeline, revocationsOf } = await this.#stores.with(access, limits, (stores) => {
        const candidates = this.#candidates?.filter ?? null;
        const built = buildPipeline({
          access,
          limits,
          stores,
          bodies,
          verifier,
          metrics,
          sink,
          load: this.#options.load,
          breakers: this.#options.breakers,
          scheme,
          candidates,
          tokenHandlers,
          live: this.#credentials,
        });
        this.#candidates?.besides(access, limits, stores);
        egress = compileEgress(limits, stores.limiter);
        return { built, revocationsOf: stores.revocationsOf };
      });
      use(pipeline);
      this.#credentials.use(access, revocationsOf);
      this.#wasComplete ||= this.#issuing?.awaits(access) !== true;
      useEgress(egress);
    }
    this.#access = access;
    this.#bodies = bodies;
    this.#limits = limits;
    this.#verifier = verifier;
  }
}
