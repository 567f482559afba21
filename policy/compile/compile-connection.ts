import type { AccessPolicy } from '../api/access-policy.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import type { ClientIpConfig, ConnectionSettings, StoreConfig } from '../bundle/types.ts';
import { parseRedisUrl, REDIS_URL_FORMS } from '../evaluate/redis-url.ts';
import type { Findings } from './finding.ts';
import { findSecret, type References } from './references.ts';
import { tooWide } from './wide-proxies.ts';

const STORE_PATH = ['spec', 'store', 'redis', 'secretRef', 'name'];

/** Compiles what a policy says of what the policies of one sidecar share, beside the operator's word on it. */
export function compileConnection(
  policy: AccessPolicy | RateLimitPolicy,
  references: References,
  findings: Findings,
): ConnectionSettings {
  const { defaultStore, defaultClientIp } = references;
  return {
    store: compileStore(policy, references, findings),
    clientIp: compileClientIp(policy.spec, findings),
    defaults: {
      store: defaultStore === null ? null : { redisUrl: defaultStore },
      clientIp: defaultClientIp ?? { trustedHops: 0, trustedProxies: [] },
    },
  };
}

/** Reads where a policy's store is out of its Secret (keys url and, for TLS, ca.crt); null: it names none, or the Secret is of no use. */
function compileStore(
  { metadata, spec }: AccessPolicy | RateLimitPolicy,
  references: References,
  findings: Findings,
): StoreConfig | null {
  if (references.storeOverride !== null) return { redisUrl: references.storeOverride };
  if (spec.store === undefined) return null;
  const { namespace } = metadata;
  const { name } = spec.store.redis.secretRef;
  const secret = findSecret(name, STORE_PATH, 'the URL as its key url', namespace, references, findings);
  if (secret === null) return null;
  // `echo | base64` leaves a newline at the end.
  const url = secret.data['url']?.trim();
  if (url === undefined || !isRedisUrl(url)) {
    const wrong =
      url === undefined
        ? 'has no key url; write url: redis://host:6379'
        : `has a key url that is no URL of a Redis; write url: ${REDIS_URL_FORMS}`;
    findings.error(STORE_PATH, `Secret ${namespace}/${name} ${wrong}`, 'RefNotFound');
    return null;
  }
  const ca = secret.data['ca.crt']?.trim();
  if (ca === undefined) return { redisUrl: url };
  const problem = !/^-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----$/.test(ca)
    ? 'that holds no certificate; write one or more in PEM, or leave ca.crt out'
    : !url.startsWith('rediss')
      ? 'but its url is not TLS; write rediss:// instead of redis://'
      : null;
  if (problem === null) return { redisUrl: url, ca };
  findings.error(STORE_PATH, `Secret ${namespace}/${name} has a key ca.crt ${problem}`, 'RefNotFound');
  return null;
}

/** Whether `text` is the URL of a store: a Redis, one behind sentinels or a cluster, with TLS or without. */
export function isRedisUrl(text: string): boolean {
  return parseRedisUrl(text) !== null;
}

/** Warns about proxies that are trusted too widely or to no effect. */
function compileClientIp(
  { clientIP }: AccessPolicy['spec'] | RateLimitPolicy['spec'],
  findings: Findings,
): ClientIpConfig | null {
  if (clientIP === undefined) return null;
  for (const [index, range] of clientIP.trustedProxies.entries()) {
    const problem = tooWide(range);
    if (problem !== null) findings.warn(['spec', 'clientIP', 'trustedProxies', index], problem);
  }
  if (clientIP.trustedProxies.length > 0 && clientIP.trustedHops === 0) {
    findings.warn(
      ['spec', 'clientIP', 'trustedHops'],
      'is 0, so that trustedProxies has no effect; write how many proxies append to X-Forwarded-For',
    );
  }
  return { trustedHops: clientIP.trustedHops, trustedProxies: clientIP.trustedProxies };
}
