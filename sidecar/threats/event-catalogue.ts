/** How soon somebody should look: `critical` at once, `warning` today, `info` when there is another reason to. */
export type Severity = 'info' | 'warning' | 'critical';

/** Every security event with its severity: a closed list, compared with docs/events.md in CI. */
export const SECURITY_EVENTS = {
  failed_login: 'info',
  multiple_failed_logins: 'critical',
  suspicious_api_usage: 'critical',
  unauthorized_access_attempt: 'critical',
  data_exfiltration_attempt: 'critical',
  refresh_token_reused: 'warning',
  rate_limit_penalty: 'warning',
  blocks_cleared: 'info',
} as const satisfies Readonly<Record<string, Severity>>;

/** One of `SECURITY_EVENTS`. */
export type SecurityEvent = keyof typeof SECURITY_EVENTS;

/** What makes a single request suspicious: the label of portcullis_suspicious_requests_total, compared with docs/events.md in CI. */
export const SUSPICIONS = [
  'blocked',
  'throttled',
  'forged_token',
  'tenant_mismatch',
  'origin_mismatch',
  'failed_login',
  'scanning',
] as const;

/** One of `SUSPICIONS`. */
export type Suspicion = (typeof SUSPICIONS)[number];
