import { type CryptoKey, importJWK, SignJWT } from 'jose';
import type { JwtAlgorithm } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { IssuingKey } from '../../policy/keys/outputs.ts';
import { DirectoryKeyStore, listKeySets, type TokenTerms } from '../local/directory-key-store.ts';

/** The claims that the key set and the lifetime decide; nobody else may. */
const RESERVED_CLAIMS = ['iss', 'aud', 'iat', 'exp'] as const;

/** The active key of a key set, ready to sign, and what its tokens say. */
export interface TokenIssuer {
  readonly kid: string;
  readonly algorithm: JwtAlgorithm;
  readonly key: CryptoKey | Uint8Array;
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** T; no token lives longer, in milliseconds. */
  readonly maxTokenLifetimeMs: number;
}

/** What one token is made of. */
export interface TokenRequest {
  /** `jti` and `nbf` may be among them; `iss`, `aud`, `iat` and `exp` may not. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** Epoch milliseconds; `iat`, in whole seconds, is this. */
  readonly now: number;
  /** Milliseconds, from a second up to maxTokenLifetime; rounded down to whole seconds. */
  readonly expiresInMs: number;
  /** The `jti` when the claims have none. */
  readonly jti: string;
}

/**
 * The issuer of a key set (`name` in namespace `default`, or `namespace/name`) in a state directory. Reads the outputs,
 * not the keyring: what signs is what has been published. Throws `config_invalid` when there is no such key set or it is for
 * Fernet, and `keyring_invalid` when its files are damaged.
 */
export async function loadTokenIssuer(stateDirectory: string, keySet: string): Promise<TokenIssuer> {
  const wanted = keySet.includes('/') ? keySet : `default/${keySet}`;
  const known = await listKeySets(stateDirectory);
  if (!known.includes(wanted)) {
    const choice =
      known.length === 0
        ? 'it holds none; run portcullis local with the same --state first'
        : `it holds ${known.join(', ')}`;
    throw new PortcullisError('config_invalid', `no key set ${wanted} in ${stateDirectory}: ${choice}`);
  }
  const slash = wanted.indexOf('/');
  const store = new DirectoryKeyStore(stateDirectory, {
    namespace: wanted.slice(0, slash),
    name: wanted.slice(slash + 1),
  });
  const [terms, outputs] = [await store.readTokenTerms(), await store.readOutputs()];
  if (outputs?.issuing === null) throw signsNothing(wanted);
  if (terms === null || outputs === null) {
    throw new PortcullisError(
      'config_invalid',
      `key set ${wanted} has no key yet; run portcullis local with the same --state`,
      {
        retry: 'later',
      },
    );
  }
  return issuerOf(terms, outputs.issuing);
}

/** For a key set of Fernet, where one that signs was wanted. `keySet`: NAMESPACE/NAME. */
export function signsNothing(keySet: string): PortcullisError {
  const why = `key set ${keySet} is for Fernet, which signs no tokens; name one of another algorithm, or see portcullis fernet --help`;
  return new PortcullisError('config_invalid', why);
}

/** The issuer that signs with `issuing` under the key set's terms. */
export async function issuerOf(
  terms: Pick<TokenTerms, 'issuer' | 'audiences' | 'maxTokenLifetimeMs'>,
  issuing: IssuingKey,
): Promise<TokenIssuer> {
  return {
    kid: issuing.kid,
    algorithm: issuing.algorithm,
    key: await importJWK(issuing.privateJwk, issuing.algorithm),
    issuer: terms.issuer,
    audiences: terms.audiences,
    // The key promises to stay for tokens of its own limit; a longer one in the spec counts once it is stamped on the key.
    maxTokenLifetimeMs: Math.min(terms.maxTokenLifetimeMs, issuing.maxTokenLifetimeMs),
  };
}

/**
 * A compact JWS (RFC 7515) with `iss`, `aud`, `iat`, `exp` and `jti` (RFC 7519 §4.1) added to the claims. Throws
 * `config_invalid` on a lifetime out of range or a reserved claim.
 */
export async function mintToken(issuer: TokenIssuer, { claims, now, expiresInMs, jti }: TokenRequest): Promise<string> {
  const reserved = RESERVED_CLAIMS.filter((name) => Object.hasOwn(claims, name));
  if (reserved.length > 0) {
    throw new PortcullisError(
      'config_invalid',
      `claims must not set ${reserved.join(', ')}: the key set gives iss and aud, --expires-in gives exp, the clock iat`,
    );
  }
  if (expiresInMs < 1000 || expiresInMs > issuer.maxTokenLifetimeMs) {
    throw new PortcullisError(
      'config_invalid',
      `a token may live from 1s to ${issuer.maxTokenLifetimeMs / 1000}s (maxTokenLifetime of its key set), not ${expiresInMs / 1000}s`,
    );
  }
  const iat = Math.floor(now / 1000);
  return new SignJWT({ jti, ...claims })
    .setProtectedHeader({ alg: issuer.algorithm, kid: issuer.kid, typ: 'JWT' })
    .setIssuer(issuer.issuer)
    .setAudience([...issuer.audiences])
    .setIssuedAt(iat)
    .setExpirationTime(iat + Math.floor(expiresInMs / 1000))
    .sign(issuer.key);
}
