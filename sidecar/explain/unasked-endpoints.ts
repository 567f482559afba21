import type { TokenHandlers } from '../token-service/open-token-handlers.ts';

/** The token endpoints of a policy for a request that nobody sent: they answer 200 and do nothing. Whoever explains a logout wants none. */
export const unaskedEndpoints: TokenHandlers = ({ tokens }) => {
  if (tokens?.endpoints === undefined) return new Map();
  const { login, register, refresh, logout } = tokens.endpoints;
  const answer = async () => ({ status: 200, headers: [], body: '' });
  return new Map([login, register, refresh, logout].flatMap((endpoint) => (endpoint ? [[endpoint.path, answer]] : [])));
};
