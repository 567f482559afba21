import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { memoryIo } from '../../cli/keys/testing/memory-io.ts';
import { runRevokeToken } from '../../cli/tokens/run-revoke-token.ts';
import { apiKeyHash, apiKeyOf } from '../../policy/credentials/api-key.ts';
import { RedisServer, redisMissing } from '../redis/redis-server.ts';
import { send } from '../support/raw-http.ts';
import { recordingUpstream } from '../support/recording-upstream.ts';
import { startSidecarProcess } from '../support/sidecar-process.ts';
import { baseAccess, type PolicyUnderTest, rule, validToken } from '../support/sidecar-under-test.ts';
import { signedHeaders } from '../support/sign-request.ts';
import { serve } from '../support/tcp-server.ts';

const rules = [rule('guarded', ['/**'], [{ authenticated: true }])];
const revocation = { onStoreFailure: 'Deny', maxStalenessMs: 200 } as const;

const seconds = (): number => Math.floor(Date.now() / 1_000);

async function statusOf(port: number, token: string): Promise<number> {
  const answer = await send(port, `GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  return answer.status;
}

async function until(ask: () => Promise<boolean>): Promise<void> {
  for (let i = 0; !(await ask()); i++) {
    assert.ok(i < 500, 'it did not happen within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('sidecar revoke', { timeout: 60_000 }, () => {
  it('refuses a token by jti and those of a subject, from the next request on', async () => {
    const upstream = await recordingUpstream();
    await using sidecar = await startSidecarProcess({
      upstreams: [upstream.port],
      policy: { access: { rules, revocation } },
    });
    const [port = 0] = (await sidecar.ports()).traffic;
    const [one, other, bobs] = [
      validToken({ jti: '-one' }),
      validToken({ jti: 'other' }),
      validToken({ sub: 'bob', iat: seconds() - 5 }),
    ];
    for (const token of [one, other, bobs]) assert.equal(await statusOf(port, token), 200);

    const byJti = await sidecar.exec('revoke', '--jti=-one');
    assert.deepEqual([byJti.code, byJti.stderr], [0, '']);
    assert.equal(
      byJti.stdout,
      'revoked with issuer https://issuer.example, in this pod alone: the policy has no store\n',
    );
    assert.deepEqual([await statusOf(port, one), await statusOf(port, other)], [401, 200]);

    assert.equal((await sidecar.exec('revoke', '--subject=bob', '--issuer=https://issuer.example')).code, 0);
    assert.deepEqual([await statusOf(port, bobs), await statusOf(port, other)], [401, 200]);
    assert.equal(
      await statusOf(port, validToken({ sub: 'bob', iat: seconds() + 5 })),
      200,
      'what is issued later is good',
    );
    await upstream.close();
  });

  it('closes the WebSockets that a revoked token opened, and no others', async () => {
    const server = createServer();
    new WebSocketServer({ server });
    await using application = await serve(server);
    const jwt = baseAccess.jwt.map((each) => ({ ...each, from: [{ kind: 'query', parameter: 'token' }] as const }));
    await using sidecar = await startSidecarProcess({
      upstreams: [application.port],
      policy: { access: { rules, revocation, jwt } },
    });
    const [port = 0] = (await sidecar.ports()).traffic;
    const [leaving, staying] = ['leaving', 'staying'].map(
      (jti) => new WebSocket(`ws://127.0.0.1:${port}/feed?token=${validToken({ jti })}`),
    );
    assert.ok(leaving && staying);
    await Promise.all([once(leaving, 'open'), once(staying, 'open')]);
    const closed = once(leaving, 'close');
    assert.equal((await sidecar.exec('revoke', '--jti', 'leaving')).code, 0);
    const [code] = await closed;
    assert.deepEqual([code, staying.readyState], [1008, WebSocket.OPEN]);
    staying.terminate();
  });

  it('an API key and a secret of a client that are taken out of the policy lose their WebSockets, others do not', async () => {
    const server = createServer();
    new WebSocketServer({ server });
    await using application = await serve(server);
    const keys = [1, 2].map((fill) => apiKeyOf(Buffer.alloc(24, fill)));
    const secrets = [1, 2].map((fill) =>
      Buffer.from(Array.from({ length: 32 }, (_, at) => (at * 37 + fill * 101) & 255)).toString('base64'),
    );
    const whose = { roles: [], tenant: null, tier: null };
    const list = {
      name: 'bots',
      secret: 'test/bots',
      toleranceMs: 60_000,
      maxBytes: 64,
      onStoreFailure: 'Deny',
    } as const;
    const policy = (kept: readonly string[], keptSecrets: readonly string[]): PolicyUnderTest => ({
      access: {
        rules,
        apiKeys: [
          {
            name: 'people',
            header: 'x-api-key',
            keys: kept.map((key) => ({ ...whose, subject: 'ann', sha256: apiKeyHash(key), expiresAt: null })),
          },
        ],
        signedRequests: [{ ...list, clients: [{ ...whose, id: 'bot-1', subject: 'bot', secrets: keptSecrets }] }],
      },
    });
    await using sidecar = await startSidecarProcess({ upstreams: [application.port], policy: policy(keys, secrets) });
    const [port = 0] = (await sidecar.ports()).traffic;
    const open = async (headers: Record<string, string>): Promise<WebSocket> => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/feed`, { headers });
      await once(socket, 'open');
      return socket;
    };
    const bySecret = (secret: string) =>
      open(signedHeaders({ id: 'bot-1', secret }, { method: 'GET', url: `http://127.0.0.1:${port}/feed`, body: '' }));
    const [leaving, staying] = [await open({ 'X-API-Key': keys[0]! }), await open({ 'X-API-Key': keys[1]! })];
    const [old, current] = [await bySecret(secrets[0]!), await bySecret(secrets[1]!)];
    const closed = Promise.all([once(leaving, 'close'), once(old, 'close')]);
    await sidecar.mount(2, policy(keys.slice(1), secrets.slice(1)));
    const codes = (await closed).map(([code]) => code);
    assert.deepEqual([codes, staying.readyState, current.readyState], [[1008, 1008], WebSocket.OPEN, WebSocket.OPEN]);
    for (const socket of [staying, current]) socket.terminate();
  });

  it('says why it cannot: another issuer, nothing to look at, wrong flags', async () => {
    await using sidecar = await startSidecarProcess({ upstreams: [1], policy: { access: { rules } } });
    await sidecar.ports();
    const none = await sidecar.exec('revoke', '--jti', 'a');
    assert.equal(none.code, 1);
    assert.match(
      none.stderr,
      /has no authentication\.revocation, so that its pods would not look; write revocation: \{\}/,
    );
    await sidecar.mount(2, { access: { rules, revocation } });
    await until(async () => (await sidecar.exec('revoke', '--jti', 'a')).code === 0);
    const stranger = await sidecar.exec('revoke', '--jti', 'a', '--issuer', 'https://other.example');
    assert.match(
      stranger.stderr,
      /accepts no tokens of issuer https:\/\/other\.example; it has https:\/\/issuer\.example/,
    );
    for (const argv of [[], ['--jti', 'a', '--subject', 'b'], ['--jti', 'a', '--expires-at', 'soon'], ['--all']]) {
      assert.equal((await sidecar.exec('revoke', ...argv)).code, 2, argv.join(' '));
    }
  });
});

