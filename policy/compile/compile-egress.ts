import { parseDuration } from '../api/duration.ts';
import type { EgressBroker } from '../api/egress.ts';
import type { Path } from '../api/problem.ts';
import { parseTierRate } from '../api/rate.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import type { EgressConfig } from '../bundle/egress.ts';
import { parseFernetKey } from '../fernet/fernet-key.ts';
import { decryptFernet } from '../fernet/fernet-token.ts';
import { compileCircuitBreaker } from './compile-connections.ts';
import { checkMatch } from './compile-match.ts';
import { findCertificates } from './find-certificates.ts';
import type { Findings } from './finding.ts';
import { findSecret, type References } from './references.ts';

/** What a header may hold (RFC 9110 §5.5), in ASCII. */
const HEADER_VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;
const MOST_CHARACTERS = 8_192;
/** Hosts that are certain to lead to an address of a network's own (RFC 1918, 4193, 6598, 6761; Services of a cluster). */
const PRIVATE_HOST =
  /^(localhost|(127|10)(\.\d+){3}|(192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))(\.\d+){2}|\[(::1|f[cd].*)\]|.*\.svc(\.cluster\.local)?)$/;

/** Compiles `egress` with its credentials in plain; nothing where a policy has none. */
export function compileEgress(
  { metadata: { namespace }, spec }: RateLimitPolicy,
  references: References,
  findings: Findings,
): { readonly egress?: readonly EgressConfig[] } {
  if (spec.egress.length === 0) return {};
  const egress = spec.egress.flatMap((broker, index): EgressConfig[] => {
    const path = ['spec', 'egress', index];
    for (const [at, { methods, paths }] of broker.allow.entries()) {
      checkMatch({ hosts: [], methods, paths }, [...path, 'allow', at], findings);
    }
    const origin = originOf(broker, [...path, 'url'], findings);
    const { retry, caSecretRef } = broker;
    const ca =
      caSecretRef === undefined
        ? null
        : findCertificates(caSecretRef, [...path, 'caSecretRef'], namespace, references, findings);
    const credential = compileCredential(broker, [...path, 'credentials'], namespace, references, findings);
    if (origin === null) return [];
    return [
      {
        name: broker.name,
        origin,
        allow: broker.allow.map(({ methods, paths }) => ({ methods, paths })),
        rate: compileRate(broker, path, findings),
        waitMs: parseDuration(broker.wait) ?? 0,
        retry:
          retry === undefined
            ? null
            : {
                attempts: retry.attempts,
                retryOn: [...new Set(retry.retryOn)],
                baseMs: parseDuration(retry.backoff.base) ?? 0,
                maxMs: parseDuration(retry.backoff.max) ?? 0,
              },
        circuitBreaker: broker.circuitBreaker === undefined ? null : compileCircuitBreaker(broker.circuitBreaker),
        credential,
        ca,
        allowPrivateAddresses: broker.allowPrivateAddresses,
      },
    ];
  });
  return { egress };
}

/** The origin without a dot at the end of its host, which no certificate has; null: reported. */
function originOf({ url: text, allowPrivateAddresses }: EgressBroker, path: Path, findings: Findings): string | null {
  const url = URL.parse(text);
  const host = url?.hostname.replace(/\.$/, '') ?? '';
  if (url?.protocol === 'https:' && url.username === '' && url.password === '' && url.pathname === '/' && host !== '') {
    if (!allowPrivateAddresses && PRIVATE_HOST.test(host))
      findings.warn(
        path,
        `${host} is a private address, which is refused; write allowPrivateAddresses: true beside url`,
      );
    return `https://${host}${url.port === '' ? '' : `:${url.port}`}`;
  }
  // The text may hold a password.
  findings.error(
    path,
    'is no https URL of a host alone; write one such as https://api.binance.com: paths belong in allow, a key in credentials',
  );
  return null;
}

function compileRate({ rate, burst }: EgressBroker, path: Path, findings: Findings): EgressConfig['rate'] {
  const parsed = parseTierRate(rate);
  if (parsed === undefined) return null; // decoding's to report
  if (parsed === null) {
    if (burst !== undefined)
      findings.error([...path, 'burst'], 'belongs to a rate, and rate is Unlimited; leave it out');
    return null;
  }
  return { ...parsed, burst: burst ?? 0 };
}

function compileCredential(
  { credentials }: EgressBroker,
  path: Path,
  namespace: string,
  references: References,
  findings: Findings,
): EgressConfig['credential'] {
  if (credentials === undefined) return null;
  const { secretRef, header, fernetKeySetRef } = credentials;
  const at = [...path, 'secretRef'];
  const holds = `the header's value as its key ${secretRef.key}`;
  const secret = findSecret(secretRef.name, [...at, 'name'], holds, namespace, references, findings);
  if (secret === null) return null;
  // `echo | base64` leaves a newline at the end.
  const held = Object.hasOwn(secret.data, secretRef.key) ? secret.data[secretRef.key]?.trim() : undefined;
  if (held === undefined || held === '') {
    const problem = held === undefined ? 'has no key' : 'has nothing in its key';
    findings.error(
      [...at, 'key'],
      `Secret ${namespace}/${secret.name} ${problem} ${secretRef.key}; write ${holds}, or name another key`,
      'RefNotFound',
    );
    return null;
  }
  const value =
    fernetKeySetRef === undefined
      ? held
      : decrypt(held, fernetKeySetRef.name, [...path, 'fernetKeySetRef', 'name'], namespace, references, findings);
  if (value === null) return null;
  if (value.length <= MOST_CHARACTERS && HEADER_VALUE.test(value)) return { header: header.toLowerCase(), value };
  findings.error(
    [...at, 'key'],
    `key ${secretRef.key} of Secret ${namespace}/${secret.name} cannot be the value of a header: write one line of at most 8 KiB in ASCII`,
  );
  return null;
}

/** What a Fernet token of a key set holds; null: reported. While a check has no keys at hand, a placeholder. */
function decrypt(
  token: string,
  name: string,
  path: Path,
  namespace: string,
  { keySets }: References,
  findings: Findings,
): string | null {
  const own = keySets.filter(({ resource: { metadata } }) => metadata.namespace === namespace);
  const found = own.find(({ resource: { metadata } }) => metadata.name === name);
  const keySet = `key set ${namespace}/${name}`;
  if (found === undefined) {
    findings.error(path, `${keySet} does not exist; add a SigningKeySet with algorithm: Fernet`, 'RefNotFound');
    return null;
  }
  if (found.resource.spec.algorithm !== 'Fernet') {
    findings.error(path, `${keySet} is for ${found.resource.spec.algorithm}; name one with algorithm: Fernet`);
    return null;
  }
  const fernet = found.outputs?.fernet;
  if (found.outputs !== null && fernet === undefined) return 'not-decrypted';
  const keys = (fernet ?? []).flatMap(({ key }) => {
    const parsed = parseFernetKey(key);
    return parsed.ok ? [parsed.value] : [];
  });
  if (keys.length === 0) {
    findings.error(path, `${keySet} has no key yet`, 'RefNotFound');
    return null;
  }
  const opened = decryptFernet(keys, token);
  if (!('refused' in opened)) return opened.plaintext.toString('utf8').trim();
  const why =
    opened.refused === 'malformed'
      ? 'holds no Fernet token: encrypt the value with portcullis fernet encrypt'
      : `holds a Fernet token that no key of ${keySet} made: encrypt the value again, or rotate it before its key goes`;
  findings.error(path, `the Secret of credentials ${why}`, 'RefNotFound');
  return null;
}
