import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EgressConfig } from '../../policy/bundle/egress.ts';
import { blackHole } from '../support/black-hole.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { type EgressUnderTest, startEgress } from '../support/egress-under-test.ts';
import { headerOf, headerValues } from '../support/http-messages.ts';
import {
  answer,
  type BrokerBehaviour,
  closedPort,
  hangUp,
  type RecordingBroker,
  recordingBroker,
} from '../support/recording-broker.ts';

const SECRET = 'the-key-of-the-desk';
const METADATA = '169.254.169.254';
const RETRY: NonNullable<EgressConfig['retry']> = {
  attempts: 3,
  retryOn: ['429', '5xx', 'connect'],
  baseMs: 1,
  maxMs: 2_000,
};

let broker: RecordingBroker;
let egress: EgressUnderTest;
const at = (change: Partial<EgressConfig> = {}): Partial<EgressConfig> => ({
  origin: `https://broker.example:${broker.port}`,
  ca: broker.ca,
  credential: { header: 'x-mbx-apikey', value: SECRET },
  ...change,
});

before(async () => {
  broker = await recordingBroker();
  egress = await startEgress([at()]);
});
after(async () => {
  await egress[Symbol.asyncDispose]();
  await broker[Symbol.asyncDispose]();
});

/** What the broker was sent since the last time. */
function taken() {
  return (broker.requests as unknown[]).splice(0) as RecordingBroker['requests'];
}

/** A number that has stopped to change. */
async function settled(read: () => number): Promise<number> {
  for (let before = -1; ; ) {
    const now = read();
    if (now === before) return now;
    before = now;
    await sleep(400);
  }
}

const lines = (...all: readonly string[]): string => `${all.join('\r\n')}\r\n\r\n`;

describe('what is decided on is what is sent', () => {
  before(() =>
    egress.use(at({ allow: [{ methods: ['GET', 'DELETE'], paths: ['/api/v3/order', '/api/v3/orders/{id}'] }] })),
  );
  const rows: readonly [name: string, requestLine: string, status: number, sent?: string][] = [
    ['an allowed path', 'GET /broker/api/v3/order?symbol=A&signature=b', 200, 'GET /api/v3/order?symbol=A&signature=b'],
    ['HEAD, which follows GET', 'HEAD /broker/api/v3/order', 200, 'HEAD /api/v3/order'],
    ['a parameter', 'DELETE /broker/api/v3/orders/7', 200, 'DELETE /api/v3/orders/7'],
    ['in another spelling', 'GET /broker/api/%763//order', 200, 'GET /api/v3/order'],
    ['dots that lead to it', 'GET /x/../broker/sapi/../api/v3/./order', 200, 'GET /api/v3/order'],
    ['absolute-form', 'GET http://localhost/broker/api/v3/order', 200, 'GET /api/v3/order'],
    ['another path', 'GET /broker/sapi/v1/capital/withdraw/apply', 403],
    ['another method', 'POST /broker/api/v3/order', 403],
    ['a slash more', 'GET /broker/api/v3/order/', 403],
    ['another case', 'GET /broker/API/v3/order', 403],
    ['a path below', 'GET /broker/api/v3/order/test', 403],
    ['dots that lead away', 'GET /broker/api/v3/order/../../sapi', 403],
    ['encoded dots that lead away', 'GET /broker/api/v3/order/%2e%2E/%2e./sapi', 403],
    ['no path', 'GET /broker', 403],
    ['dots that leave the broker', 'GET /broker/../api/v3/order', 404],
    ['a name of no broker', 'GET /other/api/v3/order', 404],
    ['a name in another case', 'GET /Broker/api/v3/order', 404],
    ['a member of every object', 'GET /__proto__/x', 404],
    ['no name', 'GET /', 404],
    ['an encoded slash', 'GET /broker/api%2Fv3/order', 400],
    ['an encoded slash behind the name', 'GET /broker%2Fapi/v3/order', 400],
    ['a backslash', 'GET /broker/api/v3\\order', 400],
    ['a NUL', 'GET /broker/api/v3/order%00', 400],
    ['parameters of a segment', 'GET /broker/api/v3/order;x=1', 400],
    ['above the root', 'GET /../broker/api/v3/order', 400],
    ['a fragment', 'GET /broker/api/v3/order#x', 400],
    ['a fragment in the query', 'GET /broker/api/v3/order?a#x', 400],
    ['a URL instead of a path', 'GET https://broker.example/api/v3/order', 400],
    ['CONNECT', 'CONNECT broker.example:443', 405],
    ['TRACE', 'TRACE /broker/api/v3/order', 405],
  ];
  for (const [name, requestLine, status, sent] of rows) {
    it(`${name}: ${status}`, async () => {
      taken();
      const found = await egress.ask(requestLine);
      assert.equal(found.status, status, found.body);
      assert.deepEqual(
        taken().map(({ startLine }) => startLine),
        sent === undefined ? [] : [`${sent} HTTP/1.1`],
      );
    });
  }

  const framings: readonly [name: string, bytes: string, status: number][] = [
    [
      'both framings',
      lines('GET /broker/api/v3/order HTTP/1.1', 'Host: localhost', 'Content-Length: 1', 'Transfer-Encoding: chunked'),
      400,
    ],
    [
      'two lengths',
      lines('GET /broker/api/v3/order HTTP/1.1', 'Host: localhost', 'Content-Length: 1', 'Content-Length: 2'),
      400,
    ],
    ['a bare LF', 'GET /broker/api/v3/order HTTP/1.1\nHost: localhost\n\n', 400],
    ['a folded line', lines('GET /broker/api/v3/order HTTP/1.1', 'Host: localhost', 'A: b', ' c'), 400],
    ['two Hosts', lines('GET /broker/api/v3/order HTTP/1.1', 'Host: localhost', 'Host: localhost'), 400],
  ];
  for (const [name, bytes, status] of framings) {
    it(`${name}: ${status}`, async () => {
      taken();
      assert.equal((await egress.send(bytes)).status, status);
      assert.deepEqual(taken(), []);
    });
  }

  it('a WebSocket does not pass: 501', async () => {
    const upgrade = [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ];
    assert.equal((await egress.ask('GET /broker/api/v3/order', upgrade)).status, 501);
  });
});

