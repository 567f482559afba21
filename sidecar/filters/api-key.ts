import type { ApiKeyAuthenticator, ApiKeyEntry } from '../../policy/bundle/authentication.ts';
import type { IdentityPointers } from '../../policy/bundle/types.ts';
import { apiKeyHash, isApiKey } from '../../policy/credentials/api-key.ts';
import type { AccessEvaluator, Identity } from '../../policy/evaluate/access-evaluator.ts';
import { type CredentialCheck, identityOf } from './credential-check.ts';
import { onlyHeader } from './credentials.ts';
import { credentialOfKey } from './live-credentials.ts';

/**
 * Accepts the keys of one list. A key is found by its SHA-256: how long the look-up takes tells at most how a stored hash begins, of
 * which whoever asks can choose no more than the hash of a guess, and 192 random bits are not guessed.
 */
export function apiKeyCheck(
  { name, header, keys }: ApiKeyAuthenticator,
  pointers: IdentityPointers,
  evaluator: AccessEvaluator,
): CredentialCheck {
  const byHash = new Map<string, ApiKeyEntry>(keys.map((entry) => [entry.sha256, entry]));
  const identities = new Map<ApiKeyEntry, Identity>();
  return {
    kind: 'api_key',
    brought: (exchange) => exchange.header(header) !== undefined,
    check: ({ headers, receivedAt }) => {
      const key = onlyHeader(headers, header);
      if (typeof key !== 'string' || !isApiKey(key)) return 'malformed';
      const entry = byHash.get(apiKeyHash(key));
      if (entry === undefined) return 'unknown_key';
      if (entry.expiresAt !== null && receivedAt >= entry.expiresAt) return 'expired';
      let identity = identities.get(entry);
      if (identity === undefined) {
        identity = identityOf(entry, pointers, evaluator);
        identities.set(entry, identity);
      }
      const { expiresAt } = entry;
      return { kind: 'accepted', authenticator: name, identity, expiresAt, credential: credentialOfKey(entry) };
    },
  };
}
