import { decodeDoubleBase64, encodeDoubleBase64 } from '../../policy/fernet/double-base64.ts';
import type { FernetKey } from '../../policy/fernet/fernet-key.ts';
import {
  decryptFernet,
  encryptFernet,
  type FernetRefusalReason,
  rotateFernet,
} from '../../policy/fernet/fernet-token.ts';

/** What is done with messages, each a plaintext or a token. */
export interface TransformOptions {
  readonly action: 'encrypt' | 'decrypt' | 'rotate';
  /** Primary first. */
  readonly keys: readonly FernetKey[];
  /** Decrypt no token that is older, in milliseconds; null: of any age. */
  readonly ttlMs: number | null;
  /** Tokens are in base64 once more. */
  readonly doubleBase64: boolean;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** 16 random bytes, others at each call. */
  readonly newIv: () => Buffer;
}

/** What became of one message: bytes, or why there are none, for people. `keyIndex`: which key had made the token. */
export type Transformed = { readonly output: Buffer; readonly keyIndex: number } | { readonly problem: string };

/** As in Python's `cryptography`. */
const CLOCK_SKEW_MS = 60_000;
/** A string holds no more than 512 MiB; base64 twice makes 16 bytes of 9. */
const MAX_PLAINTEXT_BYTES = 128 * 2 ** 20;
const MAX_TOKEN_BYTES = 2 * MAX_PLAINTEXT_BYTES;

const PROBLEMS: Readonly<Record<FernetRefusalReason, string>> = {
  malformed:
    'not a Fernet token: these begin with gAAAAA and are base64url with padding (those that begin with Z0FBQUFB want --double-base64)',
  not_authentic: 'no key of the list made this token, or it was altered',
  expired: 'older than --ttl',
  from_future: 'made more than 60s from now; set the clocks of both machines',
};

/** Does with one message what the options say. */
export function transformMessage(options: TransformOptions, message: Buffer): Transformed {
  const { action, keys, ttlMs, doubleBase64, now, newIv } = options;
  const limit = action === 'encrypt' ? MAX_PLAINTEXT_BYTES : MAX_TOKEN_BYTES;
  if (message.length > limit) return { problem: `longer than ${limit} bytes; Fernet needs a message whole in memory` };
  const written = (token: string) => Buffer.from(doubleBase64 ? encodeDoubleBase64(token) : token, 'latin1');
  if (action === 'encrypt') {
    const token = encryptFernet(keys[0]!, message, { iv: newIv(), now: now() });
    return { output: written(token), keyIndex: 0 };
  }
  const text = message.toString('latin1');
  const token = doubleBase64 ? decodeDoubleBase64(text) : text;
  if (token === null)
    return { problem: 'not base64 of a Fernet token; leave --double-base64 out where tokens begin with gAAAAA' };
  if (action === 'rotate') {
    const rotated = rotateFernet(keys, token, { iv: newIv() });
    if ('refused' in rotated) return { problem: PROBLEMS[rotated.refused] };
    return { output: written(rotated.token), keyIndex: rotated.keyIndex };
  }
  const freshness = ttlMs === null ? undefined : { now: now(), ttlMs, clockSkewMs: CLOCK_SKEW_MS };
  const opened = decryptFernet(keys, token, freshness);
  if ('refused' in opened) return { problem: PROBLEMS[opened.refused] };
  return { output: opened.plaintext, keyIndex: opened.keyIndex };
}
