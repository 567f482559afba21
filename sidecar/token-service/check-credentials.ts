import { createHash } from 'node:crypto';
import { costOf, MIN_BCRYPT_COST } from '../../policy/passwords/bcrypt-cost.ts';
import { parseStrictJsonObject } from '../tokens/strict-json.ts';
import type { HtpasswdCredentials, TokenServiceConfig, UpstreamCredentials } from './config.ts';
import { BCRYPT_MAX_BYTES, MAX_PASSWORD_BYTES } from './password-rules.ts';
import type { TokenDenial, TokenEvent, TokenRequest, TokenServicePorts } from './ports.ts';
import { claimsOf, withUser } from './token-claims.ts';

/** Salt and digest of no password; only the work of comparing with them matters. */
const NO_SALT_NO_DIGEST = 'C6UzMDM.H6dfI/f/IKcEe.7uLJWvvJ4Ljtq4Q1eEGkZv0F1yY8y2q';
const MAX_JSON_DEPTH = 16;

type LoginFailure = (TokenEvent & { readonly kind: 'LoginFailed' })['reason'];

/** Who logged in, or why nobody did. */
export type CredentialVerdict =
  | {
      readonly user: string;
      readonly claims: Readonly<Record<string, unknown>>;
      readonly credential: string | null;
    }
  | { readonly failure: LoginFailure }
  | TokenDenial;

/** What a user is today, asked at each refresh; null when tokens of this user are not renewed any more. */
export type CurrentUser = Pick<Extract<CredentialVerdict, { readonly user: string }>, 'claims' | 'credential'> | null;

/** Where users and their passwords are known. */
export interface CredentialSource {
  /** Longest password in bytes of UTF-8. */
  readonly maxPasswordBytes: number;
  /** `name` came as the member `member` of the body of `request`. */
  check(
    name: string,
    password: string,
    member: 'username' | 'email',
    request: Pick<TokenRequest, 'upstream'>,
  ): Promise<CredentialVerdict>;
  /** `undefined`: this source cannot tell without a password; what it said at login holds. */
  current(user: string): CurrentUser | undefined;
}

/** The source that a policy names. */
export function credentialSource(
  credentials: HtpasswdCredentials | UpstreamCredentials,
  config: Pick<TokenServiceConfig, 'identity'>,
  ports: Pick<TokenServicePorts, 'passwords' | 'identify'>,
): CredentialSource {
  return credentials.kind === 'Htpasswd'
    ? htpasswdSource(credentials, config, ports)
    : upstreamSource(credentials, config, ports);
}

/**
 * Unknown users are compared with a hash of nobody. One comparison a login, of the cost that all hashes have; where they differ,
 * cheaper ones are followed by others until the work is that of the dearest: 2^c + 2^c + 2^(c+1) + … + 2^(max-1) = 2^max.
 */
function htpasswdSource(
  { hashes: users, claims }: HtpasswdCredentials,
  { identity }: Pick<TokenServiceConfig, 'identity'>,
  { passwords }: Pick<TokenServicePorts, 'passwords'>,
): CredentialSource {
  const dearest = Math.max(MIN_BCRYPT_COST, ...Object.values(users).map(costOf));

  const current = (user: string): CurrentUser => {
    const hash = Object.hasOwn(users, user) ? users[user] : undefined;
    if (hash === undefined) return null;
    const { active = true, ...others } = Object.hasOwn(claims, user) ? (claims[user] ?? {}) : {};
    if (active !== true) return null;
    const credential = createHash('sha256').update(hash).digest('base64url');
    return { claims: withUser(others, user, identity), credential };
  };

  return {
    maxPasswordBytes: BCRYPT_MAX_BYTES,
    current,
    async check(name, password) {
      const hash = Object.hasOwn(users, name) ? users[name] : undefined;
      const hashes = [hash ?? hashOfNobody(dearest)];
      for (let cost = costOf(hashes[0] ?? ''); cost < dearest; cost++) hashes.push(hashOfNobody(cost));
      const matches = await passwords.verify(password, hashes);
      if (matches === 'overloaded') return { denial: 'overloaded' };
      if (hash === undefined) return { failure: 'unknown_user' };
      if (!matches) return { failure: 'wrong_password' };
      const found = current(name);
      return found === null ? { failure: 'inactive' } : { user: name, ...found };
    },
  };
}

function hashOfNobody(cost: number): string {
  return `$2b$${cost}$${NO_SALT_NO_DIGEST}`;
}

/** The application is asked with what the client sent and answers 2xx with the identity, or 400, 401, 403, 404 or 422. */
function upstreamSource(
  { path }: UpstreamCredentials,
  { identity }: Pick<TokenServiceConfig, 'identity'>,
  { identify }: Pick<TokenServicePorts, 'identify'>,
): CredentialSource {
  return {
    maxPasswordBytes: MAX_PASSWORD_BYTES,
    current: () => undefined,
    async check(name, password, member, request) {
      const answer = await request.upstream(path, JSON.stringify({ [member]: name, password }));
      if (typeof answer === 'string') return { denial: answer };
      if ([400, 401, 403, 404, 422].includes(answer.status)) return { failure: 'refused_upstream' };
      if (answer.status < 200 || answer.status > 299) return { denial: 'credentials_unavailable' };
      const said = parseStrictJsonObject(answer.json, MAX_JSON_DEPTH);
      const who = said && identify(said);
      if (!who || who.user === null) return { denial: 'credentials_unavailable' };
      if (said['active'] === false || said['is_active'] === false) return { failure: 'inactive' };
      return { user: who.user, claims: claimsOf({ ...who, user: who.user }, identity), credential: null };
    },
  };
}
