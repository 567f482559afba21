import type { JwtAlgorithm, VerificationKey } from '../bundle/types.ts';

/** The private key that pods which issue tokens sign with. */
export interface IssuingKey {
  readonly kid: string;
  readonly algorithm: JwtAlgorithm;
  /** JWK with its private members (RFC 7518 §6). */
  readonly privateJwk: Readonly<Record<string, string>>;
  /** No token signed by this key may live longer, in milliseconds. */
  readonly maxTokenLifetimeMs: number;
}

/** One public key of a JWK Set (RFC 7517 §4). */
export interface PublicJwk {
  readonly kid: string;
  readonly alg: JwtAlgorithm;
  readonly use: 'sig';
  readonly [member: string]: string;
}

/** One key of a MultiFernet list. */
export interface FernetOutput {
  readonly kid: string;
  /** 32 bytes in base64url with padding, as the Fernet specification writes keys. */
  readonly key: string;
}

/** What is rendered from a keyring for others to read. */
export interface KeySetOutputs {
  readonly serial: number;
  /** For access bundles. For HS* these are the secrets themselves; none of a Fernet set. */
  readonly verificationKeys: readonly VerificationKey[];
  /** The public JWK Set; null for symmetric key sets, which have none. */
  readonly jwks: { readonly keys: readonly PublicJwk[] } | null;
  /** Only for those who issue tokens; null for a Fernet set. */
  readonly issuing: IssuingKey | null;
  /** The MultiFernet list: active, standby, then retired newest first; null for sets that sign. */
  readonly fernet: readonly FernetOutput[] | null;
}

/** The kid of the key that signs, or encrypts, now. */
export function activeKid({ issuing, fernet }: KeySetOutputs): string | undefined {
  return issuing?.kid ?? fernet?.[0]?.kid;
}
