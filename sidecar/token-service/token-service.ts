import { credentialSource } from './check-credentials.ts';
import type { TokenServiceConfig } from './config.ts';
import type { TokenContext } from './issue-tokens.ts';
import { login } from './login.ts';
import { logout } from './logout.ts';
import type { Handler, TokenServicePorts } from './ports.ts';
import { refresh } from './refresh.ts';
import { register } from './register.ts';

/** The token endpoints of one policy. */
export interface TokenService {
  /** The handler of an endpoint, by its exact path; null: this request is not ours. Endpoints take POST only. */
  handlerFor(method: string, path: string): Handler | null;
}

/** Builds the endpoints that `config` names. */
export function createTokenService(config: TokenServiceConfig, ports: TokenServicePorts): TokenService {
  const context: TokenContext = { config, ports };
  const source = config.login && credentialSource(config.login.credentials, config, ports);
  const handlers = new Map<string, Handler>();
  if (config.login !== null && source !== null) handlers.set(config.login.path, login(context, source));
  if (config.refresh !== null) handlers.set(config.refresh.path, refresh(context, source));
  if (config.logout !== null) handlers.set(config.logout.path, logout(context));
  if (config.register !== null) handlers.set(config.register.path, register(config.register, ports));
  return { handlerFor: (method, path) => (method === 'POST' ? (handlers.get(path) ?? null) : null) };
}
