import type { FernetRefusalReason } from '../fernet-token.ts';

// The Fernet specification's own: generate.json, verify.json and invalid.json of github.com/fernet/spec (invalid.json as of
// commit 8a219208), for version 0x80. Names are theirs.

/** The key of every vector. */
export const VECTOR_KEY = 'cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=';

/** The `ttl_sec` of every vector, in milliseconds. */
export const VECTOR_TTL_MS = 60_000;

/** generate.json and verify.json: `token` is made of `plaintext` at `issuedAt` and is good at `now`. */
export const GOOD_VECTOR = {
  token: 'gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==',
  issuedAt: Date.parse('1985-10-26T01:20:00-07:00'),
  now: Date.parse('1985-10-26T01:20:01-07:00'),
  iv: Buffer.from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
  plaintext: 'hello',
} as const;

interface InvalidVector {
  readonly name: string;
  readonly token: string;
  readonly now: number;
  /** The specification says only that it is invalid. */
  readonly refused: FernetRefusalReason;
  /** Python's `cryptography` reads it: Python's base64 passes over what it does not know, and ends at the padding. */
  readonly readByPython?: true;
}

/** invalid.json. */
export const INVALID_VECTORS: readonly InvalidVector[] = [
  {
    name: 'incorrect mac',
    token: 'gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==',
    now: GOOD_VECTOR.now,
    refused: 'not_authentic',
  },
  {
    name: 'too short',
    token: 'gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==',
    now: GOOD_VECTOR.now,
    refused: 'malformed',
  },
  {
    name: 'invalid base64',
    token: '%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==',
    now: GOOD_VECTOR.now,
    refused: 'malformed',
  },
  {
    name: 'payload size not multiple of block size',
    token: 'gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm',
    now: GOOD_VECTOR.now,
    refused: 'malformed',
  },
  {
    name: 'payload padding error',
    token: 'gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==',
    now: GOOD_VECTOR.now,
    refused: 'not_authentic',
  },
  {
    name: 'far-future TS (unacceptable clock skew)',
    token: 'gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-iX9b_qXQcw==',
    now: GOOD_VECTOR.now,
    refused: 'from_future',
  },
  {
    name: 'expired TTL',
    token: 'gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==',
    now: Date.parse('1985-10-26T01:21:31-07:00'),
    refused: 'expired',
  },
  {
    name: 'incorrect IV (causes padding error)',
    token: 'gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==',
    now: GOOD_VECTOR.now,
    refused: 'not_authentic',
  },
  {
    name: 'trailing characters after b64 padding',
    token:
      'gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==trailingdata',
    now: GOOD_VECTOR.now,
    refused: 'malformed',
    readByPython: true,
  },
  {
    name: 'invalid characters in b64',
    token: '*gAAAAAAdwJ6wAAECAwQFBgcI!CQoLDA0ODy021?cpGVWKZ_eEwC@GM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==',
    now: GOOD_VECTOR.now,
    refused: 'malformed',
    readByPython: true,
  },
  {
    name: 'invalid non-urlsafe characters in b64',
    token: 'gAAAAAAdwJ6wAAEC/AwQFBgcICQoLDA0ODy+021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==',
    now: GOOD_VECTOR.now,
    refused: 'malformed',
  },
];
