import type { KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import { decodeBundle } from '../../policy/bundle/decode.ts';
import type { AccessBundle, LimitsBundle } from '../../policy/bundle/types.ts';
import type { BundleState } from '../../runtime/sidecar-status.ts';
import { type BundleLocation, BundleSource } from '../bundle-source/bundle-source.ts';
import { compileBodies } from '../filters/validate-body.ts';
import { HeldStores } from '../held-stores.ts';
import type { SidecarMetrics } from '../metrics/sidecar-metrics.ts';
import { checkLimits } from '../pipeline/build-pipeline.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Filter } from '../pipeline/filter.ts';
import { memoryStores, type Stores } from '../stores/open-stores.ts';
import { createExternalVerifier } from '../tokens/external-verifier.ts';
import { openExternalJwks } from '../tokens/open-external-jwks.ts';
import { type AccessCandidate, type AccessCandidateParts, compileAccessCandidate } from './access-candidate.ts';
import { Comparison } from './compare.ts';
import { compileLimitsCandidate, type LimitsCandidate } from './limits-candidate.ts';
import { ObservedBody } from './observed-body.ts';
import { liveAccessVerdict, liveLimitsVerdict } from './verdict.ts';

/** Where the bundles of the candidates are; at least one. */
export interface CandidateLocations {
  readonly access: BundleLocation | null;
  readonly limits: BundleLocation | null;
}

/** What candidates are tried with. */
export interface CandidateOptions {
  /** Ed25519 key of the only writer that is believed. */
  readonly publicKey: KeyObject;
  readonly locations: CandidateLocations;
  readonly metrics: SidecarMetrics;
  readonly log: Logger;
  /** Name of this process among those that share a store. */
  readonly replica: string;
  /** What clients speak. */
  readonly scheme: 'http' | 'https';
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** The live policies, and what they look up. */
interface Live {
  readonly access: AccessBundle;
  readonly limitNames: ReadonlySet<string>;
  readonly revocationsOf: Stores['revocationsOf'];
}

/** Counts under no name that a live policy has: no object's name holds a slash. */
const OWN_NAME = '/candidate';

/**
 * Policies that are tried beside the live ones: each request is decided on by them too, once it is over, and what differs is counted
 * and now and then logged. They change no answer, spend no limit, read no body and cannot make a pod unready; a bundle that is
 * bad is refused, as a live one, and the last good one goes on being tried.
 */
export class Candidates {
  readonly #options: CandidateOptions;
  readonly #comparison: Comparison;
  readonly #accessSource: BundleSource<AccessBundle> | null;
  readonly #limitsSource: BundleSource<LimitsBundle> | null;
  readonly #externalJwks: ReturnType<typeof openExternalJwks>;
  readonly #stores: HeldStores;
  readonly #ownStores = memoryStores();
  #live: Live | null = null;
  #accessParts: Omit<AccessCandidateParts, 'stores' | 'scheme'> | null = null;
  #limitsBundle: LimitsBundle | null = null;
  #access: AccessCandidate | null = null;
  #limits: LimitsCandidate | null = null;
  /** As they were before the live policy took the tokens out. */
  readonly #queries = new WeakMap<Exchange, string>();
  #compiling: Promise<void> = Promise.resolve();

  constructor(options: CandidateOptions) {
    const { publicKey, locations, metrics, log, replica, now } = options;
    this.#options = options;
    this.#comparison = new Comparison({ metrics: metrics.candidates, log, now });
    this.#externalJwks = openExternalJwks({ log, metrics });
    this.#stores = new HeldStores(log, replica);
    const refused = (kind: string) => (error: { readonly code: string; readonly message: string }) => {
      metrics.bundleRefused(kind, error.code);
      log.error({ kind, code: error.code, reason: error.message }, 'bundle of a candidate refused');
    };
    const { access, limits } = locations;
    this.#accessSource =
      access &&
      new BundleSource(
        access,
        {
          decode: (bytes, after) => decodeBundle(bytes, { kind: 'Access', publicKey, ...access, ...after }),
          accept: (bundle) => this.#acceptAccess(bundle),
          refused: refused('candidate-access'),
        },
        now,
      );
    this.#limitsSource =
      limits &&
      new BundleSource(
        limits,
        {
          decode: (bytes, after) => decodeBundle(bytes, { kind: 'Limits', publicKey, ...limits, ...after }),
          accept: (bundle) => this.#acceptLimits(bundle),
          refused: refused('candidate-limits'),
        },
        now,
      );
  }

  /** Stands first in the pipeline, so that it finishes last. It decides nothing. */
  readonly filter: Filter = {
    name: 'candidates',
    onRequest: (exchange) => {
      if (this.#access === null) return undefined;
      if (this.#access.looksAtBodies) exchange.body = new ObservedBody(exchange.body);
      if (exchange.upgrade && exchange.query !== '') this.#queries.set(exchange, exchange.query);
      return undefined;
    },
    onFinish: (exchange) => {
      const [access, limits, live] = [this.#access, this.#limits, this.#live];
      if (access !== null) {
        this.#comparison.compare('access', exchange, liveAccessVerdict(exchange), () =>
          access.decide(exchange, this.#queries.get(exchange) ?? exchange.query),
        );
      }
      if (limits !== null && live !== null) {
        const verdict = liveLimitsVerdict(exchange, live.limitNames);
        this.#comparison.compare('limits', exchange, verdict, () => limits.decide(exchange, this.#options.now()));
      }
    },
  };

  async start(): Promise<void> {
    await this.#accessSource?.start();
    await this.#limitsSource?.start();
  }

  async checkBundles(): Promise<void> {
    await this.#accessSource?.check();
    await this.#limitsSource?.check();
  }

  async stop(): Promise<void> {
    this.#accessSource?.stop();
    this.#limitsSource?.stop();
    this.#externalJwks.keepOnly([]);
    await this.#stores.close();
  }

  status(): { readonly candidateAccess: BundleState | null; readonly candidateLimits: BundleState | null } {
    return {
      candidateAccess: this.#accessSource?.state ?? null,
      candidateLimits: this.#limitsSource?.state ?? null,
    };
  }

  /** Tells which policies are in force now. What cannot be tried beside them is logged; never throws. */
  besides(access: AccessBundle, limits: LimitsBundle | null, { revocationsOf }: Stores): void {
    const limitNames = new Set((limits?.limits ?? []).map(({ name }) => name));
    this.#live = { access, limitNames, revocationsOf };
    void this.#inTurn(async () => {
      if (this.#accessParts !== null) this.#access = this.#compileAccess(this.#accessParts);
      if (this.#limitsBundle !== null) this.#limits = await this.#compileLimits(this.#limitsBundle);
    }).catch((error) => this.#options.log.error({ err: error }, 'candidate not tried beside the newest policies'));
  }

  async #acceptAccess(bundle: AccessBundle): Promise<void> {
    const bodies = await compileBodies(bundle);
    await this.#inTurn(async () => {
      this.#externalJwks.open(bundle.jwt);
      try {
        const verifier = createExternalVerifier(bundle.jwt, this.#externalJwks, this.#accessParts?.verifier);
        const parts = { bundle, bodies, verifier };
        this.#access = this.#compileAccess(parts);
        this.#accessParts = parts;
      } finally {
        this.#externalJwks.keepOnly(this.#accessParts?.bundle.jwt ?? []);
      }
    });
    this.#options.log.info({ policy: bundle.name, serial: bundle.serial }, 'candidate access policy loaded');
  }

  async #acceptLimits(bundle: LimitsBundle): Promise<void> {
    checkLimits(bundle); // by itself: without a live policy nothing else would find its mistakes
    await this.#inTurn(async () => {
      this.#limits = await this.#compileLimits(bundle);
      this.#limitsBundle = bundle;
    });
    this.#options.log.info({ policy: bundle.name, serial: bundle.serial }, 'candidate rate limits loaded');
  }

  /** What is revoked is looked up where live requests do; whatever a request spends, it spends in stores of the candidate's own. */
  #compileAccess(parts: Omit<AccessCandidateParts, 'stores' | 'scheme'>): AccessCandidate {
    const { revocationsOf } = this.#live ?? this.#ownStores;
    const { scheme } = this.#options;
    return compileAccessCandidate({ ...parts, stores: { ...this.#ownStores, revocationsOf }, scheme });
  }

  /** Null: there is nothing yet that it could be tried beside. */
  async #compileLimits(bundle: LimitsBundle): Promise<LimitsCandidate | null> {
    if (this.#live === null) return null;
    const { access } = this.#live;
    const limits = { ...bundle, name: bundle.name + OWN_NAME };
    return this.#stores.with({ ...access, name: access.name + OWN_NAME }, limits, (stores) =>
      compileLimitsCandidate(access, limits, stores),
    );
  }

  #inTurn(task: () => Promise<void>): Promise<void> {
    const done = this.#compiling.then(task);
    this.#compiling = done.catch(() => {});
    return done;
  }
}
