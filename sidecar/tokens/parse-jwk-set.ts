import type { JwtAlgorithm, VerificationKey } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { KEY_SHAPES } from '../../policy/keys/algorithms.ts';
import { loadKeys, PRIVATE_MEMBERS } from './load-keys.ts';
import { isJsonObject, parseStrictJsonObject } from './strict-json.ts';

/** What an issuer outside publishes, as far as it is of use. */
export interface ParsedJwkSet {
  /** Never empty; no kid twice. */
  readonly keys: readonly VerificationKey[];
  /** Why each of the others is not used, kid first; never key material. */
  readonly skipped: readonly string[];
}

const MAX_KEYS = 64;
const MAX_KID_CHARACTERS = 512;
const MAX_DEPTH = 16;
const MAX_REASONS_SAID = 3;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Parses a JWK Set (RFC 7517 §5) of an issuer outside into the keys that verify tokens by one of `algorithms`. A key is skipped
 * when it is secret, private, weak, has no kid or one that another key has too, is not for signatures (`use`, `key_ops`),
 * or does not say its `alg` where not exactly one of `algorithms` fits. Throws `key_refused` for what is no JWK Set, has
 * more than 64 keys or none that is of use: an empty set is an issuer's accident, not its word that no token is good.
 */
export function parseJwkSet(document: Uint8Array, algorithms: readonly JwtAlgorithm[]): ParsedJwkSet {
  const entries = parseStrictJsonObject(decoded(document), MAX_DEPTH)?.['keys'];
  if (!Array.isArray(entries)) throw refused('it is no JSON object with a list "keys" (RFC 7517 §5)');
  if (entries.length > MAX_KEYS) throw refused(`it has ${entries.length} keys; at most ${MAX_KEYS} are read`);

  const skipped: string[] = [];
  const byKid = new Map<string, { readonly key: VerificationKey; readonly identity: string } | null>();
  for (const [index, entry] of entries.entries()) {
    const key = verificationKey(entry, algorithms);
    if (typeof key === 'string') {
      skipped.push(`${nameOf(entry, index)}: ${key}`);
      continue;
    }
    const identity = identityOf(key);
    if (identity instanceof PortcullisError) {
      skipped.push(identity.message);
      continue;
    }
    const twin = byKid.get(key.kid);
    if (twin === undefined) byKid.set(key.kid, { key, identity });
    else if (twin?.identity !== identity) {
      byKid.set(key.kid, null);
      skipped.push(`${nameOf(entry, index)}: its kid belongs to another key of the set too, so that neither is used`);
    }
  }
  const keys = [...byKid.values()].flatMap((found) => found?.key ?? []);
  if (keys.length === 0) {
    const reasons = skipped.slice(0, MAX_REASONS_SAID).map((reason) => `; ${reason}`);
    throw refused(`none of its ${entries.length} keys is of use${reasons.join('')}`);
  }
  return { keys, skipped };
}

/** The key as a bundle would carry it, or why it is not used. */
function verificationKey(entry: unknown, algorithms: readonly JwtAlgorithm[]): VerificationKey | string {
  if (!isJsonObject(entry)) return 'it is no object';
  const { kid, kty, crv, alg, use, key_ops: operations } = entry;
  if (typeof kid !== 'string' || kid === '') return 'it has no kid, by which tokens could name it';
  if (kid.length > MAX_KID_CHARACTERS) return `its kid has more than ${MAX_KID_CHARACTERS} characters`;
  if (kty === 'oct') return 'it is symmetric, and published it is no secret';
  const leaked = Object.keys(entry).find((member) => PRIVATE_MEMBERS.has(member));
  if (leaked !== undefined) return `it holds the private member "${leaked}"`;
  if (use !== undefined && use !== 'sig') return 'its use is not sig';
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    return 'its key_ops has no verify';
  }
  const fitting = algorithms.filter(
    (name) => KEY_SHAPES[name].kty === kty && KEY_SHAPES[name].crv === curveOf(kty, crv),
  );
  const found = alg === undefined ? fitting : fitting.filter((name) => name === alg);
  const [algorithm] = found;
  if (algorithm === undefined) return 'it is for none of the algorithms that the policy accepts';
  if (found.length > 1) return `it does not say its alg; write in the policy which it is: algorithms: [${found[0]}]`;
  const jwk: Record<string, string> = { kty: KEY_SHAPES[algorithm].kty };
  for (const member of KEY_SHAPES[algorithm].members) {
    const value = entry[member];
    if (typeof value !== 'string') return `its member "${member}" is missing`;
    jwk[member] = value;
  }
  return { kid, algorithm, jwk };
}

/** RSA has none. */
function curveOf(kty: unknown, crv: unknown): unknown {
  return kty === 'RSA' ? undefined : crv;
}

function identityOf(key: VerificationKey): string | PortcullisError {
  try {
    return loadKeys([key]).get(key.kid)?.identity ?? '';
  } catch (error) {
    if (error instanceof PortcullisError) return error;
    throw error;
  }
}

function nameOf(entry: unknown, index: number): string {
  const kid = isJsonObject(entry) ? entry['kid'] : undefined;
  return typeof kid === 'string' ? `key ${JSON.stringify(kid.slice(0, 64))}` : `keys[${index}]`;
}

function decoded(document: Uint8Array): string {
  try {
    return utf8.decode(document);
  } catch {
    return '';
  }
}

function refused(why: string): PortcullisError {
  return new PortcullisError('key_refused', `JWK Set refused: ${why}`);
}
