import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { EgressMetrics } from '../egress/egress-metrics.ts';
import type { CredentialKind, CredentialRefusal } from '../filters/credential-check.ts';
import type { Denial } from '../pipeline/filter.ts';
import type { SecurityEvent, Severity, Suspicion } from '../threats/event-catalogue.ts';
import type { TokenRefusal } from '../tokens/token-verifier.ts';
import { CandidateMetrics } from './candidate-metrics.ts';
import { HotHistogram } from './hot-histogram.ts';
import type { PolicyMetrics } from './policy-metrics.ts';
import { ThreatMetrics } from './threat-metrics.ts';

/** State that is read when somebody scrapes. */
export interface GaugeSources {
  readonly websocketConnections: () => number;
  /** Null: there are none to count, or nobody knows. */
  readonly activeSessions: () => Promise<number | null>;
  readonly storeDegraded: () => boolean;
  /** Serial in use by bundle kind, 0 for none. */
  readonly policySerials: () => Readonly<Record<string, number>>;
  readonly droppedLogLines: () => number;
  /** Seconds since the last good fetch by JWKS URI. */
  readonly jwksAges: () => ReadonlyMap<string, number>;
  /** Issuers outside whose keys could not be had for long, by URI. */
  readonly staleJwks: () => ReadonlyMap<string, unknown>;
}

const STATUSES = 600;

/** The sidecar's metrics under the names of docs/metrics.md. No label takes a value that a client chooses. */
export class SidecarMetrics implements PolicyMetrics {
  readonly registry = new Registry();
  readonly candidates: CandidateMetrics = new CandidateMetrics(this.registry);
  readonly egress: EgressMetrics = new EgressMetrics(this.registry);
  readonly requestDuration: HotHistogram;
  readonly authDuration: HotHistogram;
  readonly #byRule = new Map<string, Float64Array>();
  #authenticated = 0;
  #refused = 0;
  #failedLogins = 0;
  readonly #jwtFailures: Counter<'reason'>;
  readonly #credentialFailures: Counter<'kind' | 'reason'>;
  readonly #authorizationFailures: Counter<'rule' | 'method'>;
  readonly #limitHits: Counter<'limit' | 'tier'>;
  readonly #shadowDenials: Counter<'layer'>;
  readonly #malformed: Counter<'reason'>;
  readonly #filterFaults: Counter<'filter'>;
  readonly #bundleErrors: Counter<'kind' | 'reason'>;
  readonly #upstreamFailures: Counter<'reason'>;
  readonly #threats: ThreatMetrics = new ThreatMetrics(this.registry);
  readonly #jwksFetches: Counter<'uri' | 'success'>;

