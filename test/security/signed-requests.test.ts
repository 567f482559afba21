import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { SignedRequestAuthenticator } from '../../policy/bundle/authentication.ts';
import { RedisServer, redisMissing } from '../redis/redis-server.ts';
import { describeAnswer, describeWithSidecar, requestLines } from '../support/attack-table.ts';
import { type RawAnswer, send } from '../support/raw-http.ts';
import {
  baseLimits,
  rule,
  type SidecarUnderTest,
  startSidecarUnderTest,
  validToken,
} from '../support/sidecar-under-test.ts';
import { type SigningClient as Client, signedHeaders } from '../support/sign-request.ts';

const TOLERANCE_MS = 30_000;
const secretOf = (fill: number): string =>
  Buffer.from(Array.from({ length: 32 }, (_, at) => (at * 37 + fill * 101) & 255)).toString('base64');
const bot: Client = { id: 'bot-1', secret: secretOf(1) };
const changing: Client = { id: 'bot-1', secret: secretOf(2) };
const other: Client = { id: 'bot-2', secret: secretOf(3) };
const subject = { roles: ['admin'], tenant: 'acme', tier: null };
const signedRequests: readonly SignedRequestAuthenticator[] = [
  {
    name: 'bots',
    secret: 'test/bots',
    toleranceMs: TOLERANCE_MS,
    maxBytes: 1_024,
    onStoreFailure: 'Deny',
    clients: [
      { id: bot.id, secrets: [bot.secret, changing.secret], subject: 'bot', ...subject },
      { id: other.id, secrets: [other.secret], subject: 'other-bot', ...subject },
    ],
  },
];
const rules = [
  rule('orders', ['/orders', '/orders/**'], [{ roles: ['admin'] }]),
  rule('open', ['/open'], [{ anonymous: true }]),
];

/** What is sent; what the signature says may differ. */
interface Sent {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly body: string;
}
const order: Sent = { method: 'POST', path: '/orders?account=7', host: 'api.example', body: '{"quantity":1}' };

function sign(
  client: Client,
  { method, path, host, body }: Sent,
  now = Date.now(),
  nonce?: string,
): Record<string, string> {
  return signedHeaders(client, { method, url: `http://${host}${path}`, body }, now, nonce);
}

