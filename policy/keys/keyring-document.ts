import { type Check, count, flag, list, name, nullable, object, oneOf, record, refuse } from '../bundle/check.ts';
import { isSymmetric, KEY_SET_ALGORITHMS, KEY_SHAPES } from './algorithms.ts';
import type {
  ActiveState,
  Key,
  KeyMaterial,
  Keyring,
  KeyringWithoutMaterial,
  KeyWithoutMaterial,
  RetiredState,
  StandbyState,
  Tombstone,
} from './keyring.ts';
import { readDocument } from './read-document.ts';
import type { Graces } from './spec.ts';

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
const graces = object<Graces>({ maxTokenLifetimeMs: nullable(times), propagationMs: times, clockSkewMs: times });
const members = record(name);

const stateMembers = {
  kid: name,
  algorithm: oneOf(...KEY_SET_ALGORITHMS),
  createdAt: times,
  addedSerial: count(0),
  publishedAt: nullable(times),
};

const materialMembers = {
  kid: stateMembers.kid,
  algorithm: stateMembers.algorithm,
  jwk: members,
  privateMembers: nullable(members),
};

const byPhase: { readonly [Phase in Key['phase']]: Check<KeyWithoutMaterial> } = {
  Standby: object<StandbyState>({ ...stateMembers, phase: oneOf('Standby') }),
  Active: object<ActiveState>({
    ...stateMembers,
    phase: oneOf('Active'),
    activatedAt: times,
    activatedSerial: count(0),
    graces,
  }),
  Retired: object<RetiredState>({
    ...stateMembers,
    phase: oneOf('Retired'),
    activatedAt: times,
    retiredAt: times,
    retireConfirmedAt: nullable(times),
    graces,
  }),
};

const phase = oneOf('Standby', 'Active', 'Retired');
const anyMembers = record<unknown>((member) => member);
const material = object<KeyMaterial>(materialMembers);

/** The state of a key, of any phase. */
const keyState: Check<KeyWithoutMaterial> = (value, place) => {
  const said = anyMembers(value, place)['phase'];
  return byPhase[phase(said, `${place}.phase`)](value, place);
};

/** The material of a key, of exactly the members that its algorithm has. */
export const keyMaterial: Check<KeyMaterial> = (value, place) => {
  const found = material(value, place);
  const { kty: _, members: own, privateMembers } = KEY_SHAPES[found.algorithm];
  requireMembers(found.jwk, ['kty', ...own], `${place}.jwk`);
  if (found.privateMembers !== null) requireMembers(found.privateMembers, privateMembers, `${place}.privateMembers`);
  return found;
};

const key: Check<Key> = (value, place) => {
  const { jwk, privateMembers, ...state } = anyMembers(value, place);
  const { kid, algorithm } = state;
  const found = keyMaterial({ kid, algorithm, jwk, privateMembers }, place);
  const known = keyState(state, place);
  const mayBeErased = known.phase === 'Retired' && !isSymmetric(known.algorithm);
  if (found.privateMembers === null && !mayBeErased) refuse(`${place}.privateMembers`, 'present');
  return { ...known, ...found };
};

function requireMembers(found: object, wanted: readonly string[], place: string): void {
  const sorted = wanted.toSorted();
  if (Object.keys(found).sort().join() !== sorted.join()) {
    refuse(place, `of members ${sorted.join(', ') || '(none)'}`);
  }
}

const keyringState = {
  keySet: name,
  serial: count(1),
  confirmed: count(0),
  maxTime: times,
  rotateRequest: nullable(name),
  rotatePending: flag,
  tombstones: list(object<Tombstone>({ kid: name, reason: name, revokedAt: times })),
};

const document = object<Keyring & { readonly format: typeof FORMAT }>({
  format: oneOf(FORMAT),
  ...keyringState,
  keys: list(key),
});

const wholeKeyring: Check<Keyring> = (value, place) => {
  const { format: _, ...keyring } = document(value, place);
  requireConsistent(keyring);
  return keyring;
};

const withoutKeys = object<KeyringWithoutMaterial>({ ...keyringState, keys: list(keyState) });

/** A keyring without the material of its keys. */
export const keyringWithoutMaterial: Check<KeyringWithoutMaterial> = (value, place) => {
  const found = withoutKeys(value, place);
  requireConsistent(found);
  return found;
};

function requireConsistent({ serial, confirmed, keys, tombstones }: KeyringWithoutMaterial): void {
  if (confirmed > serial) refuse('confirmed', 'at most serial');
  if (keys.filter((candidate) => candidate.phase === 'Active').length !== 1)
    refuse('keys', 'with exactly one Active key');
  const kids = [...keys, ...tombstones].map(({ kid }) => kid);
  if (new Set(kids).size !== kids.length) refuse('keys and tombstones', 'without any kid twice');
}
