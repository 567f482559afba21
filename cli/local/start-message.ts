import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { isJwt } from '../../policy/keys/algorithms.ts';
import { FERNET_KEYS_FILE } from '../../policy/keys/exports.ts';
import { activeKid } from '../../policy/keys/outputs.ts';
import type { CheckedPolicies } from './check-policies.ts';
import { DirectoryKeyStore } from './directory-key-store.ts';
import type { LocalOptions } from './local-options.ts';
import type { RunningLocal } from './start-local.ts';

/** What is said once all is up: addresses, policies, keys, and the lines with which to try it. */
export function startMessage({ sidecar, policies, keys }: RunningLocal, options: LocalOptions): string {
  const { host, port } = options.upstream;
  const scheme = options.tls === undefined ? 'http' : 'https';
  const traffic = sidecar.traffic.map((address) => urlOf(address, scheme)).join(' ');
  const { accessPolicy, limitPolicy } = policies;
  const keyLines = policies.keySets.flatMap((keySet) => {
    const outputs = keys.outputsOf(keySet);
    const kid = outputs === null ? undefined : activeKid(outputs);
    if (kid === undefined) return [`${nameOf(keySet)} has no key`];
    const { algorithm } = keySet.spec;
    if (isJwt(algorithm)) return [`${nameOf(keySet)} signs with ${outputs?.issuing?.algorithm} ${kid}`];
    const { exportsDirectory } = new DirectoryKeyStore(options.state, keySet.metadata);
    return [
      `${nameOf(keySet)} encrypts with ${algorithm} ${kid}`,
      `  keys in ${join(exportsDirectory, FERNET_KEYS_FILE)}`,
    ];
  });
  const limits =
    limitPolicy === null
      ? 'no RateLimitPolicy: nothing is limited'
      : `RateLimitPolicy ${nameOf(limitPolicy)}, ${counted(limitPolicy.spec.limits.length, 'limit')} (${limitPolicy.spec.mode})`;
  return [
    `Portcullis guards http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    `  traffic   ${traffic}`,
    `  admin     ${urlOf(sidecar.admin)} (/healthz /readyz /metrics /status)`,
    ...egressLines(sidecar, limitPolicy),
    `  policies  AccessPolicy ${nameOf(accessPolicy)}, ${counted(accessPolicy.spec.rules.length, 'rule')} (${accessPolicy.spec.mode})`,
    `            ${limits}`,
    ...policies.candidates.map(
      (candidate) => `            candidate ${candidate.kind} ${nameOf(candidate)} is tried, and changes nothing`,
    ),
    ...keyLines.map((line, index) => `  ${index === 0 ? 'keys    ' : '        '}  ${line}`),
    `  state     ${options.state}`,
    ...linesToTry(policies, traffic, options.state),
  ].join('\n');
}

const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;

function egressLines({ egressPort }: RunningLocal['sidecar'], policy: CheckedPolicies['limitPolicy']): string[] {
  const port = egressPort();
  if (port === null || policy === null) return [];
  return policy.spec.egress.map(({ name, url }) => `  egress    http://127.0.0.1:${port}/${name}/ to ${url}`);
}

function linesToTry({ accessPolicy, keySets }: CheckedPolicies, traffic: string, state: string): string[] {
  const jwt = accessPolicy.spec.authentication.jwt.find(({ keySetRef }) => keySetRef !== undefined);
  const { namespace } = accessPolicy.metadata;
  const keySet = keySets.find(
    ({ metadata }) => metadata.namespace === namespace && metadata.name === jwt?.keySetRef?.name,
  );
  if (jwt === undefined || keySet === undefined) return [];
  const header = jwt.from.find((source) => source.header?.toLowerCase() === 'authorization');
  const { identity, roles, rules } = accessPolicy.spec;
  const claims: Record<string, unknown> = Object.fromEntries(jwt.requiredClaims.map((claim) => [claim, 'example']));
  setClaim(claims, identity.user[0], 'u1');
  const role = roles.at(-1)?.name;
  if (role !== undefined) setClaim(claims, identity.roles[0], [role]);
  const rule = rules.find(
    ({ match, allow }) =>
      (match.methods.length === 0 || match.methods.includes('GET')) && !allow.some((entry) => entry.anonymous),
  );
  const path = rule?.match.paths.find((pattern) => !/[{*]/.test(pattern)) ?? '/';
  const token = `npm run -s portcullis -- token --state ${shellWord(state)} --key-set ${nameOf(keySet)} --claims ${shellWord(JSON.stringify(claims))}`;
  if (header === undefined) return ['Make a token:', `  ${token}`];
  const scheme = header.scheme ?? 'Bearer';
  return ['Try:', `  TOKEN=$(${token})`, `  curl -i -H "Authorization: ${scheme} $TOKEN" ${traffic}${path}`];
}

/** Sets the claim at a JSON pointer (RFC 6901) of one step; deeper ones are left to the reader. */
function setClaim(claims: Record<string, unknown>, pointer: string | undefined, value: unknown): void {
  if (pointer !== undefined && /^\/[^/~]+$/.test(pointer)) claims[pointer.slice(1)] = value;
}

function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function urlOf({ address, family, port }: AddressInfo, scheme = 'http'): string {
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

function nameOf({ metadata }: Pick<SigningKeySet, 'metadata'>): string {
  return `${metadata.namespace}/${metadata.name}`;
}
