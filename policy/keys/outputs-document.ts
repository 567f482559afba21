import { JWT_ALGORITHMS, type VerificationKey } from '../bundle/types.ts';
import { count, list, nullable, parseJson, type Read, record, string, strings, word } from './json-reader.ts';
import type { IssuingKey, KeySetOutputs, PublicJwk } from './outputs.ts';

/** Outputs as JSON text. Holds the key that signs. */
export function encodeOutputs(outputs: KeySetOutputs): string {
  return `${JSON.stringify(outputs, null, 2)}\n`;
}

/** The outputs in a JSON text. Throws `keyring_invalid`, naming the place and never a value. */
export function decodeOutputs(text: string): KeySetOutputs {
  return read(parseJson(text), '');
}

const algorithm = word(JWT_ALGORITHMS);

const read: Read<KeySetOutputs> = record<KeySetOutputs>({
  serial: count,
  verificationKeys: list(record<VerificationKey>({ kid: string, algorithm, jwk: strings })),
  jwks: nullable(record<{ keys: readonly PublicJwk[] }>({ keys: list(strings as Read<PublicJwk>) })),
  issuing: record<IssuingKey>({ kid: string, algorithm, privateJwk: strings, maxTokenLifetimeMs: count }),
});
