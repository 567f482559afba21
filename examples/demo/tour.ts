import { setTimeout as sleep } from 'node:timers/promises';
import { loadTokenIssuer, mintToken } from '../../cli/token/mint-token.ts';
import type { Screen } from './screen.ts';
import type { World } from './world.ts';

const ROTATIONS = 5;
const LOAD_PER_SECOND = 50;
/** Users of the load: enough that no limit is ever met. */
const LOAD_USERS = 40;

interface Visit {
  readonly method: string;
  readonly path: string;
  readonly token?: string;
}

/** The whole tour; throws at the first thing that is not as told. */
export async function tour(world: World, screen: Screen): Promise<void> {
  const trader = await world.token({ sub: 'tom', roles: ['trader'] });
  const viewer = await world.token({ sub: 'vera', roles: ['viewer'] });
  await shadow(world, screen, trader, viewer);
  await enforce(world, screen);
  await limits(world, screen);
  await ticks(world, screen);
  await rotations(world, screen);
  await metrics(world, screen);
}

async function shadow(world: World, screen: Screen, trader: string, viewer: string): Promise<void> {
  screen.heading('Shadow: everything is decided and counted, nothing is refused');
  const visits: Visit[] = [
    { method: 'GET', path: '/orders' },
    { method: 'GET', path: '/orders', token: trader },
    { method: 'GET', path: '/orders', token: viewer },
    { method: 'GET', path: '/admin/users', token: trader },
    { method: 'GET', path: '/candles?symbol=AAPL', token: 'not-a-token' },
    { method: 'DELETE', path: '/positions', token: trader },
  ];
  for (const visit of visits) {
    const { status } = await send(world, visit);
    screen.expect(status !== 403 && status !== 429, `Shadow refused ${visit.method} ${visit.path} with ${status}`);
  }
  await sleep(400);
  const counts = new Map<string, number>();
  for (const line of world.log()) {
    const entry = JSON.parse(line) as {
      msg: string;
      method: string;
      path: string;
      shadow?: { layer: string; code: string }[];
    };
    const [first] = entry.shadow ?? [];
    if (first === undefined) continue;
    const key = `${entry.method} ${entry.path}\t${first.layer}\t${first.code}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  screen.say('These would have been refused (from the log; portcullis_shadow_denials_total counts them):');
  screen.table([
    ['request', 'layer', 'code', 'times'],
    ...[...counts].map(([key, count]) => [...key.split('\t'), String(count)]),
  ]);
  screen.expect(counts.size >= 4, `expected at least 4 kinds of would-be denials, saw ${counts.size}`);
}

async function enforce(world: World, screen: Screen): Promise<void> {
  screen.heading('Enforce: one word changed in two files, taken over without a restart');
  world.setMode('Enforce');
  await until(
    async () => (await send(world, { method: 'GET', path: '/orders' })).status === 401,
    'Enforce was not taken over',
  );
  const trader = await world.token({ sub: 'tom', roles: ['trader'] });
  const viewer = await world.token({ sub: 'vera', roles: ['viewer'] });
  await show(world, screen, 'GET /orders without a token', { method: 'GET', path: '/orders' }, 401);
  await show(world, screen, 'GET /orders as trader', { method: 'GET', path: '/orders', token: trader }, 200);
  await show(world, screen, 'GET /orders as viewer', { method: 'GET', path: '/orders', token: viewer }, 403);
  await show(world, screen, 'GET /users/vera as vera', { method: 'GET', path: '/users/vera', token: viewer }, 200);
  await show(world, screen, 'GET /users/tom as vera', { method: 'GET', path: '/users/tom', token: viewer }, 403);
}

async function limits(world: World, screen: Screen): Promise<void> {
  screen.heading('Rate limits: 10 log-ins a minute and address, exactly');
  let admitted = 0;
  let last = await send(world, { method: 'POST', path: '/auth/login' });
  for (let i = 0; i < 14 && last.status !== 429; i++) {
    admitted++;
    last = await send(world, { method: 'POST', path: '/auth/login' });
  }
  screen.answer(`POST /auth/login number ${admitted + 1}`, last.status, 429, `after ${admitted} that were let through`);
  for (const name of ['ratelimit-policy', 'ratelimit', 'retry-after']) screen.dim(`${name}: ${last.headers.get(name)}`);
  screen.expect(admitted === 10, `expected 10 log-ins to be let through, saw ${admitted}`);
  screen.expect(last.headers.get('retry-after') !== null, 'the 429 has no Retry-After');
}

async function ticks(world: World, screen: Screen): Promise<void> {
  screen.heading('A WebSocket passes the same policy');
  const viewer = await world.token({ sub: 'vera', roles: ['viewer'] });
  const received = await new Promise<string[]>((resolve, reject) => {
    const messages: string[] = [];
    const socket = new WebSocket(`${world.url.replace('http', 'ws')}/ticks`, {
      headers: { authorization: `Bearer ${viewer}` },
    } as unknown as string[]);
    const late = setTimeout(() => reject(new Error('no ticks within 5 s')), 5_000);
    socket.onmessage = ({ data }) => {
      messages.push(String(data));
      if (messages.length < 3) return;
      clearTimeout(late);
      socket.close();
      resolve(messages);
    };
    socket.onerror = () => reject(new Error('the WebSocket was refused'));
  });
  for (const tick of received) screen.dim(tick);
}

/** Steady load with fresh tokens while the keys change under it. */
async function rotations(world: World, screen: Screen): Promise<void> {
  screen.heading(`${ROTATIONS} key rotations under ${LOAD_PER_SECOND} requests a second`);
  const failures: string[] = [];
  const kids = new Set<string>();
  let sent = 0;
  let inFlight = 0;
  let issuer = await loadTokenIssuer(world.state, 'trading');
  const startedAt = Date.now();
  let reloadedAt = 0;
  while (kids.size <= ROTATIONS) {
    screen.expect(Date.now() - startedAt < 60_000, `only ${kids.size - 1} rotations within 60 s`);
    if (Date.now() - reloadedAt > 250) {
      issuer = await loadTokenIssuer(world.state, 'trading');
      reloadedAt = Date.now();
      if (!kids.has(issuer.kid))
        screen.dim(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(5)} s  ${issuer.kid} signs`);
      kids.add(issuer.kid);
    }
    const user = `load-${sent % LOAD_USERS}`;
    const token = await mintToken(issuer, {
      claims: { sub: user, roles: ['trader'] },
      now: Date.now(),
      expiresInMs: 10_000,
      jti: `${user}-${sent}`,
    });
    sent++;
    inFlight++;
    void send(world, { method: 'GET', path: '/orders', token })
      .then(({ status }) => {
        if (status !== 200) failures.push(`${status} by ${issuer.kid}`);
      })
      .catch((error: Error) => failures.push(error.message))
      .finally(() => {
        inFlight--;
      });
    await sleep(1_000 / LOAD_PER_SECOND);
  }
  await until(async () => inFlight === 0, 'requests did not end');
  screen.say(`${sent} requests, ${failures.length} failed, ${kids.size - 1} rotations.`);
  screen.expect(failures.length === 0, `requests failed during rotations: ${failures.slice(0, 3).join('; ')}`);
}

