import type { AccessBundle } from '../../policy/bundle/types.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Decision } from '../pipeline/filter.ts';
import type { TokenVerdict, TokenVerifier } from '../tokens/token-verifier.ts';
import type { ExplainRequest } from './explanation.ts';

/** Stands where a token would when claims are given instead of one. No token: it has no dots. */
const CLAIMS_GIVEN = 'claims-given';
/** What is refused by authenticate and is no token. */
const CREDENTIAL_CODES: ReadonlySet<string> = new Set(['api_key_invalid', 'signature_invalid', 'store_unavailable']);

/** The credential of one request that nobody sent at a time: verified for real, but for claims that are given; remembers the verdict. */
export class AskedCredential implements TokenVerifier {
  readonly #access: AccessBundle;
  readonly #verifier: TokenVerifier;
  #credential: ExplainRequest['credential'] = null;
  #verdict: TokenVerdict | null = null;

  constructor(access: AccessBundle, verifier: TokenVerifier) {
    this.#access = access;
    this.#verifier = verifier;
  }

  /** Begins with a request, and returns the header that carries its credential where the policy looks first; null: none does. */
  begin(credential: ExplainRequest['credential']): readonly [name: string, value: string] | null {
    this.#credential = credential;
    this.#verdict = null;
    const source = this.#access.jwt[0]?.from.find(({ kind }) => kind !== 'query');
    if (credential === null || source === undefined || source.kind === 'query') return null;
    const token = 'token' in credential ? credential.token : CLAIMS_GIVEN;
    if (source.kind === 'cookie') return ['cookie', `${source.cookie}=${token}`];
    return [source.header, source.scheme === '' ? token : `${source.scheme} ${token}`];
  }

  async verify(token: string, now: number): Promise<TokenVerdict> {
    const credential = this.#credential;
    const authenticator = this.#access.jwt[0]?.name ?? '';
    const verdict: TokenVerdict =
      token === CLAIMS_GIVEN && credential !== null && 'claims' in credential
        ? { claims: credential.claims, authenticator, kid: '', refuseAfter: 0, refuseBefore: 0, identity: null }
        : await this.#verifier.verify(token, now);
    // A copy: real requests share the verified token, and the identity that our filters derive is not theirs.
    this.#verdict = typeof verdict === 'string' ? verdict : { ...verdict, identity: null };
    return this.#verdict;
  }

  /** What became of it, in words for people. */
  words(decision: Decision, { authenticator }: Exchange): string[] {
    const verdict = this.#verdict;
    if (verdict === null) {
      const { jwt, apiKeys = [], signedRequests = [] } = this.#access;
      if (authenticator !== '') {
        return [
          `${apiKeys.some(({ name }) => name === authenticator) ? 'API key' : 'signature'} of "${authenticator}"`,
        ];
      }
      if (decision?.kind === 'deny' && CREDENTIAL_CODES.has(decision.code)) return [`refused: ${decision.reason}`];
      if (jwt.length + apiKeys.length + signedRequests.length === 0) return ['the policy authenticates nobody'];
      if (decision !== undefined) return ['more than one token in one place'];
      return [apiKeys.length + signedRequests.length > 0 ? 'no credential' : 'no token'];
    }
    if (typeof verdict !== 'string') {
      const whose =
        verdict.kid === '' ? 'claims taken as given' : `token of "${verdict.authenticator}", key ${verdict.kid}`;
      if (authenticator !== '') return [whose];
      return [
        whose,
        decision?.kind === 'deny'
          ? `refused: ${decision.reason}`
          : 'refused, and ignored: the rule lets in anonymous requests',
      ];
    }
    return [
      `token refused: ${verdict}${decision === undefined ? '; ignored, because the rule lets in anonymous requests' : ''}`,
    ];
  }
}