describe('whoever asks must mean us', () => {
  before(() => egress.use(at()));
  const rows: readonly [host: string, status: number][] = [
    ['127.0.0.1', 200],
    ['localhost:14182', 200],
    ['LOCALHOST', 200],
    ['[::1]:1', 200],
    ['evil.example', 400],
    ['localhost.evil.example', 400],
    ['127.0.0.1.nip.io', 400],
    ['0.0.0.0', 400],
    ['2130706433', 400],
    ['', 400],
  ];
  for (const [host, status] of rows) {
    it(`Host: ${host}: ${status}`, async () => {
      assert.equal((await egress.send(lines('GET /broker/x HTTP/1.1', `Host: ${host}`))).status, status);
    });
  }

  it('an absolute-form target decides', async () => {
    const bytes = lines('GET http://evil.example/broker/x HTTP/1.1', 'Host: localhost');
    assert.equal((await egress.send(bytes)).status, 400);
  });

  const outside = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  for (const { address } of outside.filter(({ internal, family }) => !internal && family === 'IPv4')) {
    it(`nobody reaches it at ${address}`, async () => {
      const socket = connect(egress.port, address);
      const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNREFUSED');
    });
  }
});

describe('the credential', () => {
  before(() => egress.use(at()));
  const own: readonly (readonly string[])[] = [
    [],
    ['X-MBX-APIKEY: mine'],
    ['x-mbx-apikey: mine', 'X-Mbx-ApiKey: mine too'],
    ['X_MBX_APIKEY: mine'],
    ['x-mbx_apikey: mine'],
    ['X-MBX-APIKEY: mine', 'Connection: x-mbx-apikey'],
  ];
  for (const headers of own) {
    it(`is ours and no other: ${headers.join(', ') || 'none sent'}`, async () => {
      taken();
      await egress.ask('GET /broker/x', headers);
      const [request] = taken();
      assert.ok(request);
      assert.deepEqual(headerValues(request, 'x-mbx-apikey'), [SECRET]);
      assert.ok(!request.head.includes('mine'), request.head);
    });
  }

  it('stays the broker’s: not in answers, logs or metrics', async () => {
    broker.behave(hangUp);
    const found = [await egress.ask('GET /broker/x'), await egress.ask('GET /nobody/x')];
    assert.ok(!JSON.stringify(found).includes(SECRET));
    assert.ok(egress.log.lines.length > 5 && !egress.log.lines.join('').includes(SECRET));
  });

  it('goes with no request that is refused', async () => {
    egress.use(at({ allow: [{ methods: ['GET'], paths: ['/a'] }] }));
    taken();
    assert.equal((await egress.ask('GET /broker/b')).status, 403);
    assert.deepEqual(taken(), []);
    egress.use(at());
  });

  it('keeps queries, which hold signatures, out of the log', async () => {
    await egress.ask('GET /broker/x?signature=c0ffee');
    assert.ok(!egress.log.lines.join('').includes('c0ffee'));
  });
});