async function metrics(world: World, screen: Screen): Promise<void> {
  screen.heading('Prometheus metrics');
  const text = await (await fetch(`${world.admin}/metrics`)).text();
  const wanted = [
    'portcullis_requests_total',
    'portcullis_authentication_attempts_total',
    'portcullis_authorization_failures_total',
    'portcullis_rate_limit_hits_total',
    'portcullis_shadow_denials_total',
    'portcullis_policy_serial',
  ];
  for (const prefix of wanted) {
    const lines = text.split('\n').filter((line) => line.startsWith(prefix));
    for (const line of lines.slice(0, 6)) screen.dim(line);
    screen.expect(lines.length > 0, `no metric ${prefix}`);
  }
}

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

async function send(world: World, { method, path, token }: Visit): Promise<Reply> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await fetch(world.url + path, {
    method,
    headers: method === 'POST' ? { ...headers, 'content-type': 'application/json' } : headers,
    ...(method === 'POST' ? { body: '{"user":"tom","password":"Correct-Horse-1"}' } : {}),
  });
  return { status: answer.status, headers: answer.headers, body: await answer.text() };
}

async function show(world: World, screen: Screen, what: string, visit: Visit, expected: number): Promise<void> {
  const { status, body } = await send(world, visit);
  const code = status >= 400 ? String((JSON.parse(body) as { code?: string }).code) : `${body.slice(0, 48)}…`;
  screen.answer(what, status, expected, code);
}

async function until(holds: () => Promise<boolean>, complaint: string): Promise<void> {
  for (let i = 0; i < 100; i++) {
    if (await holds()) return;
    await sleep(100);
  }
  throw new Error(complaint);
}
