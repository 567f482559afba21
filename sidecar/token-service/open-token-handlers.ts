import { randomBytes } from 'node:crypto';
import type { IssuerBundle } from '../../policy/bundle/tokens.ts';
import type { AccessBundle } from '../../policy/bundle/types.ts';
import type { AccessEvaluator } from '../../policy/evaluate/access-evaluator.ts';
import type { Stores } from '../stores/open-stores.ts';
import type { TokenServiceConfig } from './config.ts';
import type { Handler, PasswordVerifier } from './ports.ts';
import { createSigner } from './signer.ts';
import { createTokenService } from './token-service.ts';

/** Makes the handlers of the token endpoints of a policy, by their paths; of one without endpoints none. */
export type TokenHandlers = (
  access: AccessBundle,
  stores: Stores,
  evaluator: Pick<AccessEvaluator, 'identify'>,
) => ReadonlyMap<string, Handler>;

/** The handlers of a pod that issues tokens by `issuer`; null: it has not reached the pod. */
export function openTokenHandlers(issuer: IssuerBundle | null, passwords: PasswordVerifier): TokenHandlers {
  return (access, stores, { identify }) => {
    const { endpoints, keySet = '' } = access.tokens ?? {};
    if (endpoints === undefined) return new Map();
    // The two bundles come one after the other: what this pod would not accept itself it does not sign.
    const signingKey = issuer?.keySet === keySet ? issuer.signingKey : null;
    const mayThisSign = signingKey !== null && endpoints.kids.includes(signingKey.kid);
    const config: TokenServiceConfig = {
      ...endpoints,
      identity: access.identity,
      login: { path: endpoints.login.path, credentials: mayThisSign ? credentialsOf(endpoints, issuer) : null },
    };
    return createTokenService(config, {
      signer: createSigner(() => signingKey),
      passwords,
      refreshTokens: stores.refreshTokens,
      revocations: stores.revocationsOf(keySet),
      identify,
      now: Date.now,
      randomBytes,
    });
  };
}

/** Throws where the key of an issuer bundle cannot sign; resolves where there is none. */
export async function checkSigningKey({ signingKey }: IssuerBundle): Promise<void> {
  await createSigner(() => signingKey).sign({}, 1_000, 0);
}

function credentialsOf(
  { login: { upstream } }: NonNullable<NonNullable<AccessBundle['tokens']>['endpoints']>,
  issuer: IssuerBundle | null,
): TokenServiceConfig['login']['credentials'] {
  if (upstream !== null) return { kind: 'Upstream', path: upstream };
  const users = issuer?.users ?? null;
  return users === null ? null : { kind: 'Htpasswd', ...users };
}
