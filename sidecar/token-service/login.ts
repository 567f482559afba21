import type { CredentialSource } from './check-credentials.ts';
import { issue, originDenial, type TokenContext } from './issue-tokens.ts';
import { unusable } from './password-rules.ts';
import type { Handler } from './ports.ts';
import { readJsonBody, textMembers } from './read-body.ts';
import { hashOfSecret, newRefreshToken } from './refresh-token.ts';

/**
 * POST `{username, password}` or `{email, password}`. An unknown user, a wrong password and an inactive user get one and the same
 * answer after the same work.
 */
export function login(context: TokenContext, source: CredentialSource): Handler {
  const { config, ports } = context;
  return async (request) => {
    const refused = originDenial(context, request);
    if (refused !== null) return refused;
    const body = readJsonBody(request);
    if ('denial' in body) return body;
    const member = Object.hasOwn(body.members, 'email') ? 'email' : 'username';
    const members = textMembers(body.members, [member, 'password']);
    if ('denial' in members) return members;
    const { password, [member]: name } = members;
    const broken = unusable(password, source.maxPasswordBytes);
    if (broken.length > 0) {
      const violations = broken.map(({ rule, message }) => ({ pointer: '/password', code: rule, message }));
      return { denial: 'body_invalid', violations };
    }

    const held = await request.guard(name);
    if (held !== undefined) return held;
    const verdict = await source.check(name, password, member, request);
    if ('denial' in verdict) return verdict;
    const { clientAddress } = request;
    if ('failure' in verdict) {
      request.onEvent({ kind: 'LoginFailed', user: name, clientAddress, reason: verdict.failure });
      return { denial: 'credentials_invalid' };
    }

    const { user, claims, credential } = verdict;
    const now = ports.now();
    const expiresInMs = config.refreshLifetimeMs;
    const live = config.refresh === null ? null : { ...newRefreshToken(ports.randomBytes), expiresInMs };
    const answer = await issue(context, claims, live, now);
    if ('denial' in answer) return answer;
    if (live !== null) {
      const session = { user, claims, credential, loggedInAt: now };
      const hash = hashOfSecret(live.secret);
      if (!(await ports.refreshTokens.begin(live.family, hash, session, expiresInMs, now))) {
        return { denial: 'store_unavailable' };
      }
    }
    request.onEvent({ kind: 'LoggedIn', user, clientAddress });
    return answer;
  };
}