  constructor(sources: GaugeSources) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    const byRule = this.#byRule;
    const counts = () => ({ authenticated: this.#authenticated, refused: this.#refused });
    const failedLogins = () => this.#failedLogins;

    new Counter({
      name: 'portcullis_requests_total',
      help: 'Requests answered, by rule of the access policy ("none": no rule matched) and status; 499: the client left first.',
      labelNames: ['rule', 'code'],
      registers,
      collect() {
        this.reset();
        for (const [rule, statuses] of byRule) {
          for (let code = 0; code < STATUSES; code++) {
            const count = statuses[code] as number;
            if (count > 0) this.inc({ rule, code: String(code) }, count);
          }
        }
      },
    });
    new Counter({
      name: 'portcullis_authentication_attempts_total',
      help: 'Requests that brought a token, an API key or a signature, by whether it was accepted.',
      labelNames: ['success'],
      registers,
      collect() {
        this.reset();
        this.inc({ success: 'true' }, counts().authenticated);
        this.inc({ success: 'false' }, counts().refused);
      },
    });
    new Counter({
      name: 'portcullis_failed_login_attempts_total',
      help: 'Logins at this pod that were refused: unknown user, wrong password, inactive user; or by the application at one of bruteForce.paths.',
      registers,
      collect() {
        this.reset();
        this.inc(failedLogins());
      },
    });
    new Gauge({
      name: 'portcullis_active_sessions',
      help: 'Logins whose refresh tokens live, as the store counts them: with Redis the same for all pods of the policy, so take the maximum; without, those of this pod. Absent where no tokens are issued and while the store does not answer.',
      registers,
      async collect() {
        const sessions = await sources.activeSessions();
        if (sessions === null) this.remove();
        else this.set(sessions);
      },
    });
    this.requestDuration = new HotHistogram(
      'portcullis_request_duration_seconds',
      'From the request head to the end of the answer.',
    );
    this.authDuration = new HotHistogram(
      'portcullis_auth_duration_seconds',
      'Verification of tokens that were not in the cache of verified tokens.',
    );
    this.registry.registerMetric(this.requestDuration);
    this.registry.registerMetric(this.authDuration);
    this.#jwtFailures = new Counter({
      name: 'portcullis_jwt_validation_failures_total',
      help: 'Tokens refused, by reason.',
      labelNames: ['reason'],
      registers,
    });
    this.#credentialFailures = new Counter({
      name: 'portcullis_credential_failures_total',
      help: 'API keys and signed requests refused, by kind (api_key, signed_request) and reason.',
      labelNames: ['kind', 'reason'],
      registers,
    });
    this.#authorizationFailures = new Counter({
      name: 'portcullis_authorization_failures_total',
      help: 'Requests that the access policy refused, by rule and method.',
      labelNames: ['rule', 'method'],
      registers,
    });
    this.#limitHits = new Counter({
      name: 'portcullis_rate_limit_hits_total',
      help: 'Requests over a rate limit, by limit and tier.',
      labelNames: ['limit', 'tier'],
      registers,
    });
    this.#shadowDenials = new Counter({
      name: 'portcullis_shadow_denials_total',
      help: 'Decisions to refuse that mode Shadow did not carry out, by layer.',
      labelNames: ['layer'],
      registers,
    });
    this.#malformed = new Counter({
      name: 'portcullis_malformed_requests_total',
      help: 'Requests refused before any policy because their HTTP is ambiguous or too large, by reason.',
      labelNames: ['reason'],
      registers,
    });
    this.#filterFaults = new Counter({
      name: 'portcullis_filter_faults_total',
      help: 'Filters that threw; the request was refused. Above 0 is a bug in Portcullis.',
      labelNames: ['filter'],
      registers,
    });
    this.#bundleErrors = new Counter({
      name: 'portcullis_bundle_errors_total',
      help: 'Bundles that were refused; the last good one stays in use.',
      labelNames: ['kind', 'reason'],
      registers,
    });
    this.#upstreamFailures = new Counter({
      name: 'portcullis_upstream_failures_total',
      help: 'Requests that the application did not answer properly, by reason.',
      labelNames: ['reason'],
      registers,
    });
    this.#jwksFetches = new Counter({
      name: 'portcullis_jwks_fetches_total',
      help: 'Fetches of the keys of issuers outside, by JWKS URI and whether they brought keys that are of use.',
      labelNames: ['uri', 'success'],
      registers,
    });
    new Gauge({
      name: 'portcullis_jwks_age_seconds',
      help: 'Time since the keys of an issuer outside were fetched last, by JWKS URI; +Inf: never.',
      labelNames: ['uri'],
      registers,
      collect() {
        this.reset();
        for (const [uri, seconds] of sources.jwksAges()) this.set({ uri }, seconds);
      },
    });
    new Gauge({
      name: 'portcullis_jwks_stale',
      help: '1 while the keys of an issuer outside could not be fetched for twice their refresh, or ever, by JWKS URI.',
      labelNames: ['uri'],
      registers,
      collect() {
        this.reset();
        const stale = sources.staleJwks();
        for (const uri of sources.jwksAges().keys()) this.set({ uri }, stale.has(uri) ? 1 : 0);
      },
    });
    new Gauge({
      name: 'portcullis_websocket_connections',
      help: 'Open WebSockets.',
      registers,
      collect() {
        this.set(sources.websocketConnections());
      },
    });
    new Gauge({
      name: 'portcullis_store_degraded',
      help: '1 while the rate limit store does not answer and onStoreFailure decides.',
      registers,
      collect() {
        this.set(sources.storeDegraded() ? 1 : 0);
      },
    });
    new Gauge({
      name: 'portcullis_policy_serial',
      help: 'Serial of the bundle in use, by kind; 0: none yet.',
      labelNames: ['kind'],
      registers,
      collect() {
        for (const [kind, serial] of Object.entries(sources.policySerials())) this.set({ kind }, serial);
      },
    });
    new Gauge({
      name: 'portcullis_log_lines_dropped',
      help: 'Log lines dropped since the start because standard output was not read fast enough.',
      registers,
      collect() {
        this.set(sources.droppedLogLines());
      },
    });
  }

  statusesOf(rule: string): Float64Array {
    let statuses = this.#byRule.get(rule);
    if (statuses === undefined) {
      statuses = new Float64Array(STATUSES);
      this.#byRule.set(rule, statuses);
    }
    return statuses;
  }

  tokenAccepted(): void {
    this.#authenticated++;
  }

  tokenRefused(reason: TokenRefusal): void {
    this.#refused++;
    this.#jwtFailures.inc({ reason });
  }

  credentialAccepted(): void {
    this.#authenticated++;
  }

  credentialRefused(kind: CredentialKind, reason: CredentialRefusal): void {
    this.#refused++;
    this.#credentialFailures.inc({ kind, reason });
  }

  notAuthorized(rule: string, method: string): void {
    this.#authorizationFailures.inc({ rule, method: knownMethod(method) });
  }

  loginFailed(): void {
    this.#failedLogins++;
  }

  overLimit(limit: string, tier: string): void {
    this.#limitHits.inc({ limit, tier });
  }

  shadowDenied(denials: readonly Denial[]): void {
    for (const { layer } of denials) this.#shadowDenials.inc({ layer });
  }

  malformed(reason: string): void {
    this.#malformed.inc({ reason });
  }

  filterFault(filter: string): void {
    this.#filterFaults.inc({ filter });
  }

  bundleRefused(kind: string, reason: string): void {
    this.#bundleErrors.inc({ kind, reason });
  }

  jwksFetched(uri: string, success: boolean): void {
    this.#jwksFetches.inc({ uri, success: String(success) });
  }

  securityEvent(event: SecurityEvent, severity: Severity): void {
    this.#threats.event(event, severity);
  }

  suspicious(kind: Suspicion): void {
    this.#threats.suspicious(kind);
  }

  upstreamFailed(reason: string): void {
    this.#upstreamFailures.inc({ reason });
  }
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** The client chooses the method, so that only the usual ones become label values. */
function knownMethod(method: string): string {
  return METHODS.has(method) ? method : 'other';
}
