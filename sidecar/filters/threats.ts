import type { LimitsBundle, PathMatching } from '../../policy/bundle/types.ts';
import { pathSet } from '../../policy/evaluate/threats/path-set.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Filter } from '../pipeline/filter.ts';
import type { BlockStore } from '../stores/blocks.ts';
import type { Offences } from '../threats/offences.ts';
import type { SecurityLog } from '../threats/security-log.ts';
import { byAddress, loginSubject, type SubjectOf, subjectOf } from '../threats/subjects.ts';
import { THROTTLED } from './blocklist.ts';

/** Refusals of a token that no honest client can have; the others happen to those whose token is old or for somebody else. */
const FORGED: readonly string[] = ['signature', 'algorithm'];

/** What is counted of a RateLimitPolicy. */
export interface Watch {
  readonly bundle: LimitsBundle;
  readonly blocks: BlockStore;
  readonly offences: Offences;
}

/** What the threats layer works with. */
export interface ThreatsOptions {
  readonly log: SecurityLog;
  readonly metrics: PolicyMetrics;
  readonly pathMatching: PathMatching;
  /** Null where no policy names offences: then events are told and nothing is counted. */
  readonly watch: Watch | null;
}

/** Looks at how each exchange ended: tells security events and counts offences. Changes no answer and waits for nothing. */
export function threats({ log, metrics, pathMatching, watch }: ThreatsOptions): Filter {
  const count = watch === null ? null : counters(watch, pathMatching);
  // What an access policy in Shadow would have refused must not lead to a block that is carried out.
  const countInShadow = watch?.bundle.mode === 'Shadow' ? count : null;

  const refused = (exchange: Exchange, code: string, reason: string, now: number, count: Counters | null): void => {
    switch (code) {
      case 'blocked':
        metrics.suspicious('blocked');
        break;
      case 'rate_limited':
        if (reason === THROTTLED) metrics.suspicious('throttled');
        else count?.overLimit(exchange, reason, now);
        break;
      case 'token_invalid':
        if (!FORGED.includes(reason)) break;
        metrics.suspicious('forged_token');
        log('unauthorized_access_attempt', now, { ...about(exchange), reason: 'forged_token' });
        count?.failedLogin(exchange, null, now);
        break;
      case 'tenant_mismatch':
        metrics.suspicious('tenant_mismatch');
        log('unauthorized_access_attempt', now, { ...about(exchange), reason: 'tenant_mismatch' });
        break;
      case 'origin_mismatch':
        metrics.suspicious('origin_mismatch');
        break;
    }
  };

  const failedLogin = (exchange: Exchange, user: string | null, now: number): void => {
    metrics.suspicious('failed_login');
    // Those at our own token endpoints are counted there.
    if (user === null) metrics.loginFailed();
    // Without the name: people type passwords there.
    log('failed_login', now, about(exchange));
    count?.failedLogin(exchange, user, now);
  };

  return {
    name: 'threats',
    onFinish: (exchange) => {
      const { refusal, shadowDenials, loginFailure, loginSuccess, refreshReuse } = exchange;
      const nothing = refusal === '' && shadowDenials === null && loginFailure === null && loginSuccess === null;
      if (nothing && count?.countsAnswers !== true) return;
      const now = Math.floor(exchange.receivedAt + performance.now() - exchange.startedAt);
      if (refusal !== '') refused(exchange, refusal, exchange.refusalReason, now, count);
      if (shadowDenials !== null) {
        for (const { code, reason } of shadowDenials) refused(exchange, code, reason, now, countInShadow);
      }
      if (loginFailure !== null) failedLogin(exchange, loginFailure.user, now);
      if (refreshReuse !== null) log('refresh_token_reused', now, { ...about(exchange), user: refreshReuse.user });
      if (count === null || refusal === 'blocked') return;
      if (refusal === '' && count.isRefusedLogin(exchange)) failedLogin(exchange, null, now);
      if (loginSuccess !== null) count.loggedIn(exchange, loginSuccess.user, now);
      if (count.answered(exchange, now)) metrics.suspicious('scanning');
    },
  };
}

function about({ id, clientAddress, method, path, identity }: Exchange) {
  return { requestId: id, client: clientAddress, method, path, ...(identity?.user && { user: identity.user }) };
}

/** The offences that a policy counts. */
interface Counters {
  overLimit(exchange: Exchange, limit: string, now: number): void;
  /** `user` null: only the address is known. */
  failedLogin(exchange: Exchange, user: string | null, now: number): void;
  loggedIn(exchange: Exchange, user: string, now: number): void;
  /** False: `isRefusedLogin` and `answered` have nothing to look for. */
  readonly countsAnswers: boolean;
  /** Whether the application refused a log-in of its own. */
  isRefusedLogin(exchange: Exchange): boolean;
  /** Counts what is counted of every answer; whether this one looks like scanning. */
  answered(exchange: Exchange, now: number): boolean;
}

function counters({ bundle, blocks, offences }: Watch, pathMatching: PathMatching): Counters {
  const { penalties, bruteForce, scanning, abuse, exfiltration } = offences;
  const { threats = {} } = bundle;
  const punished = new Map<string, SubjectOf | null>(bundle.limits.map(({ name, key }) => [name, subjectOf(key)]));
  const keys = threats.bruteForce?.keys ?? [];
  const statuses = new Set(threats.scanning?.statuses);
  const abuser = subjectOf([threats.abuse?.key ?? 'user']) ?? byAddress;
  const reader = subjectOf([threats.exfiltration?.key ?? 'user']) ?? byAddress;
  const paths = threats.bruteForce?.paths ?? [];
  const isLogin = pathSet(paths, pathMatching, 'threats.bruteForce');
  return {
    countsAnswers: paths.length > 0 || scanning !== null || abuse !== null || exfiltration !== null,
    overLimit: (exchange, limit, now) => {
      const subject = punished.get(limit);
      if (penalties !== null && subject) blocks.count(penalties, subject(exchange), 1, now);
    },
    failedLogin: (exchange, user, now) => {
      if (bruteForce === null) return;
      if (keys.includes('ip')) blocks.count(bruteForce, byAddress(exchange), 1, now);
      if (user !== null && keys.includes('user')) blocks.count(bruteForce, loginSubject(user), 1, now);
    },
    loggedIn: (exchange, user, now) => {
      if (keys.includes('user')) blocks.noteLogin(loginSubject(user), exchange.addressKey, now);
    },
    isRefusedLogin: ({ status, method, path }) =>
      (status === 401 || status === 403) && method === 'POST' && isLogin(path),
    answered: (exchange, now) => {
      if (abuse !== null && !exchange.reservedLane) blocks.count(abuse, abuser(exchange), 1, now);
      if (exfiltration !== null && exchange.bytesSent > 0) {
        blocks.count(exfiltration, reader(exchange), exchange.bytesSent, now);
      }
      if (scanning === null || !statuses.has(exchange.status)) return false;
      blocks.count(scanning, byAddress(exchange), 1, now);
      return true;
    },
  };
}
