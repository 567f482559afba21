import { JWT_ALGORITHMS, type JwtAlgorithm } from '../bundle/types.ts';
import {
  boolean,
  count,
  invalid,
  list,
  nullable,
  object,
  parseJson,
  type Read,
  record,
  string,
  strings,
  word,
} from './json-reader.ts';
import type { ActiveKey, Key, Keyring, RetiredKey, StandbyKey, Tombstone } from './keyring.ts';
import { type Graces, isSymmetric } from './spec.ts';

const FORMAT = 'portcullis-keyring/v1';

/** A keyring as JSON text. Holds private keys. */
export function encodeKeyring(keyring: Keyring): string {
  return `${JSON.stringify({ format: FORMAT, ...keyring }, null, 2)}\n`;
}

/**
 * The keyring in a JSON text. Throws `keyring_invalid`, naming the place and never a value, on anything that
 * `encodeKeyring` would not have written.
 */
export function decodeKeyring(text: string): Keyring {
  const { format: _, ...keyring } = readDocument(parseJson(text), '');
  checkWhole(keyring);
  return keyring;
}

const algorithm = word(JWT_ALGORITHMS);

const graces = record<Graces>({ maxTokenLifetimeMs: count, propagationMs: count, clockSkewMs: count });

const common = {
  kid: string,
  algorithm,
  jwk: strings,
  privateMembers: nullable(strings),
  createdAt: count,
  addedSerial: count,
  publishedAt: nullable(count),
};

const byPhase: { readonly [Phase in Key['phase']]: Read<Key> } = {
  Standby: record<StandbyKey>({ ...common, phase: word(['Standby']) }),
  Active: record<ActiveKey>({ ...common, phase: word(['Active']), activatedAt: count, activatedSerial: count, graces }),
  Retired: record<RetiredKey>({
    ...common,
    phase: word(['Retired']),
    activatedAt: count,
    retiredAt: count,
    retireConfirmedAt: nullable(count),
    graces,
  }),
};

const phase = word(['Standby', 'Active', 'Retired']);

const key: Read<Key> = (value, path) => {
  const read = byPhase[phase(object(value, path)['phase'], `${path}.phase`)](value, path);
  const members = MEMBERS[read.algorithm];
  if (!sameNames(read.jwk, members.jwk)) throw invalid(`${path}.jwk`, `of members ${members.jwk.join(', ')}`);
  if (read.privateMembers === null) {
    if (read.phase !== 'Retired' || isSymmetric(read.algorithm)) throw invalid(`${path}.privateMembers`, 'present');
  } else if (!sameNames(read.privateMembers, members.private)) {
    throw invalid(`${path}.privateMembers`, `of members ${members.private.join(', ') || '(none)'}`);
  }
  return read;
};

/** RFC 7518 §6, in the order of the alphabet. */
const MEMBERS: {
  readonly [A in JwtAlgorithm]: { readonly jwk: readonly string[]; readonly private: readonly string[] };
} = {
  HS256: { jwk: ['k', 'kty'], private: [] },
  RS256: { jwk: ['e', 'kty', 'n'], private: ['d', 'dp', 'dq', 'p', 'q', 'qi'] },
  ES256: { jwk: ['crv', 'kty', 'x', 'y'], private: ['d'] },
};

function sameNames(members: object, sortedNames: readonly string[]): boolean {
  return Object.keys(members).sort().join() === sortedNames.join();
}

const readDocument = record<Keyring & { format: string }>({
  format: word([FORMAT]),
  keySet: string,
  serial: count,
  confirmed: count,
  maxTime: count,
  rotateRequest: nullable(string),
  rotatePending: boolean,
  keys: list(key),
  tombstones: list(record<Tombstone>({ kid: string, reason: string, revokedAt: count })),
});

function checkWhole({ serial, confirmed, keys, tombstones }: Keyring): void {
  if (serial < 1) throw invalid('serial', 'at least 1');
  if (confirmed > serial) throw invalid('confirmed', 'at most serial');
  if (keys.filter((candidate) => candidate.phase === 'Active').length !== 1)
    throw invalid('keys', 'with exactly one Active key');
  const kids = [...keys, ...tombstones].map(({ kid }) => kid);
  if (new Set(kids).size !== kids.length) throw invalid('keys and tombstones', 'without any kid twice');
}