describe('headers', () => {
  before(() => egress.use(at({ credential: null })));

  it('of the hop and of proxies stay here, all others pass', async () => {
    taken();
    await egress.ask('GET /broker/x', [
      'Authorization: Bearer app',
      'X-Request: 1',
      'Connection: keep-alive, x-hop',
      'X-Hop: 1',
      'Proxy-Authorization: x',
      'TE: trailers',
      'X-Forwarded-For: 1.2.3.4',
      'X-Portcullis-Subject: admin',
    ]);
    const [request] = taken();
    assert.deepEqual(request?.headers, [
      ['host', `broker.example:${broker.port}`],
      ['authorization', 'Bearer app'],
      ['x-request', '1'],
    ]);
  });

  it('of the answer pass, those of the hop do not', async () => {
    broker.behave(
      answer(200, { 'X-MBX-USED-WEIGHT': '7', 'Keep-Alive': 'timeout=9', Connection: 'x-hop', 'X-Hop': '1' }),
    );
    const { headers } = await egress.ask('GET /broker/x');
    assert.equal(headers['x-mbx-used-weight'], '7');
    assert.deepEqual([headers['keep-alive'], headers['x-hop']], [undefined, undefined]);
  });

  const broken: readonly [name: string, bytes: string][] = [
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
    ['both framings', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['no HTTP', 'SSH-2.0-x\r\n\r\n'],
    ['an upgrade nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
  ];
  for (const [name, bytes] of broken) {
    it(`an answer that is no clear HTTP/1.1 does not pass: ${name}`, async () => {
      broker.behave((_, socket) => void socket.write(bytes, 'latin1'));
      const found = await egress.ask('GET /broker/x');
      assert.equal(found.status, 502);
      assert.match(found.body, /egress_protocol/);
    });
  }
});

describe('where it goes', () => {
  const refusals: readonly [name: string, change: Partial<EgressConfig>, addresses: readonly string[]][] = [
    ['a private address', { allowPrivateAddresses: false }, ['127.0.0.1']],
    ['one of two addresses', { allowPrivateAddresses: false }, ['8.8.8.8', '10.0.0.1']],
    ['metadata, whatever is allowed', {}, [METADATA]],
    ['metadata as the second address', {}, ['127.0.0.1', METADATA]],
    ['metadata in IPv6', {}, [`::ffff:${METADATA}`]],
    ['EC2 metadata', {}, ['fd00:ec2::254']],
    ['link local', {}, ['fe80::1']],
    ['nowhere', {}, ['0.0.0.0']],
  ];
  for (const [name, change, addresses] of refusals) {
    it(`not to ${name}`, async () => {
      await using other = await startEgress([at({ ...change, retry: RETRY })], { resolve: async () => addresses });
      const connections = broker.connections;
      const found = await other.ask('GET /broker/x');
      assert.deepEqual([found.status, JSON.parse(found.body).code], [502, 'egress_refused']);
      assert.ok(!found.body.includes(addresses[0]!), 'the application is not told where names lead');
      assert.match(other.log.lines.join(''), /leads to .*, which is/);
      assert.equal(broker.connections, connections);
    });
  }

  const literals = [
    'https://169.254.169.254',
    'https://2852039166',
    'https://0251.0376.0251.0376',
    'https://0xA9FEA9FE',
  ];
  for (const origin of literals) {
    it(`not to ${origin}`, async () => {
      await using other = await startEgress([at({ origin: new URL(origin).origin })]);
      assert.match((await other.ask('GET /broker/x')).body, /egress_refused/);
    });
  }

  it('to the address that was checked, though the name leads elsewhere a moment later', async () => {
    const dns = await startDnsServer((before) => [before === 0 ? '127.0.0.1' : METADATA]);
    await using other = await startEgress([at()], { resolve: dns.resolve });
    for (let i = 0; i < 3; i++) assert.equal((await other.ask('GET /broker/x')).status, 200);
    assert.equal(dns.questions, 1);
    broker.behave(answer(200, { connection: 'close' }));
    assert.equal((await other.ask('GET /broker/x')).status, 200);
    const found = await other.ask('GET /broker/x');
    assert.deepEqual([found.status, dns.questions], [502, 2], 'asked again for the next connection, and refused');
    dns.close();
  });

  for (const status of [301, 302, 307, 308]) {
    it(`follows no redirect: ${status}`, async () => {
      egress.use(at());
      taken();
      broker.behave(answer(status, { location: `https://${METADATA}/latest/meta-data/` }));
      const found = await egress.ask('GET /broker/x');
      assert.deepEqual([found.status, found.headers['location']], [status, `https://${METADATA}/latest/meta-data/`]);
      assert.equal(taken().length, 1);
    });
  }

  it('asks for the name in the handshake, and says it in Host', async () => {
    egress.use(at());
    taken();
    await egress.ask('GET /broker/x');
    assert.deepEqual(new Set(broker.serverNames), new Set(['broker.example']));
    assert.equal(headerOf(taken()[0]!, 'host'), `broker.example:${broker.port}`);
  });
});

describe('TLS', () => {
  const day = 86_400_000;
  const rows: readonly [name: string, identity: Parameters<typeof recordingBroker>[0], own: boolean, why: RegExp][] = [
    ['for another name', { name: 'other.example' }, true, /altnames/],
    ['expired', { signedAt: Date.now() - 8 * day }, true, /expired/],
    ['from an authority that is not trusted', {}, false, /certificate/],
  ];
  for (const [name, identity, own, why] of rows) {
    it(`nothing is sent to a certificate ${name}`, async () => {
      process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
      await using wrong = await recordingBroker(identity);
      const change = { origin: `https://broker.example:${wrong.port}`, ca: own ? wrong.ca : null };
      await using other = await startEgress([at(change)]);
      try {
        assert.match((await other.ask('GET /broker/x')).body, /egress_connect/);
        assert.match(String(other.log.entries('egress request')[0]?.['reason']), why);
        assert.deepEqual(wrong.requests, []);
      } finally {
        delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
      }
    });
  }
});

describe('what is tried again', () => {
  const rows: readonly [
    name: string,
    requestLine: string,
    behaviours: readonly BrokerBehaviour[],
    status: number,
    requests: number,
    change?: Partial<EgressConfig>,
  ][] = [
    ['429 after 429', 'GET /broker/x', [answer(429), answer(429, {}, 'slow')], 200, 3],
    ['503', 'DELETE /broker/x', [answer(503)], 200, 2],
    ['a connection that ends', 'GET /broker/x', [hangUp, hangUp], 200, 3],
    ['not for ever', 'GET /broker/x', [answer(503), answer(503), answer(503, {}, 'last'), answer(200)], 503, 3],
    [
      'not what the policy does not name',
      'GET /broker/x',
      [answer(503)],
      503,
      1,
      { retry: { ...RETRY, retryOn: ['429'] } },
    ],
    ['not without retry', 'GET /broker/x', [answer(429)], 429, 1, { retry: null }],
    ['not 404', 'GET /broker/x', [answer(404)], 404, 1],
    ['not when Retry-After is longer than max', 'GET /broker/x', [answer(429, { 'retry-after': '3' })], 429, 1],
    ['never a POST that was sent: 429', 'POST /broker/x', [answer(429)], 429, 1],
    ['never a POST that was sent: 503', 'POST /broker/x', [answer(503)], 503, 1],
    ['never a POST that was sent: no answer', 'POST /broker/x', [hangUp], 502, 1],
    ['never a PATCH', 'PATCH /broker/x', [answer(503)], 503, 1],
  ];
  for (const [name, requestLine, behaviours, status, requests, change = {}] of rows) {
    it(`${name}: ${requests}`, async () => {
      await using other = await startEgress([at({ retry: RETRY, ...change })]);
      taken();
      broker.behave(...behaviours);
      const found = await other.ask(requestLine);
      assert.equal(found.status, status, found.body);
      assert.equal(taken().length, requests);
    });
  }

  it('a body is sent again as it was', async () => {
    egress.use(at({ retry: RETRY }));
    taken();
    broker.behave(answer(503), hangUp);
    assert.equal((await egress.ask('PUT /broker/x', [], '{"a":1}')).status, 200);
    assert.deepEqual(
      taken().map(({ body }) => body),
      ['{"a":1}', '{"a":1}', '{"a":1}'],
    );
  });

  it('a body of more than 64 KiB is streamed, and not sent again', async () => {
    egress.use(at({ retry: RETRY }));
    taken();
    broker.behave(answer(503));
    assert.equal((await egress.ask('PUT /broker/x', [], 'x'.repeat(65_537))).status, 503);
    assert.deepEqual(
      taken().map(({ body }) => body.length),
      [65_537],
    );
  });

  it('a chunked body passes', async () => {
    egress.use(at());
    taken();
    const body = '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n';
    const head = lines('POST /broker/x HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked');
    assert.equal((await egress.send(head + body)).status, 200);
    assert.equal(taken()[0]?.body, 'abcde');
  });

  it('a POST too, as long as nothing was sent: the broker cannot be reached', async () => {
    const origin = `https://broker.example:${await closedPort()}`;
    egress.use(at({ origin, retry: RETRY }));
    const found = await egress.ask('POST /broker/x', [], 'order');
    assert.match(found.body, /egress_connect/);
    assert.equal(egress.log.entries('egress request').at(-1)?.['tries'], 3);
    assert.equal(await egress.metric('portcullis_egress_retries_total{broker="broker",reason="connect"}'), 2);
  });

  it('waits as long as Retry-After says', async () => {
    egress.use(at({ retry: RETRY }));
    const times: number[] = [];
    const timed =
      (behaviour: BrokerBehaviour): BrokerBehaviour =>
      (request, socket) => {
        times.push(performance.now());
        behaviour(request, socket);
      };
    broker.behave(timed(answer(429, { 'retry-after': '1' })), timed(answer(200)));
    assert.equal((await egress.ask('GET /broker/x')).status, 200);
    assert.ok(times[1]! - times[0]! >= 999, `${times[1]! - times[0]!} ms`);
  });

  it('a kept connection that the broker closed is replaced without a word, and no try counted', async () => {
    await using other = await startEgress([at()]);
    assert.equal((await other.ask('GET /broker/x')).status, 200);
    broker.behave(hangUp);
    assert.equal((await other.ask('GET /broker/x')).status, 200);
    assert.equal(other.log.entries('egress request').at(-1)?.['tries'], 1);
    broker.behave(hangUp);
    assert.equal((await other.ask('POST /broker/x')).status, 502, 'but never for a POST, which may have arrived');
  });

  it('ends when the application leaves', async () => {
    await using other = await startEgress([at({ retry: { ...RETRY, baseMs: 60_000, maxMs: 60_000 } })]);
    taken();
    broker.behave(answer(429, { 'retry-after': '60' }));
    await other.ask('GET /broker/x', [], '', { timeoutMs: 200 });
    while (other.log.entries('egress request').length === 0) await sleep(5);
    assert.equal(other.log.entries('egress request')[0]?.['status'], 499);
    assert.equal(taken().length, 1);
  });
});

describe('the rate', () => {
  const rate = { limit: 3, windowMs: 60_000, burst: 0 };

  it('is never exceeded, retries included: 429 with Retry-After', async () => {
    await using other = await startEgress([at({ rate, retry: { ...RETRY, attempts: 10 } })]);
    taken();
    broker.behave(...Array.from({ length: 10 }, () => answer(503)));
    const found = await other.ask('GET /broker/x');
    assert.deepEqual([found.status, JSON.parse(found.body).code], [429, 'rate_limited']);
    assert.ok(Number(found.headers['retry-after']) >= 58, JSON.stringify(found.headers));
    assert.equal(taken().length, 3);
    assert.equal(await other.metric('portcullis_egress_throttled_total{broker="broker"}'), 1);
    broker.behave();
  });

  it('may be waited for', async () => {
    await using other = await startEgress([at({ rate: { limit: 1, windowMs: 300, burst: 0 }, waitMs: 2_000 })]);
    const startedAt = performance.now();
    const found = await Promise.all([1, 2, 3].map(() => other.ask('GET /broker/x')));
    assert.deepEqual(
      found.map(({ status }) => status),
      [200, 200, 200],
    );
    assert.ok(performance.now() - startedAt >= 599);
  });

  it('in Shadow is counted, like what is not allowed, and nothing is refused', async () => {
    const allow = [{ methods: ['GET'], paths: ['/a'] }];
    await using other = await startEgress([at({ rate: { ...rate, limit: 1 }, allow })], { mode: 'Shadow' });
    for (const path of ['/a', '/a', '/b']) assert.equal((await other.ask(`GET /broker${path}`)).status, 200);
    assert.deepEqual(
      other.shadowDenials.map(({ code, layer }) => `${layer} ${code}`),
      ['egress rate_limited', 'egress egress_not_allowed', 'egress rate_limited'],
    );
    assert.equal((await other.ask('GET /other/a')).status, 404, 'what leads nowhere leads nowhere');
  });
});

describe('the circuit breaker', () => {
  const circuitBreaker = {
    failureRatio: 0.5,
    minimumRequests: 2,
    windowMs: 60_000,
    openForMs: 300,
    halfOpenRequests: 1,
  };

  it('leaves a broker that fails alone, tries it again, and then trusts it', async () => {
    await using other = await startEgress([at({ circuitBreaker })]);
    taken();
    broker.behave(answer(503), hangUp, answer(503), answer(200));
    const statuses = async (times: number): Promise<number[]> => {
      const found = [];
      for (let i = 0; i < times; i++) found.push((await other.ask('POST /broker/x')).status);
      return found;
    };
    assert.deepEqual(await statuses(4), [503, 502, 503, 503]);
    assert.equal(taken().length, 2);
    assert.equal(await other.metric('portcullis_egress_circuit_breaker_state{broker="broker"}'), 2);
    const found = await other.ask('GET /broker/x');
    assert.deepEqual([JSON.parse(found.body).code, found.headers['retry-after']], ['egress_circuit_open', '1']);
    await sleep(310);
    assert.deepEqual(await statuses(2), [503, 503], 'one trial, which fails');
    assert.equal(taken().length, 1);
    await sleep(310);
    assert.deepEqual(await statuses(3), [200, 200, 200]);
  });

  it('charges nothing for what it refuses', async () => {
    const rate = { limit: 3, windowMs: 60_000, burst: 0 };
    await using other = await startEgress([at({ circuitBreaker, rate })]);
    const codeOf = async (): Promise<string> => JSON.parse((await other.ask('POST /broker/x')).body).code;
    broker.behave(answer(503), answer(503));
    for (let i = 0; i < 2; i++) await other.ask('POST /broker/x');
    for (let i = 0; i < 5; i++) assert.equal(await codeOf(), 'egress_circuit_open');
    await sleep(310);
    assert.equal((await other.ask('POST /broker/x')).status, 200, 'the third of three');
  });

  it('asks nothing beside the trial', async () => {
    await using other = await startEgress([at({ circuitBreaker })]);
    broker.behave(answer(503), answer(503), (request, socket) => {
      setTimeout(() => answer(200)(request, socket), 200);
    });
    for (let i = 0; i < 2; i++) await other.ask('POST /broker/x');
    await sleep(310);
    taken();
    const trial = other.ask('POST /broker/x');
    while (broker.requests.length === 0) await sleep(5);
    assert.match((await other.ask('POST /broker/x')).body, /egress_circuit_open/);
    assert.equal((await trial).status, 200);
    assert.equal(taken().length, 1);
  });

  it('counts each try, and ends them when it opens', async () => {
    await using other = await startEgress([at({ circuitBreaker, retry: { ...RETRY, attempts: 10 } })]);
    taken();
    broker.behave(...Array.from({ length: 10 }, () => answer(503)));
    assert.match((await other.ask('GET /broker/x')).body, /egress_circuit_open/);
    assert.equal(taken().length, 2);
    broker.behave();
  });

  it('counts a broker that cannot be reached, not one that may not be', async () => {
    const origin = `https://broker.example:${await closedPort()}`;
    await using down = await startEgress([at({ circuitBreaker, origin })]);
    await using refused = await startEgress([at({ circuitBreaker })], { resolve: async () => [METADATA] });
    for (const [one, code] of [
      [down, 'egress_circuit_open'],
      [refused, 'egress_refused'],
    ] as const) {
      for (let i = 0; i < 2; i++) await one.ask('GET /broker/x');
      assert.equal(JSON.parse((await one.ask('GET /broker/x')).body).code, code);
    }
  });

  it('in Shadow only counts', async () => {
    await using other = await startEgress([at({ circuitBreaker })], { mode: 'Shadow' });
    broker.behave(answer(503), answer(503));
    for (const status of [503, 503, 200, 200]) assert.equal((await other.ask('GET /broker/x')).status, status);
    assert.deepEqual(new Set(other.shadowDenials.map(({ code }) => code)), new Set(['egress_circuit_open']));
  });
});

describe('slow and many', () => {
  it('a broker that never takes the connection: 502 within the time to connect', { timeout: 20_000 }, async () => {
    await using hole = await blackHole();
    await using other = await startEgress([at({ origin: `https://broker.example:${hole.port}` })]);
    const found = await other.ask('GET /broker/x', [], '', { timeoutMs: 15_000 });
    assert.match(found.body, /egress_connect/);
  });

  it('a large answer waits at the broker while nobody reads it here', async () => {
    egress.use(at());
    const megabytes = 64;
    const held = new Promise<() => number>((resolve) => {
      broker.behave((_, socket) => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${megabytes * 1024 * 1024}\r\n\r\n`);
        for (let i = 0; i < megabytes; i++) socket.write(Buffer.alloc(1024 * 1024, 'x'));
        resolve(() => socket.writableLength);
      });
    });
    const client = connect(egress.port, '127.0.0.1');
    client.write(lines('GET /broker/x HTTP/1.1', 'Host: localhost', 'Connection: close'));
    const heldByBroker = await held;
    assert.ok((await settled(heldByBroker)) > 48 * 1024 * 1024, `the broker still holds ${heldByBroker()}`);
    let received = 0;
    for await (const chunk of client) received += (chunk as Buffer).length;
    assert.ok(received > megabytes * 1024 * 1024);
  });

  it('a large request waits at the application while the broker does not read it', async () => {
    egress.use(at());
    broker.behave();
    const stuck = new Promise<void>((resolve) => broker.onConnection(() => resolve())); // and never reads
    await using other = await startEgress([at()]);
    const client = connect(other.port, '127.0.0.1');
    client.on('error', () => {});
    client.write(lines('PUT /broker/x HTTP/1.1', 'Host: localhost', `Content-Length: ${64 * 1024 * 1024}`));
    for (let i = 0; i < 64; i++) client.write(Buffer.alloc(1024 * 1024, 'x'));
    await stuck;
    assert.ok((await settled(() => client.writableLength)) > 48 * 1024 * 1024, `held: ${client.writableLength}`);
    client.destroy();
  });

  it('no connection is left behind by brokers that left the policy', async () => {
    await using other = await startEgress([at()]);
    await other.ask('GET /broker/x');
    other.use(at({ name: 'else', origin: `https://broker.example:${await closedPort()}` }));
    assert.equal((await other.ask('GET /broker/x')).status, 404);
    other.egress.use(null);
    assert.equal(other.egress.port, null, 'without egress nothing listens');
    await assert.rejects(other.ask('GET /broker/x'), /ECONNREFUSED/);
    other.use(at());
    while (other.egress.port === null) await sleep(5);
  });
});
