import type { AccessPolicy } from '../api/access-policy.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import type { ClientIpConfig, ConnectionSettings, StoreConfig } from '../bundle/types.ts';
import type { Findings } from './finding.ts';
import { findSecret, type References } from './references.ts';

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

/** Reads the URL of a policy's store out of its Secret; null: it names none, or the Secret is of no use. */
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
    const wrong = url === undefined ? 'has no key url' : 'has a key url that is no redis:// or rediss:// URL';
    findings.error(STORE_PATH, `Secret ${namespace}/${name} ${wrong}; write url: redis://host:6379`, 'RefNotFound');
    return null;
  }
  return { redisUrl: url };
}

/** Whether `text` is a URL of a Redis server, with TLS or without. */
export function isRedisUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'redis:' || url.protocol === 'rediss:') && url.hostname !== '';
}

/** Warns about proxies that are trusted too widely or to no effect. */
function compileClientIp(
  { clientIP }: AccessPolicy['spec'] | RateLimitPolicy['spec'],
  findings: Findings,
): ClientIpConfig | null {
  if (clientIP === undefined) return null;
  for (const [index, range] of clientIP.trustedProxies.entries()) {
    if (!/\/0+$/.test(range)) continue;
    findings.warn(
      ['spec', 'clientIP', 'trustedProxies', index],
      `${range} is every address, so that any client may say what its address is; write the ranges of your proxies`,
    );
  }
  if (clientIP.trustedProxies.length > 0 && clientIP.trustedHops === 0) {
    findings.warn(
      ['spec', 'clientIP', 'trustedHops'],
      'is 0, so that trustedProxies has no effect; write how many proxies append to X-Forwarded-For',
    );
  }
  return { trustedHops: clientIP.trustedHops, trustedProxies: clientIP.trustedProxies };
}
