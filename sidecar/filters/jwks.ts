import type { PathMatching, TokensConfig } from '../../policy/bundle/types.ts';
import { answerFrom, cacheableDocument } from '../../policy/jwks/cacheable-document.ts';
import { jwksPathMatcher } from '../../policy/jwks/jwks-path.ts';
import { denial, type Filter } from '../pipeline/filter.ts';

const SYMMETRIC = denial('symmetric_key_set', 'authorize', 'the keys are secrets');

/**
 * Answers GET and HEAD of the policy's `jwksPath` with the public keys (RFC 7517 §5), before authentication, since verifiers have
 * no token yet. Other methods are the rules' to decide. `random`: from 0 to below 1.
 */
export function jwks(tokens: TokensConfig, pathMatching: PathMatching, random: () => number): Filter {
  const isJwksPath = jwksPathMatcher(tokens.jwksPath, pathMatching);
  const document = tokens.jwks && cacheableDocument('application/jwk-set+json', tokens.jwks);
  return {
    name: 'jwks',
    onRequest: (exchange) => {
      if (exchange.method !== 'GET' && exchange.method !== 'HEAD') return undefined;
      if (!isJwksPath(exchange.path)) return undefined;
      if (document === null) return SYMMETRIC;
      const answer = answerFrom(document, tokens.jwksMaxAgeMs, exchange.header('if-none-match'), random());
      return { kind: 'answer', ...answer };
    },
  };
}
