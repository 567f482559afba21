import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AccessRule } from '../../policy/bundle/types.ts';
import { send } from '../support/raw-http.ts';
import { rule, type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const MAX = 2_048;

const candle: AccessRule = {
  ...rule('candle', ['/candles'], [{ anonymous: true }]),
  body: {
    contentTypes: ['application/json'],
    maxBytes: MAX,
    schema: {
      type: 'object',
      required: ['symbol', 'high', 'low'],
      additionalProperties: false,
      properties: {
        symbol: { type: 'string', pattern: '^[A-Z0-9]+$' },
        high: { type: 'number', exclusiveMinimum: 0 },
        low: { type: 'number', exclusiveMinimum: 0 },
      },
    },
    rules: [{ rule: 'body.high >= body.low', message: 'high must not be below löw' }],
  },
};
const members: AccessRule = { ...rule('members', ['/members'], [{ roles: ['admin'] }]), body: candle.body! };

const GOOD = '{"symbol":"AAPL","high":2,"low":1}';

function post(
  body: string,
  headers = 'Content-Type: application/json\r\n',
  method = 'POST',
  path = '/candles',
): string {
  return `${method} ${path} HTTP/1.1\r\nHost: api.example\r\n${headers}Content-Length: ${Buffer.byteLength(body, 'latin1')}\r\n\r\n${body}`;
}

interface Refused {
  readonly name: string;
  readonly request: string;
  readonly status: number;
  readonly code: string;
  readonly pointers?: readonly string[];
}

const nested = `{"symbol":${'['.repeat(65)}${']'.repeat(65)},"high":2,"low":1}`;

/** Each beside its honest twin, GOOD, on the same sidecar. */
const attacks: readonly Refused[] = [
  {
    name: 'members of the wrong type, missing and unknown',
    request: post('{"symbol":"a b","high":"2","x":1}'),
    status: 400,
    code: 'body_invalid',
    pointers: ['/high', '/low', '/symbol', '/x'],
  },
  {
    name: 'a rule over two members',
    request: post('{"symbol":"A","high":1,"low":2}'),
    status: 400,
    code: 'body_invalid',
    pointers: [''],
  },
  {
    name: 'a member twice',
    request: post('{"symbol":"A","high":2,"low":1,"low":3}'),
    status: 400,
    code: 'body_invalid',
  },
  {
    name: '__proto__',
    request: post('{"__proto__":{"symbol":"A","high":2,"low":1}}'),
    status: 400,
    code: 'body_invalid',
  },
  { name: 'depth over 64', request: post(nested), status: 400, code: 'body_invalid' },
  {
    name: 'bytes that are not UTF-8',
    request: post('{"symbol":"A\xff","high":2,"low":1}'),
    status: 400,
    code: 'body_invalid',
  },
  { name: 'something behind the JSON', request: post(`${GOOD}{}`), status: 400, code: 'body_invalid' },
  { name: 'no body', request: post(''), status: 400, code: 'body_invalid' },
  { name: 'no Content-Type', request: post(GOOD, ''), status: 415, code: 'unsupported_media_type' },
  {
    name: 'another Content-Type',
    request: post(GOOD, 'Content-Type: text/plain\r\n'),
    status: 415,
    code: 'unsupported_media_type',
  },
  {
    name: 'another charset',
    request: post(GOOD, 'Content-Type: application/json; charset=utf-16\r\n'),
    status: 415,
    code: 'unsupported_media_type',
  },
  {
    name: 'a compressed body',
    request: post(GOOD, 'Content-Type: application/json\r\nContent-Encoding: gzip\r\n'),
    status: 415,
    code: 'unsupported_media_type',
  },
  { name: 'a length over maxBytes', request: post(' '.repeat(MAX + 1)), status: 413, code: 'body_too_large' },
  {
    name: 'chunks over maxBytes',
    request: `POST /candles HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${(MAX + 1).toString(16)}\r\n${' '.repeat(MAX + 1)}\r\n0\r\n\r\n`,
    status: 413,
    code: 'body_too_large',
  },
  { name: 'a GET that has one', request: post('{}', undefined, 'GET'), status: 400, code: 'body_invalid' },
  {
    name: 'no identity: the body is not looked at',
    request: post('{}', undefined, 'POST', '/members'),
    status: 401,
    code: 'token_missing',
  },
];

describe('bodies that a rule demands something of', () => {
  let sut: SidecarUnderTest;
  before(async () => {
    sut = await startSidecarUnderTest({ access: { rules: [candle, members] } });
  });
  after(() => sut.stop());

  for (const { name, request, status, code, pointers } of attacks) {
    it(`refuses ${name}, and the application sees nothing of it`, async () => {
      sut.upstream.clear();
      const answer = await send(sut.port, request);
      const problem = JSON.parse(answer.body);
      assert.deepEqual([answer.status, problem.code], [status, code]);
      if (code === 'body_invalid' || status === 415) assert.ok(problem.errors.length > 0);
      if (pointers !== undefined) {
        assert.deepEqual(
          problem.errors.map(({ pointer }: { pointer: string }) => pointer),
          pointers,
        );
      }
      assert.deepEqual(sut.upstream.requests, []);
    });
  }

  it('forwards what it has checked byte for byte, whatever its framing, and goes on with the next request', async () => {
    sut.upstream.clear();
    const spaced = ` {"symbol" : "AAPL",\n"high":2.0, "low":1e0}`;
    const chunked = `POST /candles HTTP/1.1\r\nHost: a\r\nContent-Type: application/json;charset=UTF-8\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n${GOOD.slice(0, 5)}\r\n${(GOOD.length - 5).toString(16)}\r\n${GOOD.slice(5)}\r\n0\r\n\r\n`;
    const { responses } = await send(sut.port, post(spaced) + chunked + post(GOOD), { answers: 3 });
    assert.deepEqual(
      responses.map(({ startLine }) => startLine),
      Array(3).fill('HTTP/1.1 200 OK'),
    );
    assert.deepEqual(
      sut.upstream.requests.map(({ body }) => body),
      [spaced, GOOD, GOOD],
    );
  });

  it('says what is wrong without a value of it, in ASCII', async () => {
    const { body } = await send(sut.port, post('{"symbol":"s3cret","high":1,"low":2}'));
    assert.ok(!body.includes('s3cret'));
    const { body: other } = await send(sut.port, post('{"symbol":"A","high":1,"low":2}'));
    assert.match(other, /l\\u00f6w/);
    assert.match(JSON.parse(other).errors[0].detail, /löw/);
  });

  it('lets a GET without a body through', async () => {
    assert.equal((await send(sut.port, 'GET /candles HTTP/1.1\r\nHost: a\r\n\r\n')).status, 200);
  });

  it('only watches in Shadow, and loses no byte of what it would refuse', async () => {
    const shadow = await startSidecarUnderTest({ access: { rules: [candle], mode: 'Shadow' } });
    try {
      const large = `{"x":"${'y'.repeat(3 * MAX)}"}`;
      for (const body of ['{}', large]) assert.equal((await send(shadow.port, post(body))).status, 200);
      assert.deepEqual(
        shadow.upstream.requests.map(({ body }) => body),
        ['{}', large],
      );
    } finally {
      await shadow.stop();
    }
  });
});
