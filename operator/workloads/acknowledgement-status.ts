import { type BundleState, MAX_REASON_LENGTH, MAX_REASONS, type SidecarStatus } from '../../runtime/sidecar-status.ts';

const MAX_KEY_SETS = 256;
const MAX_STALE = 64;
/** Also what makes a terminal do things, or text read backwards. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const CODE = /^[a-z][a-z0-9_]{0,63}$/;

/**
 * What a pod says at /status. A pod may say anything: members of another type make the whole answer void, texts are cut,
 * and members that this version does not know are left out. A sidecar of an older version says no `notReady` and no `bundles.issuer`: none. Throws a SyntaxError or TypeError that says what is wrong.
 */
export function parseSidecarStatus(text: string): SidecarStatus {
  const status = objectAt(JSON.parse(text), 'status');
  const bundles = objectAt(status['bundles'], 'bundles');
  const keySets = Object.entries(objectAt(status['keySets'], 'keySets'));
  if (keySets.length > MAX_KEY_SETS) throw new TypeError(`keySets has more than ${MAX_KEY_SETS} members`);
  if (typeof status['draining'] !== 'boolean') throw new TypeError('draining is not true or false');
  return {
    uid: textAt(status['uid'], 'uid', 64),
    version: textAt(status['version'], 'version', 64),
    bundles: {
      access: bundleAt(bundles['access'], 'access'),
      limits: bundleAt(bundles['limits'], 'limits'),
      issuer: bundleAt(bundles['issuer'] ?? null, 'issuer'),
      ...candidateAt(bundles, 'candidateAccess'),
      ...candidateAt(bundles, 'candidateLimits'),
    },
    keySets: Object.fromEntries(keySets.map(([name, serial]) => [name.slice(0, 512), countAt(serial, 'a key set')])),
    ...staleJwksAt(status['staleJwks']),
    draining: status['draining'],
    notReady: reasonsAt(status['notReady'] ?? []),
  };
}

function staleJwksAt(value: unknown): Pick<SidecarStatus, 'staleJwks'> {
  if (value === undefined) return {};
  const entries = Object.entries(objectAt(value, 'staleJwks'));
  if (entries.length > MAX_STALE) throw new TypeError(`staleJwks has more than ${MAX_STALE} members`);
  const staleJwks = entries.map(([uri, age]): [string, number | null] => [
    uri.slice(0, 256).replace(INVISIBLE, ' '),
    age === null ? null : countAt(age, 'an age'),
  ]);
  return { staleJwks: Object.fromEntries(staleJwks) };
}

function candidateAt(bundles: Readonly<Record<string, unknown>>, member: 'candidateAccess' | 'candidateLimits') {
  const state = bundleAt(bundles[member] ?? null, member);
  return state === null ? {} : { [member]: state };
}

function bundleAt(value: unknown, place: string): BundleState | null {
  if (value === null) return null;
  const state = objectAt(value, place);
  return {
    namespace: textAt(state['namespace'], `${place}.namespace`, 253),
    name: textAt(state['name'], `${place}.name`, 253),
    serial: countAt(state['serial'], `${place}.serial`),
    hash: textAt(state['hash'], `${place}.hash`, 128),
    loadedAt: countAt(state['loadedAt'], `${place}.loadedAt`),
    error: errorAt(state['error'], `${place}.error`),
  };
}

function errorAt(value: unknown, place: string): BundleState['error'] {
  if (value === null) return null;
  const { code, message } = objectAt(value, place);
  if (typeof code !== 'string' || !CODE.test(code)) throw new TypeError(`${place}.code is not a code`);
  return { code, message: textAt(message, `${place}.message`, 1024) };
}

function reasonsAt(value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length > MAX_REASONS) throw new TypeError(`notReady is no list of ${MAX_REASONS}`);
  return value.map((reason) => textAt(reason, 'a reason', MAX_REASON_LENGTH).replace(INVISIBLE, ' '));
}

function objectAt(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError(`${place} is no object`);
  return value as Readonly<Record<string, unknown>>;
}

function textAt(value: unknown, place: string, longest: number): string {
  if (typeof value !== 'string') throw new TypeError(`${place} is no text`);
  return value.slice(0, longest);
}

function countAt(value: unknown, place: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new TypeError(`${place} is no whole number from 0`);
  return value as number;
}
