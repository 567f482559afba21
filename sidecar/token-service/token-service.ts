import { credentialSource } from './check-credentials.ts';
import type { TokenServiceConfig } from './config.ts';
import type { TokenContext } from './issue-tokens.ts';
import { login } from './login.ts';
import { logout } from './logout.ts';
import type { Handler, TokenServicePorts } from './ports.ts';
import { refresh } from './refresh.ts';
import { register } from './register.ts';

/** The handlers of the endpoints that `config` names, by their paths. Each answers POST. */
export function createTokenService(config: TokenServiceConfig, ports: TokenServicePorts): ReadonlyMap<string, Handler> {
  const context: TokenContext = { config, ports };
  const { path, credentials } = config.login;
  const source = credentials && credentialSource(credentials, config, ports);
  const handlers = new Map<string, Handler>([[path, source === null ? keyMissing : login(context, source)]]);
  // Without a key to sign by nothing may be rotated: the client would lose its token, and look like a thief with the one it has.
  if (config.refresh !== null)
    handlers.set(config.refresh.path, source === null ? keyMissing : refresh(context, source));
  if (config.logout !== null) handlers.set(config.logout.path, logout(context));
  if (config.register !== null) handlers.set(config.register.path, register(config.register));
  return handlers;
}

const keyMissing: Handler = async () => ({ denial: 'signing_key_missing' });
