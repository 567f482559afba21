import { formatPath } from '../../policy/api/problem.ts';
import type { Finding, FindingCode } from '../../policy/compile/finding.ts';
import { listed } from '../../policy/compile/suggest.ts';
import type { CommonStatus } from '../resources.ts';
import { type Found, type FoundStatus, no, yes } from '../status/conditions.ts';
import type { Enforcement } from '../workloads/enforcement.ts';

/** What one reconciliation found of a policy. */
export interface PolicyPicture {
  readonly kind: 'AccessPolicy' | 'RateLimitPolicy';
  readonly name: string;
  readonly findings: readonly Finding[];
  /** Why the bundle of this generation is not in its Secret; null: it is. */
  readonly notReady: NotReady | null;
  /** What is in the Secret, and what pods do about it; null: no bundle of ours is. */
  readonly inUse: { readonly serial: number; readonly mode: 'Enforce' | 'Shadow'; readonly pods: Enforcement } | null;
  readonly secretName: string;
  /** Why a Secret that the policy needs is of no use; null: none. */
  readonly secretMissing: string | null;
  /** Whether the policy has egress, or had some; absent: never. */
  readonly egress?: 'Asked' | 'Dropped';
}

/** Why there is no bundle of a generation. */
export interface NotReady {
  readonly reason: 'NotAccepted' | 'Conflicted' | 'SecretMissing';
  readonly message: string;
}

const MAX_LINES = 100;
const MAX_LINE = 300;
const PRECEDENCE: readonly FindingCode[] = ['Invalid', 'Conflicted', 'RefNotPermitted', 'RefNotFound'];
const ANNOTATION = { AccessPolicy: 'access-policy', RateLimitPolicy: 'rate-limit-policy' } as const;

/** The status that says it. */
export function policyStatus(picture: PolicyPicture): FoundStatus<CommonStatus> {
  const { matched, current, stale } = picture.inUse?.pods ?? { matched: 0, current: 0, stale: 0 };
  return {
    conditions: [accepted(picture), ready(picture), enforced(picture), degraded(picture), ...egressEnforced(picture)],
    pods: { matched, current, stale },
  };
}

function accepted({ findings }: PolicyPicture): Found {
  const codes = new Set(findings.flatMap(({ severity, code }) => (severity === 'error' ? [code] : [])));
  const reason = PRECEDENCE.find((code) => codes.has(code));
  const message = findingLines(findings);
  return reason === undefined ? yes('Accepted', 'Accepted', message) : no('Accepted', reason, message);
}

/** Findings one a line, errors first; bounded, so that they fit a condition. */
export function findingLines(findings: readonly Finding[]): string {
  const lines = findings
    .toSorted((one, other) => Number(one.severity === 'warning') - Number(other.severity === 'warning'))
    .map(({ severity, path, message }) => {
      // Messages quote what was written, and terminals obey control characters.
      const line = `${severity === 'warning' ? 'warning: ' : ''}${formatPath(path)}: ${message}`.replace(
        /\p{Cc}+/gu,
        ' ',
      );
      return line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line;
    });
  return lines.length > MAX_LINES
    ? [...lines.slice(0, MAX_LINES), `and ${lines.length - MAX_LINES} more`].join('\n')
    : lines.join('\n');
}

function ready({ notReady, inUse, secretName }: PolicyPicture): Found {
  if (notReady === null) return yes('Ready', 'Written', `Secret ${secretName} holds serial ${inUse?.serial}`);
  const meanwhile =
    inUse === null
      ? 'there is no bundle yet, and pods that wait for it stay unready'
      : `pods keep the last good one, serial ${inUse.serial}`;
  return no('Ready', notReady.reason, `${notReady.message}; ${meanwhile}`);
}

function enforced({ kind, name, notReady, inUse }: PolicyPicture): Found {
  if (notReady !== null || inUse === null) {
    return no('Enforced', 'NotReady', 'the policy as written here is not in force: see Ready');
  }
  const { serial, mode, pods } = inUse;
  if (pods.refused.length > 0) return no('Enforced', 'Refused', `refused by ${listed(pods.refused)}`);
  if (pods.restartRequired.length > 0) {
    return no('Enforced', 'RestartRequired', `restart these pods: ${listed(pods.restartRequired)}`);
  }
  if (pods.matched === 0) {
    const example = `portcullis.dev/${ANNOTATION[kind]}: ${name}`;
    return no('Enforced', 'NoMatchingPods', `no running pod is under this policy; annotate a Service with ${example}`);
  }
  if (pods.current < pods.matched) {
    const progress = `${pods.current} of ${pods.matched} pods run serial ${serial}`;
    return no('Enforced', 'Progressing', `${progress}; waiting for ${listed(pods.waiting)}`);
  }
  const { candidates = 0 } = pods;
  if (candidates === pods.matched) {
    const message = `all pods run serial ${serial} beside the policy that they enforce, and deny nothing by it; its differences are counted in portcullis_candidate_differences_total`;
    return no('Enforced', 'Candidate', message);
  }
  if (mode === 'Shadow') {
    return no('Enforced', 'Shadow', `all pods run serial ${serial} and deny nothing; write mode: Enforce to deny`);
  }
  const trying = candidates === 0 ? '' : `; ${candidates} of ${pods.matched} only try it`;
  return yes('Enforced', 'Acknowledged', `all pods run serial ${serial}${trying}`);
}

/** Nothing keeps an application under Takeover or Bind from dialling out by itself. */
function egressEnforced({ egress }: PolicyPicture): Found[] {
  const type = 'EgressEnforced';
  if (egress === undefined) return [];
  if (egress === 'Dropped') return [{ type, status: 'Unknown', reason: 'NoEgress', message: '' }];
  const message =
    'the sidecar sends on only what allow names, but nothing keeps the application from dialling out by itself; a NetworkPolicy that closes its egress to all but DNS and these brokers at least narrows that';
  return [no(type, 'Advisory', message)];
}

function degraded({ secretMissing, inUse }: PolicyPicture): Found {
  const { staleJwks = [] } = inUse?.pods ?? {};
  if (secretMissing === null && staleJwks.length > 0) {
    const message = `keys of issuers outside cannot be fetched, and onFailure decides: ${listed(staleJwks)}; the sidecar's log says why`;
    return yes('Degraded', 'JWKSStale', message);
  }
  if (secretMissing === null) return no('Degraded', 'AsExpected', '');
  return yes('Degraded', 'SecretMissing', secretMissing);
}
