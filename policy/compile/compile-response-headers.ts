import type { AccessPolicy } from '../api/access-policy.ts';
import { parseDuration } from '../api/duration.ts';
import type { CorsConfig } from '../bundle/types.ts';
import type { Findings } from './finding.ts';

type Headers = readonly (readonly [name: string, value: string])[];

const HSTS: Headers[number] = ['strict-transport-security', 'max-age=31536000; includeSubDomains'];

const UNUSED_FEATURES = (
  'accelerometer autoplay camera cross-origin-isolated display-capture encrypted-media fullscreen ' +
  'geolocation gyroscope keyboard-map magnetometer microphone midi payment picture-in-picture ' +
  'publickey-credentials-get screen-wake-lock usb web-share xr-spatial-tracking clipboard-read ' +
  'clipboard-write gamepad hid idle-detection serial'
).split(' ');

/**
 * OWASP Secure Headers Project, recommended values of 2024-09-02, for answers that a browser shows. Left out are
 * Clear-Site-Data, which belongs on a logout and not on every answer, and the retired parts: block-all-mixed-content, which
 * upgrade-insecure-requests makes void, and the permissions interest-cohort, sync-xhr and unload. base-uri is added: it does not fall back to default-src.
 */
const STRICT: Headers = [
  ['cache-control', 'no-store, max-age=0'],
  [
    'content-security-policy',
    "default-src 'self'; base-uri 'self'; form-action 'self'; object-src 'none'; frame-ancestors 'none'; upgrade-insecure-requests",
  ],
  ['cross-origin-embedder-policy', 'require-corp'],
  ['cross-origin-opener-policy', 'same-origin'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['permissions-policy', UNUSED_FEATURES.map((feature) => `${feature}=()`).join(', ')],
  ['referrer-policy', 'no-referrer'],
  HSTS,
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['x-permitted-cross-domain-policies', 'none'],
];

/** OWASP REST Security Cheat Sheet, "Security Headers", for answers that only programs read. */
const API: Headers = [
  ['cache-control', 'no-store'],
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
  ['referrer-policy', 'no-referrer'],
  HSTS,
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
];

const PRESETS = { Strict: STRICT, Api: API, None: [] } as const satisfies Record<string, Headers>;

/** The headers of the preset with the overrides applied; an empty override leaves the header out. */
export function compileSecurityHeaders(
  { preset, override }: AccessPolicy['spec']['securityHeaders'],
  findings: Findings,
): Headers {
  const headers = new Map<string, string>(PRESETS[preset]);
  const seen = new Map<string, string>();
  for (const [name, value] of Object.entries(override)) {
    const key = name.toLowerCase();
    const twin = seen.get(key);
    if (twin !== undefined) {
      findings.error(
        ['spec', 'securityHeaders', 'override', name],
        `is the same header as ${twin}; keep one of the two`,
      );
    }
    seen.set(key, name);
    if (value === '') headers.delete(key);
    else headers.set(key, value);
  }
  return [...headers];
}

/** The cross-origin rules with names in the form in which requests are compared; null: none. */
export function compileCors(cors: AccessPolicy['spec']['cors']): CorsConfig | null {
  if (cors === undefined) return null;
  return {
    origins: cors.origins,
    methods: cors.methods,
    headers: cors.headers.map((name) => name.toLowerCase()),
    exposeHeaders: cors.exposeHeaders,
    credentials: cors.credentials,
    maxAgeMs: parseDuration(cors.maxAge) ?? 0,
  };
}
