import { type Check, count, flag, list, name, nullable, object, oneOf, record, refuse } from '../bundle/check.ts';
import { JWT_ALGORITHMS, type JwtAlgorithm } from '../bundle/types.ts';
import type { ActiveKey, Key, Keyring, RetiredKey, StandbyKey, Tombstone } from './keyring.ts';
import { readDocument } from './read-document.ts';
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
  return readDocument(text, wholeKeyring);
}

const times = count(0);
const graces = object<Graces>({ maxTokenLifetimeMs: times, propagationMs: times, clockSkewMs: times });
const members = record(name);

const common = {
  kid: name,
  algorithm: oneOf(...JWT_ALGORITHMS),
  jwk: members,
  privateMembers: nullable(members),
  createdAt: times,
  addedSerial: count(0),
  publishedAt: nullable(times),
};

const byPhase: { readonly [Phase in Key['phase']]: Check<Key> } = {
  Standby: object<StandbyKey>({ ...common, phase: oneOf('Standby') }),
  Active: object<ActiveKey>({
    ...common,
    phase: oneOf('Active'),
    activatedAt: times,
    activatedSerial: count(0),
    graces,
  }),
  Retired: object<RetiredKey>({
    ...common,
    phase: oneOf('Retired'),
    activatedAt: times,
    retiredAt: times,
    retireConfirmedAt: nullable(times),
    graces,
  }),
};

const phase = oneOf('Standby', 'Active', 'Retired');

const key: Check<Key> = (value, place) => {
  const said = record<unknown>((member) => member)(value, place)['phase'];
  const found = byPhase[phase(said, `${place}.phase`)](value, place);
  const wanted = MEMBERS[found.algorithm];
  if (!sameNames(found.jwk, wanted.jwk)) refuse(`${place}.jwk`, `of members ${wanted.jwk.join(', ')}`);
  if (found.privateMembers === null) {
    if (found.phase !== 'Retired' || isSymmetric(found.algorithm)) refuse(`${place}.privateMembers`, 'present');
  } else if (!sameNames(found.privateMembers, wanted.private)) {
    refuse(`${place}.privateMembers`, `of members ${wanted.private.join(', ') || '(none)'}`);
  }
  return found;
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

const document = object<Keyring & { readonly format: typeof FORMAT }>({
  format: oneOf(FORMAT),
  keySet: name,
  serial: count(1),
  confirmed: count(0),
  maxTime: times,
  rotateRequest: nullable(name),
  rotatePending: flag,
  keys: list(key),
  tombstones: list(object<Tombstone>({ kid: name, reason: name, revokedAt: times })),
});

const wholeKeyring: Check<Keyring> = (value, place) => {
  const { format: _, ...keyring } = document(value, place);
  const { serial, confirmed, keys, tombstones } = keyring;
  if (confirmed > serial) refuse('confirmed', 'at most serial');
  if (keys.filter((candidate) => candidate.phase === 'Active').length !== 1)
    refuse('keys', 'with exactly one Active key');
  const kids = [...keys, ...tombstones].map(({ kid }) => kid);
  if (new Set(kids).size !== kids.length) refuse('keys and tombstones', 'without any kid twice');
  return keyring;
};
