import { type Check, count, list, name, nullable, object, oneOf, record } from '../bundle/check.ts';
import { JWT_ALGORITHMS, type VerificationKey } from '../bundle/types.ts';
import type { FernetOutput, IssuingKey, KeySetOutputs, PublicJwk } from './outputs.ts';
import { readDocument } from './read-document.ts';

/** Outputs as JSON text. Holds the key that signs. */
export function encodeOutputs(outputs: KeySetOutputs): string {
  return `${JSON.stringify(outputs, null, 2)}\n`;
}

/** The outputs in a JSON text. Throws `keyring_invalid`, naming the place and never a value. */
export function decodeOutputs(text: string): KeySetOutputs {
  return readDocument(text, document);
}

const algorithm = oneOf(...JWT_ALGORITHMS);
const members = record(name);

const document = object<KeySetOutputs>({
  serial: count(0),
  verificationKeys: list(object<VerificationKey>({ kid: name, algorithm, jwk: members })),
  jwks: nullable(object<NonNullable<KeySetOutputs['jwks']>>({ keys: list(members as Check<PublicJwk>) })),
  issuing: nullable(object<IssuingKey>({ kid: name, algorithm, privateJwk: members, maxTokenLifetimeMs: count(0) })),
  fernet: nullable(list(object<FernetOutput>({ kid: name, key: name }))),
});
