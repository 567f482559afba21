import type { Market } from './market.ts';
import type { Orders } from './orders.ts';
import { demoPassword, type User } from './users.ts';

/** A request as a handler sees it. */
export interface ApiRequest {
  /** Who sent it, by the sidecar's X-Portcullis-Subject; null when nobody vouches for anyone. */
  readonly subject: string | null;
  /** Roles by X-Portcullis-Roles. */
  readonly roles: readonly string[];
  /** What stands in place of `:id`. */
  readonly id: string;
  readonly query: URLSearchParams;
  /** Parsed JSON, undefined without a body. */
  readonly body: unknown;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** An answer: a status and what becomes its JSON body. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** What handlers work on. */
export interface Desk {
  readonly users: Map<string, User>;
  readonly market: Market;
  readonly orders: Orders;
}

type Handler = (request: ApiRequest, desk: Desk) => ApiAnswer;

/** The answer where no route leads. */
export const notFound: ApiAnswer = { status: 404, body: { error: 'there is nothing here' } };
const nobody: ApiAnswer = {
  status: 401,
  body: { error: 'no X-Portcullis-Subject: this API believes the sidecar in front of it, and nothing came from there' },
};

/** Method and path to handler; `:id` stands for one segment. */
const ROUTES: Readonly<Record<string, Handler>> = {
  'GET /healthz': () => ok({ status: 'ok' }),
  'POST /auth/register': ({ body }) => {
    const name = stringMember(body, 'user');
    return name === null ? refuse('send {"user": "...", "password": "..."}') : { status: 201, body: { id: name } };
  },
  'POST /auth/login': ({ body }, { users }) => {
    const user = users.get(stringMember(body, 'user') ?? '');
    if (user === undefined || stringMember(body, 'password') === null)
      return { status: 401, body: { error: 'unknown user or password' } };
    return ok({ user: user.id, session: `session-of-${user.id}`, expiresIn: 900 });
  },
  'POST /auth/refresh': ({ body }) => {
    const session = stringMember(body, 'session');
    return session === null ? refuse('send {"session": "..."}') : ok({ session, expiresIn: 900 });
  },
  // For the sidecar, when its policy says `credentials: {upstream: {path: /internal/verify}}`: who is it, in the claims' words?
  'POST /internal/verify': ({ body }, { users }) => {
    const name = stringMember(body, 'username') ?? stringMember(body, 'email') ?? '';
    const user = users.get(name) ?? [...users.values()].find(({ email }) => email === name);
    if (user === undefined || stringMember(body, 'password') !== demoPassword(user)) {
      return { status: 401, body: { error: 'unknown user or password' } };
    }
    return ok({ sub: user.id, roles: [user.role], tenant_id: user.tenant });
  },
  'POST /internal/register': ({ body }, { users }) => {
    const name = stringMember(body, 'username');
    if (name === null) return refuse('send {"username": "...", "password": "..."}');
    if (users.has(name)) return { status: 409, body: { error: 'this name is taken' } };
    return { status: 201, body: { id: name } };
  },
  'GET /users/me': ({ subject }, { users }) => (subject === null ? nobody : ok(users.get(subject) ?? { id: subject })),
  'GET /users/:id': ({ id }, { users }) => found(users.get(id)),
  'GET /admin/users': (_request, { users }) => ok([...users.values()]),
  'GET /orders': ({ subject, roles, query }, { orders }) => {
    if (subject === null) return nobody;
    return ok(orders.list(roles.includes('admin') ? null : subject, countIn(query, 50)));
  },
  'GET /orders/:id': ({ id }, { orders }) => found(orders.find(id)),
  'DELETE /orders/:id': ({ subject, id }, { orders }) => {
    if (subject === null) return nobody;
    return orders.cancel(subject, id) ? { status: 200, body: { id, status: 'cancelled' } } : notFound;
  },
  'POST /orders': ({ subject, body, now }, { orders }) => {
    if (subject === null) return nobody;
    const order = orders.place(subject, body, now);
    return typeof order === 'string' ? refuse(order) : { status: 201, body: order };
  },
  'GET /positions': ({ subject }, { orders }) => (subject === null ? nobody : ok(orders.positions(subject))),
  'GET /candles': ({ query, now }, { market }) => {
    const symbol = query.get('symbol') ?? 'BTC-USD';
    if (market.price(symbol) === undefined) return refuse(`symbol must be one of ${market.symbols.join(', ')}`);
    return ok({ symbol, interval: '1m', candles: market.candles(symbol, countIn(query, 30), now) });
  },
};

/** The handler for a method and a path, with the path's id. */
export function findRoute(method: string, path: string): { readonly handle: Handler; readonly id: string } | null {
  const exact = ROUTES[`${method} ${path}`];
  if (exact !== undefined) return { handle: exact, id: '' };
  const slash = path.lastIndexOf('/');
  const handle = ROUTES[`${method} ${path.slice(0, slash)}/:id`];
  return handle === undefined ? null : { handle, id: path.slice(slash + 1) };
}

function ok(body: unknown): ApiAnswer {
  return { status: 200, body };
}

function found(body: unknown): ApiAnswer {
  return body === undefined ? notFound : ok(body);
}

function refuse(error: string): ApiAnswer {
  return { status: 400, body: { error } };
}

function stringMember(body: unknown, name: string): string | null {
  if (typeof body !== 'object' || body === null) return null;
  const value = (body as Readonly<Record<string, unknown>>)[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

function countIn(query: URLSearchParams, fallback: number): number {
  const limit = Number(query.get('limit') ?? fallback);
  return Number.isInteger(limit) && limit > 0 && limit <= 500 ? limit : fallback;
}
