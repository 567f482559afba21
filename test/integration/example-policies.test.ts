import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { checkPolicies } from '../../cli/local/check-policies.ts';
import { makeTestKey, mintToken } from '../../sidecar/tokens/testing/token-fixtures.ts';
import { request } from '../support/attack-table.ts';
import { type RawAnswer, send } from '../support/raw-http.ts';
import { type PolicyUnderTest, type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const DIRECTORY = new URL('../../examples/policies/', import.meta.url);
const key = makeTestKey('ES256', 'example-key');

/** The demo's policies, compiled as local mode compiles them. */
function compileExamples(): PolicyUnderTest {
  const files = ['access.yaml', 'keys.yaml', 'limits.yaml'].map((file) => ({
    file,
    text: readFileSync(new URL(file, DIRECTORY), 'utf8'),
  }));
  const choice = { directory: 'examples/policies', accessPolicy: null, rateLimitPolicy: null, redisUrl: null };
  const { policies, problems } = checkPolicies(files, choice);
  assert.deepEqual(problems, [], 'no error and no warning');
  const compiled = policies?.compile(() => ({ serial: 1, verificationKeys: [key.verification] }));
  assert.ok(compiled?.access.content && compiled.limits?.content);
  // The helper signs its bundles under names of its own.
  const name = { namespace: 'test' };
  return {
    access: { ...compiled.access.content, ...name, name: 'access' },
    limits: { ...compiled.limits.content, ...name, name: 'limits' },
  };
}

type Who = 'nobody' | 'stranger' | 'viewer' | 'trader' | 'admin' | 'premium';

function tokenOf(who: Who, user: string): string {
  const iat = Math.floor(Date.now() / 1000);
  const standard = { iss: 'https://auth.trading.example', aud: 'trading-api', sub: user, iat, exp: iat + 300 };
  if (who === 'stranger') return mintToken(key, standard);
  if (who === 'premium') return mintToken(key, { ...standard, roles: ['trader'], tier: 'premium' });
  return mintToken(key, { ...standard, roles: [who] });
}

describe('the example policies', () => {
  let sut: SidecarUnderTest | undefined;
  let users = 0;
  before(async () => {
    sut = await startSidecarUnderTest(compileExamples());
  });
  after(() => sut?.stop());

  function call(line: string, who: Who, user: string): Promise<RawAnswer> {
    const authorization = who === 'nobody' ? [] : [`Authorization: Bearer ${tokenOf(who, user)}`];
    return send(sut?.port ?? 0, request(`${line} HTTP/1.1`, 'Host: localhost', ...authorization));
  }

  // A new user each time, so that no limit of the one speaks in the case of another.
  const decisions: readonly (readonly [string, Readonly<Partial<Record<Who, number>>>])[] = [
    ['POST /auth/register', { nobody: 200 }],
    ['POST /auth/login', { nobody: 200, viewer: 200 }],
    ['POST /auth/refresh', { nobody: 200 }],
    ['GET /auth/login', { nobody: 401, admin: 403 }],
    ['GET /users/me', { nobody: 401, stranger: 200, viewer: 200, admin: 200 }],
    ['GET /users/someone', { nobody: 401, stranger: 403, trader: 403, admin: 200 }],
    ['GET /admin/users', { nobody: 401, viewer: 403, trader: 403, admin: 200 }],
    ['GET /orders', { nobody: 401, stranger: 403, viewer: 403, trader: 200, admin: 200 }],
    ['HEAD /orders', { viewer: 403, trader: 200 }],
    ['POST /orders', { viewer: 403, trader: 200, admin: 200 }],
    ['DELETE /orders', { trader: 403, admin: 403 }],
    ['GET /positions', { stranger: 403, viewer: 200, trader: 200 }],
    ['GET /candles?symbol=AAPL', { stranger: 403, viewer: 200 }],
    ['GET /elsewhere', { nobody: 401, admin: 403 }],
  ];
  for (const [line, expected] of decisions) {
    for (const [who, status] of Object.entries(expected) as [Who, number][]) {
      it(`${line} by ${who}: ${status}`, async () => {
        const answer = await send(
          sut?.port ?? 0,
          request(
            `${line} HTTP/1.1`,
            'Host: localhost',
            ...(who === 'nobody' ? [] : [`Authorization: Bearer ${tokenOf(who, `user-${users++}`)}`]),
          ),
          { bodiless: line.startsWith('HEAD') },
        );
        assert.equal(answer.status, status, answer.body);
      });
    }
  }

  it('GET /users/{id} by the user itself: 200', async () => {
    assert.equal((await call('GET /users/self', 'viewer', 'self')).status, 200);
  });

  // What is admitted in one minute from the start; the decisions above have spent some of the address's share.
  const limits: readonly (readonly [string, Who, number])[] = [
    ['GET /positions', 'viewer', 100],
    ['GET /users/me', 'premium', 100],
    ['GET /orders', 'premium', 100],
    ['POST /orders', 'premium', 50],
    ['POST /orders', 'trader', 50],
    ['GET /candles', 'premium', 1000],
    ['POST /auth/refresh', 'viewer', 20],
  ];
  for (const [line, who, admitted] of limits) {
    it(`${line} by ${who}: ${admitted} a minute, then 429`, async () => {
      const user = `user-${users++}`;
      const one = request(`${line} HTTP/1.1`, 'Host: localhost', `Authorization: Bearer ${tokenOf(who, user)}`);
      const { responses } = await send(sut?.port ?? 0, one.repeat(admitted + 1), {
        answers: admitted + 1,
        timeoutMs: 20_000,
      });
      const statuses = responses.map((response) => response.startLine.split(' ')[1]);
      assert.equal(statuses.filter((status) => status === '200').length, admitted);
      assert.equal(statuses.at(-1), '429');
    });
  }

  const anonymous: readonly (readonly [string, number])[] = [
    ['POST /auth/register', 5],
    ['POST /auth/login', 10],
    ['POST /auth/refresh', 20],
  ];
  for (const [line, rate] of anonymous) {
    it(`${line} by nobody: ${rate} a minute for one address, each on its own`, async () => {
      const one = request(`${line} HTTP/1.1`, 'Host: localhost');
      const { responses } = await send(sut?.port ?? 0, one.repeat(rate + 1), { answers: rate + 1 });
      const admitted = responses.filter((response) => response.startLine.includes(' 200 ')).length;
      // The table above has made one to two of these requests before.
      assert.ok(admitted <= rate - 1 && admitted >= rate - 2, `${admitted} more were admitted`);
      assert.ok(responses.at(-1)?.startLine.includes(' 429 '));
    });
  }
});
