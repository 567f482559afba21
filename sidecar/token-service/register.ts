import type { TokenServiceConfig } from './config.ts';
import { JSON_HEADERS } from './issue-tokens.ts';
import { brokenRules } from './password-rules.ts';
import type { Handler } from './ports.ts';
import { invalid, readJsonBody } from './read-body.ts';

/** POST a JSON object with `password`: what passes the rules is sent to the application as it came, and its answer passed on. */
export function register({ upstream: path, password: rules }: NonNullable<TokenServiceConfig['register']>): Handler {
  return async (request) => {
    const body = readJsonBody(request);
    if ('denial' in body) return body;
    const password = Object.hasOwn(body.members, 'password') ? body.members['password'] : undefined;
    if (typeof password !== 'string') {
      return invalid('/password', password === undefined ? 'missing' : 'malformed', 'must be a text');
    }
    const broken = brokenRules(password, rules);
    if (broken.length > 0) {
      const violations = broken.map(({ rule, message }) => ({ pointer: '/password', code: rule, message }));
      return { denial: 'body_invalid', violations };
    }
    const answer = await request.upstream(path, body.text);
    if (typeof answer === 'string') return { denial: answer };
    const { status, json } = answer;
    return isJson(json) ? { status, headers: JSON_HEADERS, body: inAscii(json) } : { denial: 'upstream_protocol' };
  };
}

function isJson(text: string): boolean {
  try {
    if (text !== '') JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** In JSON only strings hold other characters, and there they may stand as escapes (RFC 8259 §7). */
function inAscii(json: string): string {
  return json.replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
