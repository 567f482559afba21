import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../lab.ts';
import { PROXY_CORE } from '../proc-readings.ts';
import { AUDIENCE, ISSUER, type TokenSet } from '../tokens.ts';
import type { Peer } from './peer.ts';

/** Whether HAProxy verifies every token, or remembers verified ones in a stick table, as one can write by hand. */
export type HaproxyVariant = 'verify' | 'cache';

/**
 * HAProxy with JWT, role and rate per user; it writes no access log. With the cache it also checks iss and aud. `rules`: so many path
 * rules, of which the last is the one for /orders, as one writes them by hand.
 */
export function haproxy(variant: HaproxyVariant, tokens: TokenSet, rules = 1): Peer {
  const what = variant === 'cache' ? 'with a hand-made token cache' : 'every token verified';
  return {
    name: `HAProxy ${tokens.algorithm}, ${what}, ${rules === 1 ? '' : `${rules} rules, `}no log`,
    tokens,
    launch: async (lab, upstreamPort) => {
      const port = await freePort();
      const file = join(lab.scratch, `haproxy-${port}.cfg`);
      writeFileSync(file, configuration(variant, tokens, port, upstreamPort, rules));
      const child = lab.children.start(`haproxy-${variant}`, PROXY_CORE, 'haproxy', ['-db', '-f', file]);
      return { child, port, ready: { port, path: '/orders', token: tokens.good }, logFile: null };
    },
  };
}

function configuration(
  variant: HaproxyVariant,
  tokens: TokenSet,
  port: number,
  upstreamPort: number,
  rules: number,
): string {
  const verified = `{ var(txn.bearer),jwt_verify("${tokens.algorithm}","${tokens.publicKeyFile}") -m int 1 }`;
  const verify =
    variant === 'verify'
      ? `  http-request deny deny_status 401 unless ${verified}`
      : `  http-request track-sc1 var(txn.bearer),sha2(256) table tokens
  http-request deny deny_status 401 unless { sc_get_gpt0(1) eq 1 } || ${verified}
  http-request sc-set-gpt0(1) 1 unless { sc_get_gpt0(1) eq 1 }
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_payload_query('$.iss') -m str ${ISSUER} } { var(txn.bearer),jwt_payload_query('$.aud') -m str ${AUDIENCE} }`;
  return `global
  nbthread 1
defaults
  mode http
  timeout client 600s
  timeout server 600s
  timeout connect 5s
  http-reuse always
backend application
  server a 127.0.0.1:${upstreamPort}
backend tokens
  stick-table type binary len 32 size 100k expire 5m store gpt0
frontend proxy
  bind 127.0.0.1:${port}
  stick-table type string len 64 size 100k expire 2m store http_req_rate(60s)
  http-request set-var(txn.bearer) http_auth_bearer
${verify}
  http-request set-var(txn.sub) var(txn.bearer),jwt_payload_query('$.sub')
  http-request set-var(txn.role) var(txn.bearer),jwt_payload_query('$.role')
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
${otherRules(rules)}  http-request deny deny_status 403 unless { path_beg /orders } { method GET } { var(txn.role) -m str trader admin }
  http-request track-sc0 var(txn.sub)
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 100000000 }
  default_backend application
`;
}

/** One path with a parameter a rule, tried in turn. */
function otherRules(rules: number): string {
  return Array.from(
    { length: rules - 1 },
    (_, at) =>
      `  http-request deny deny_status 403 if { path_reg ^/accounts-${at}/[^/]+/orders$ } !{ var(txn.role) -m str trader admin }\n`,
  ).join('');
}