function bytes({ method, path, host, body }: Sent, headers: Readonly<Record<string, string | null>>): string {
  const lines = Object.entries(headers).flatMap(([name, value]) => (value === null ? [] : `${name}: ${value}\r\n`));
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n${lines.join('')}\r\n${body}`;
}

function deliver(
  sut: SidecarUnderTest,
  sent: Sent,
  headers: Readonly<Record<string, string | null>>,
): Promise<RawAnswer> {
  sut.upstream.clear();
  return send(sut.port, bytes(sent, headers));
}

describeWithSidecar('signed requests', { access: { rules, signedRequests } }, (sut) => {
  /** Signed as `order`, sent as this. */
  const altered: readonly (readonly [name: string, sent: Partial<Sent>, reason: string])[] = [
    ['another body', { body: '{"quantity":9}' }, 'signature'],
    ['no body', { body: '' }, 'signature'],
    ['another path', { path: '/orders/all?account=7' }, 'signature'],
    ['another query', { path: '/orders?account=8' }, 'signature'],
    ['a parameter more', { path: '/orders?account=7&all=1' }, 'signature'],
    ['no query', { path: '/orders' }, 'signature'],
    ['another method', { method: 'PUT' }, 'signature'],
    ['another host', { host: 'other.example' }, 'signature'],
  ];
  for (const [name, change, reason] of altered) {
    it(`${name} than was signed: 401, ${reason}`, () => refuses({ ...order, ...change }, sign(bot, order), reason));
  }

  const good = (): Record<string, string> => sign(bot, order);
  const attacks: readonly (readonly [name: string, reason: string, headers: () => Record<string, string | null>])[] = [
    ["another client's id", 'signature', () => ({ ...good(), 'X-Client-Id': other.id })],
    ['an unknown client', 'unknown_client', () => ({ ...good(), 'X-Client-Id': 'bot-3' })],
    ['no client', 'malformed', () => ({ ...good(), 'X-Client-Id': null })],
    ['no timestamp', 'malformed', () => ({ ...good(), 'X-Timestamp': null })],
    ['no nonce', 'malformed', () => ({ ...good(), 'X-Nonce': null })],
    ['an empty signature', 'malformed', () => ({ ...good(), 'X-Signature': '' })],
    ['a signature cut short', 'malformed', () => ({ ...good(), 'X-Signature': good()['X-Signature']!.slice(2) })],
    ['a signature in capitals', 'malformed', () => ({ ...good(), 'X-Signature': 'A'.repeat(64) })],
    ['another secret', 'signature', () => sign({ ...bot, secret: secretOf(9) }, order)],
    [
      'another timestamp than was signed',
      'signature',
      () => ({ ...good(), 'X-Timestamp': `${Math.floor(Date.now() / 1000) + 7}` }),
    ],
    ['another nonce than was signed', 'signature', () => ({ ...good(), 'X-Nonce': 'a'.repeat(22) })],
    ['a nonce that is short', 'malformed', () => sign(bot, order, Date.now(), 'a'.repeat(15))],
    ['a nonce with a line break encoded', 'malformed', () => sign(bot, order, Date.now(), `${'a'.repeat(20)}%0a`)],
    ['a timestamp in milliseconds', 'malformed', () => ({ ...good(), 'X-Timestamp': String(Date.now()) })],
    ['a timestamp with a sign', 'malformed', () => ({ ...good(), 'X-Timestamp': `+${Math.floor(Date.now() / 1000)}` })],
    ['a timestamp of the past', 'timestamp', () => sign(bot, order, Date.now() - TOLERANCE_MS - 2_000)],
    ['a timestamp of the future', 'timestamp', () => sign(bot, order, Date.now() + TOLERANCE_MS + 5_000)],
    ['a token besides', 'ambiguous', () => ({ ...good(), Authorization: `Bearer ${validToken()}` })],
    ['two signatures', 'malformed', () => ({ ...good(), 'x-signature': 'a'.repeat(64) })],
    ['two clients', 'malformed', () => ({ ...good(), 'x-client-id': other.id })],
  ];
  for (const [name, reason, headers] of attacks) {
    it(`${name}: 401, ${reason}`, () => refuses(order, headers(), reason));
  }

  async function refuses(sent: Sent, headers: Readonly<Record<string, string | null>>, reason: string): Promise<void> {
    const refused = await deliver(sut(), sent, headers);
    assert.equal(refused.status, 401, describeAnswer(refused));
    assert.equal(JSON.parse(refused.body).code, 'signature_invalid');
    assert.equal(refused.headers['www-authenticate'], 'Signature');
    assert.deepEqual(requestLines(sut()), []);
    assert.ok(sut().log().at(-1)?.includes(`"reason":"${reason}"`), `not ${reason}`);
    const passed = await deliver(sut(), sent, sign(bot, sent));
    assert.equal(passed.status, 200, `honest twin: ${describeAnswer(passed)}`);
  }

  it('a request is good once', async () => {
    const headers = sign(bot, order);
    assert.equal((await deliver(sut(), order, headers)).status, 200);
    assert.match(sut().upstream.received(), /x-portcullis-subject: bot\r\n/);
    assert.ok(sut().upstream.received().endsWith(order.body), 'the body that was hashed is the one that is forwarded');
    const again = await deliver(sut(), order, headers);
    assert.equal(again.status, 401);
    assert.ok(sut().log().at(-1)?.includes('"reason":"replayed"'));
  });

  it('of fifty copies at once one gets through', async () => {
    const copy = bytes(order, sign(bot, order));
    const answers = await Promise.all(Array.from({ length: 50 }, () => send(sut().port, copy)));
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, ...Array<number>(49).fill(401)],
    );
  });

  it('a signature that is not good uses up no nonce', async () => {
    const nonce = randomBytes(16).toString('base64url');
    const bad = { ...sign(bot, order, Date.now(), nonce), 'X-Signature': 'a'.repeat(64) };
    assert.equal((await deliver(sut(), order, bad)).status, 401);
    assert.equal((await deliver(sut(), order, sign(bot, order, Date.now(), nonce))).status, 200);
  });

  it("a client's nonces are its own", async () => {
    const nonce = randomBytes(16).toString('base64url');
    for (const client of [bot, other]) {
      assert.equal((await deliver(sut(), order, sign(client, order, Date.now(), nonce))).status, 200);
    }
  });

  const honest: readonly (readonly [name: string, client: Client, sent: Sent, nowMs?: number])[] = [
    ['without a body', bot, { ...order, method: 'GET', body: '' }],
    ['with the second secret, while the client changes over', changing, order],
    ['with an escaped path', bot, { ...order, path: '/orders/a%20b' }],
    ['with a port in Host', bot, { ...order, host: 'api.example:8080' }],
    ['with a clock that is slow', bot, order, -(TOLERANCE_MS - 5_000)],
    ['with a clock that is fast', bot, order, TOLERANCE_MS - 5_000],
  ];
  for (const [name, client, sent, skew = 0] of honest) {
    it(`${name}: 200`, async () => {
      const answer = await deliver(sut(), sent, sign(client, sent, Date.now() + skew));
      assert.equal(answer.status, 200, describeAnswer(answer));
    });
  }

  it('a body in chunks is hashed as the body that it is', async () => {
    const head = Object.entries(sign(bot, order)).map(([name, value]) => `${name}: ${value}\r\n`);
    const answer = await send(
      sut().port,
      `POST ${order.path} HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\n${head.join('')}\r\n5\r\n${order.body.slice(0, 5)}\r\n9\r\n${order.body.slice(5)}\r\n0\r\n\r\n`,
    );
    assert.equal(answer.status, 200, describeAnswer(answer));
  });

  it('a body above maxBytes: 413, whoever signed it', async () => {
    const large = { ...order, body: 'x'.repeat(1_025) };
    assert.equal((await deliver(sut(), large, sign(bot, large))).status, 413);
    const largest = { ...order, body: 'x'.repeat(1_024) };
    assert.equal((await deliver(sut(), largest, sign(bot, largest))).status, 200);
  });

  it('a bad signature where everyone may in is ignored', async () => {
    const open = { ...order, path: '/open' };
    assert.equal((await deliver(sut(), open, { ...sign(bot, open), 'X-Signature': 'a'.repeat(64) })).status, 200);
    assert.ok(!sut().upstream.received().includes('x-portcullis-subject'));
  });

  it('no secret, no signature and no nonce shows in the log', async () => {
    const headers = sign(bot, order);
    await deliver(sut(), order, headers);
    await deliver(sut(), order, headers);
    const log = sut().log().join('');
    for (const hidden of [bot.secret, other.secret, headers['X-Signature'], headers['X-Nonce']]) {
      assert.ok(hidden !== undefined && !log.includes(hidden));
    }
  });
});

const anonymous = { limit: 2, windowMs: 60_000 };
describeWithSidecar(
  'signatures that are guessed',
  {
    access: { rules, signedRequests },
    limits: {
      ...baseLimits,
      limits: [
        {
          name: 'all',
          match: { hosts: [], paths: [], methods: [] },
          key: ['user'],
          algorithm: 'FixedWindow',
          rates: { anonymous, authenticated: { limit: 100, windowMs: 60_000 } },
          burst: 0,
          onStoreFailure: 'Deny',
        },
      ],
    },
  },
  (sut) => {
    it('failed attempts spend the anonymous rate of the address; who can sign goes on', async () => {
      const guess = async () =>
        (await deliver(sut(), order, { ...sign(bot, order), 'X-Signature': 'a'.repeat(64) })).status;
      assert.deepEqual([await guess(), await guess(), await guess()], [401, 401, 429]);
      assert.equal((await deliver(sut(), order, sign(bot, order))).status, 200);
    });
  },
);

describe('signed requests to two sidecars on one Redis', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  const sidecars: SidecarUnderTest[] = [];
  const at = (index: number): SidecarUnderTest => sidecars[index] ?? assert.fail('no sidecar');

  before(async () => {
    redis = await RedisServer.start();
    const store = { redisUrl: redis.url };
    const lenient = signedRequests.map((list) => ({ ...list, onStoreFailure: 'Allow' as const }));
    for (const lists of [signedRequests, signedRequests, lenient]) {
      sidecars.push(await startSidecarUnderTest({ access: { rules, signedRequests: lists, store } }));
    }
    for (const sidecar of sidecars) await letIn(sidecar);
  });
  after(async () => {
    for (const sidecar of sidecars) await sidecar.stop();
    await redis.remove();
  });

  /** Sends until the store answered in time: on a busy machine it may take longer than a request waits for it. */
  const answered = async (
    sidecar: SidecarUnderTest,
    headers: () => Record<string, string>,
  ): Promise<[RawAnswer, Record<string, string>]> => {
    const deadline = Date.now() + 10_000;
    for (;;) {
      const sent = headers();
      const answer = await deliver(sidecar, order, sent);
      if (answer.status !== 503) return [answer, sent];
      assert.ok(Date.now() < deadline, 'the store never answered');
    }
  };
  /** A request that a sidecar has let in. */
  const letIn = async (sidecar: SidecarUnderTest): Promise<Record<string, string>> => {
    const [answer, sent] = await answered(sidecar, () => sign(bot, order));
    assert.equal(answer.status, 200, describeAnswer(answer));
    return sent;
  };

  it('what one has let in the other refuses', async () => {
    const headers = await letIn(at(0));
    const [replay] = await answered(at(1), () => headers);
    assert.equal(replay.status, 401);
    assert.ok(at(1).log().at(-1)?.includes('"reason":"replayed"'));
    await letIn(at(1));
  });

  it('of copies to both at once one gets through', async () => {
    let admitted = 0;
    for (let attempt = 0; admitted === 0 && attempt < 20; attempt++) {
      const copy = bytes(order, sign(bot, order));
      const answers = await Promise.all(Array.from({ length: 20 }, (_, turn) => send(at(turn % 2).port, copy)));
      admitted = answers.filter(({ status }) => status === 200).length;
    }
    assert.equal(admitted, 1);
  });

  it('after Redis lost its nonces a request that may have been used is not let in, but where that is allowed', async () => {
    const used = [await letIn(at(0)), await letIn(at(0))];
    const states = sidecars.map((sidecar) => statesOf(sidecar).length);
    await redis.stop('SIGKILL');
    await redis.start();
    await Promise.all(sidecars.map((sidecar, index) => found(sidecar, states[index] ?? 0)));
    for (const [index, headers] of used.entries()) {
      const replay = await deliver(at(index), order, headers);
      assert.equal(replay.status, 503, describeAnswer(replay));
      assert.equal(JSON.parse(replay.body).code, 'store_unavailable');
    }
    assert.equal((await deliver(at(2), order, sign(bot, order))).status, 200);
  });

  it('while Redis is away: 503, or let in where that is allowed; a bad signature never', async () => {
    await redis.stop('SIGKILL');
    assert.equal((await deliver(at(0), order, sign(bot, order))).status, 503);
    assert.equal((await deliver(at(2), order, sign(bot, order))).status, 200);
    const bad = { ...sign(bot, order), 'X-Signature': 'a'.repeat(64) };
    assert.equal((await deliver(at(2), order, bad)).status, 401);
    await redis.start();
  });

  /** Until the sidecar has lost Redis and found it again. */
  async function found(sidecar: SidecarUnderTest, before: number): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (statesOf(sidecar).length < before + 2 || statesOf(sidecar).at(-1)?.includes('store answers') !== true) {
      assert.ok(Date.now() < deadline, 'the store was never found again');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
});

/** What a sidecar said of its store, in order. */
function statesOf(sidecar: SidecarUnderTest): readonly string[] {
  return sidecar.log().filter((line) => line.includes('"msg":"store '));
}
