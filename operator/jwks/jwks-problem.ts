import type { PlainAnswer } from '../plain-http-server.ts';

/** Why there is no answer: status, title and detail of RFC 9457. docs/errors.md is compared with it in CI. */
export const JWKS_PROBLEMS = {
  not_found: [
    404,
    'Not Found',
    'No key set is served here. Ask for /jwks/NAMESPACE/NAME, or for the path of an issuer and /.well-known/openid-configuration.',
  ],
  symmetric_key_set: [404, 'Not Found', 'The keys of this key set are secrets, of which there is no JWKS.'],
  issuer_ambiguous: [
    404,
    'Not Found',
    'More than one key set has this issuer. Ask for /jwks/NAMESPACE/NAME/.well-known/openid-configuration.',
  ],
  issuer_not_url: [
    404,
    'Not Found',
    "The issuer of this key set is no http or https URL, and the chart's jwks.externalUrl is empty: set one of the two.",
  ],
  too_many_requests: [429, 'Too Many Requests', 'This address asks more often than 500 times a second.'],
  method_not_allowed: [405, 'Method Not Allowed', 'Only GET and HEAD are served.'],
  not_published: [503, 'Service Unavailable', 'This key set has no published key yet.'],
} as const satisfies Readonly<Record<string, readonly [status: number, title: string, detail: string]>>;

/** A code of `JWKS_PROBLEMS`. */
export type JwksProblem = keyof typeof JWKS_PROBLEMS;

const RETRY_SECONDS = 5;

/** The RFC 9457 answer; nothing in it depends on the request. */
export function problemAnswer(code: JwksProblem): PlainAnswer {
  const [status, title, detail] = JWKS_PROBLEMS[code];
  const problem = { type: `https://portcullis.dev/errors#${code}`, title, status, detail, code };
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      ...(status === 503 && { 'retry-after': String(RETRY_SECONDS) }),
      ...(status === 429 && { 'retry-after': '1' }),
      ...(status === 405 && { allow: 'GET, HEAD' }),
    },
    body: `${JSON.stringify(problem)}\n`,
  };
}