describe('portcullis revoke-token --redis', { skip: redisMissing(), timeout: 60_000 }, () => {
  let redis: RedisServer;
  let directory: string;
  before(async () => {
    redis = await RedisServer.start();
    directory = await mkdtemp(join(tmpdir(), 'portcullis-revoke-'));
  });
  after(async () => {
    await redis.remove();
    await rm(directory, { recursive: true });
  });

  async function run(argv: readonly string[], stdin = '') {
    const io = memoryIo(Date.now);
    const code = await runRevokeToken(argv, {
      ...io,
      now: Date.now,
      stdin: (async function* () {
        yield Buffer.from(stdin);
      })(),
    });
    return { code, out: io.out(), err: io.err() };
  }

  it('every sidecar that shares the store refuses the token', async () => {
    const upstream = await recordingUpstream();
    const access = { rules, revocation, store: { redisUrl: redis.url } };
    await using sidecar = await startSidecarProcess({ upstreams: [upstream.port], policy: { access } });
    const [port = 0] = (await sidecar.ports()).traffic;
    const tokens = ['a', 'b', 'c', 'd'].map((jti) => validToken({ jti, sub: jti, iat: seconds() - 5 }));
    await until(async () => (await statusOf(port, tokens[3]!)) === 200);
    const store = ['--redis', redis.url, '--key-set', 'default/trading'];

    assert.deepEqual(await run([...store, '--token-file', '-'], `${tokens[0]}\n`), {
      code: 0,
      out: 'revoked with default/trading\n',
      err: '',
    });
    await writeFile(join(directory, 'token'), tokens[1]!);
    assert.equal((await run([...store, '--token-file', join(directory, 'token')])).code, 0);
    assert.equal((await run([...store, '--subject', 'c'])).code, 0);
    await until(
      async () => (await Promise.all(tokens.map((token) => statusOf(port, token)))).join() === '401,401,401,200',
    );

    const byPod = await sidecar.exec('revoke', '--jti', 'd');
    assert.match(byPod.stdout, /in default\/trading\n$/);
    await until(async () => (await statusOf(port, tokens[3]!)) === 401);
    await upstream.close();
  });

  it('a store that does not answer: exit code 1, and it says that nothing is revoked', async () => {
    const { code, err } = await run(['--redis', 'redis://127.0.0.1:1', '--key-set', 'a/b', '--jti', 'x']);
    assert.deepEqual([code, err], [1, 'portcullis revoke-token: the store does not answer; nothing is revoked\n']);
  });

  const store = ['--redis', 'redis://127.0.0.1:1', '--key-set', 'a/b'];
  const withoutJti = validToken();
  const wrong: readonly (readonly [name: string, argv: readonly string[], stdin: string, message: RegExp])[] = [
    ['no place', ['--jti', 'x'], '', /give --pod POD or --redis URL/],
    ['two places', [...store, '--pod', 'p', '--jti', 'x'], '', /give --pod POD or --redis URL/],
    ['no key set', ['--redis', 'redis://127.0.0.1:1', '--jti', 'x'], '', /--redis needs --key-set/],
    [
      'a key set without namespace',
      ['--redis', 'redis://h', '--key-set', 'b', '--jti', 'x'],
      '',
      /must be NAMESPACE\/NAME/,
    ],
    ['nothing to revoke', store, '', /give one of --token-file/],
    ['two things', [...store, '--jti', 'x', '--subject', 'y'], '', /give one of --token-file/],
    ['an empty subject', [...store, '--subject', ''], '', /is that of no token/],
    ['no token', [...store, '--token-file', '-'], 'hello', /no JSON Web Token/],
    [
      'a token without jti',
      [...store, '--token-file', '-'],
      withoutJti,
      /has no jti; revoke all tokens of its subject: --subject "alice"/,
    ],
    ['a file that is not there', [...store, '--token-file', '/nowhere'], '', /\/nowhere: ENOENT/],
    [
      'a not-before of a token',
      [...store, '--jti', 'x', '--not-before', '2026-01-01T00:00:00Z'],
      '',
      /belongs to --subject/,
    ],
    [
      'a not-before to come',
      [...store, '--subject', 'x', '--not-before', '2126-01-01T00:00:00Z'],
      '',
      /lies in the future/,
    ],
    ['a not-before that is none', [...store, '--subject', 'x', '--not-before', 'yesterday'], '', /must be an instant/],
    ['a URL that is none', ['--redis', 'http://:pw@h', '--key-set', 'a/b', '--jti', 'x'], '', /redis:\/\//],
  ];
  for (const [name, argv, stdin, message] of wrong) {
    it(`${name}: exit code 2, and what to write`, async () => {
      const { code, err } = await run(argv, stdin);
      assert.equal(code, 2, err);
      assert.match(err, message);
      assert.ok(!err.includes('pw') && !err.includes(withoutJti));
    });
  }
});
