import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeProtectedHeader } from 'jose';
import { runFernet } from '../../cli/fernet/run-fernet.ts';
import { type RunningLocal, startLocal } from '../../cli/local/start-local.ts';
import { startMessage } from '../../cli/local/start-message.ts';
import { runToken } from '../../cli/token/run-token.ts';
import { JWT_ALGORITHMS, type JwtAlgorithm } from '../../policy/bundle/types.ts';
import type { LogSink } from '../../runtime/log.ts';

const WAIT_MS = 60_000;

/** Every 2 s another key signs; its tokens live 30 s. */
const FAST = `  maxTokenLifetime: 30s
  propagation: 0s
  jwksMaxAge: 0s
  clockSkew: 0s
  rotation: {period: 2s, prePublish: 1s, maxKeys: 17}
`;

const nameOf = (algorithm: JwtAlgorithm) => algorithm.toLowerCase();

const keySet = (algorithm: JwtAlgorithm) => `apiVersion: portcullis.dev/v1alpha1
kind: SigningKeySet
metadata: {name: ${nameOf(algorithm)}}
spec:
  algorithm: ${algorithm}
  issuer: https://${nameOf(algorithm)}.example
  audiences: [trading-api]
${FAST}---
`;

const AT_REST = `apiVersion: portcullis.dev/v1alpha1
kind: SigningKeySet
metadata: {name: at-rest}
spec:
  algorithm: Fernet
${FAST}`;

const ACCESS = `apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: {name: orders}
spec:
  authentication:
    jwt:
${JWT_ALGORITHMS.map((name) => `      - {name: ${nameOf(name)}, keySetRef: {name: ${nameOf(name)}}}\n`).join('')}
  rules:
    - {name: list, match: {paths: [/orders], methods: [GET]}, allow: [{authenticated: true}]}
`;

/** A sink that keeps nothing. */
const silent: LogSink = { stream: { write: () => {} }, write: () => {}, dropped: () => 0, close: () => {} };

describe('local mode with every algorithm', () => {
  let directory = '';
  let upstream: Server;
  let local: RunningLocal;
  const said: string[] = [];

  const options = () => ({
    policies: join(directory, 'policies'),
    upstream: { host: '127.0.0.1', port: (upstream.address() as AddressInfo).port },
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    state: join(directory, 'state'),
    redisUrl: null,
    accessPolicy: null,
    rateLimitPolicy: null,
  });

  /** What `portcullis token` prints. */
  async function token(algorithm: JwtAlgorithm): Promise<string> {
    const [out, err]: [string[], string[]] = [[], []];
    const argv = ['--state', join(directory, 'state'), '--key-set', nameOf(algorithm), '--claims', '{"sub":"u1"}'];
    const code = await runToken([...argv, '--expires-in', '30s'], {
      stdout: { write: (text) => out.push(text) },
      stderr: { write: (text) => err.push(text) },
      now: Date.now,
    });
    assert.equal(code, 0, err.join(''));
    return out.join('').trim();
  }

  async function statusWith(bearer: string): Promise<number> {
    const headers = { authorization: `Bearer ${bearer}` };
    const answer = await fetch(`http://127.0.0.1:${local.sidecar.traffic[0]?.port}/orders`, { headers });
    await answer.arrayBuffer();
    return answer.status;
  }

  /** What `portcullis fernet ACTION` makes of the input, with the keys that are exported now. */
  async function fernet(action: 'encrypt' | 'decrypt', input: string): Promise<string> {
    const [out, err]: [string[], string[]] = [[], []];
    const keyFile = join(directory, 'state', 'keys', 'default.at-rest', 'exports', 'keys');
    const stdin = (async function* () {
      yield Buffer.from(input);
    })();
    const code = await runFernet([action, '--key-file', keyFile], {
      stdin,
      stdout: {
        write: (data, done) => {
          out.push(Buffer.from(data).toString());
          done?.();
        },
      },
      stderr: { write: (text) => err.push(text) },
      now: Date.now,
    });
    assert.equal(code, 0, err.join(''));
    return out.join('');
  }

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'portcullis-algorithms-'));
    await mkdir(join(directory, 'policies'));
    await writeFile(join(directory, 'policies', 'keys.yaml'), JWT_ALGORITHMS.map(keySet).join('') + AT_REST);
    await writeFile(join(directory, 'policies', 'access.yaml'), ACCESS);
    upstream = createServer((_, response) => response.end('ok'));
    await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done));
    const host = { sink: silent, say: (line: string) => void said.push(line), now: Date.now, version: '0.0.0' };
    local = await startLocal(options(), host);
  });
  after(async () => {
    await local?.stop();
    upstream.close();
    upstream.closeAllConnections();
    await rm(directory, { recursive: true });
  });

  it('says which keys there are, and where those for Fernet stand', () => {
    const message = startMessage(local, options());
    for (const algorithm of JWT_ALGORITHMS) {
      assert.match(message, new RegExp(`default/${nameOf(algorithm)} signs with ${algorithm} [\\w-]+$`, 'm'));
    }
    assert.match(
      message,
      /default\/at-rest encrypts with Fernet [\w-]+\n +keys in .*default\.at-rest\/exports\/keys$/m,
    );
  });

  it('rotates them all under requests, and refuses none', async (t) => {
    let requests = 0;
    const kids = new Map(JWT_ALGORITHMS.map((algorithm) => [algorithm, new Set<string | undefined>()]));
    const rotated = () => [...kids.values()].every(({ size }) => size >= 3);
    /** The first token of each key, and when it was made. */
    const firsts = new Map<string | undefined, { readonly text: string; readonly at: number }>();
    const sealed = await fernet('encrypt', 'at rest');
    const firstKey = (await readFile(join(directory, 'state/keys/default.at-rest/exports/primary'), 'utf8')).trim();
    for (const deadline = Date.now() + WAIT_MS; !rotated(); ) {
      assert.ok(Date.now() < deadline, `after ${WAIT_MS} ms: ${said.slice(-5).join('\n')}`);
      for (const algorithm of JWT_ALGORITHMS) {
        const text = await token(algorithm);
        const { alg, kid } = decodeProtectedHeader(text);
        assert.equal(alg, algorithm);
        kids.get(algorithm)?.add(kid);
        if (!firsts.has(kid)) firsts.set(kid, { text, at: Date.now() });
        assert.equal(await statusWith(text), 200, `${algorithm} ${kid}`);
        requests++;
      }
    }
    for (const [kid, { text, at }] of firsts) {
      if (Date.now() - at > 25_000) continue;
      assert.equal(await statusWith(text), 200, `${kid}, whether or not it has retired`);
      requests++;
    }
    const primary = (await readFile(join(directory, 'state/keys/default.at-rest/exports/primary'), 'utf8')).trim();
    assert.notEqual(primary, firstKey, 'another Fernet key encrypts by now');
    assert.equal(await fernet('decrypt', sealed), 'at rest');
    t.diagnostic(
      `${requests} requests, none refused, over ${[...kids.values()].reduce((sum, { size }) => sum + size, 0)} keys`,
    );
  });

  it('publishes the public keys of those that have any, and of no others', async () => {
    for (const algorithm of JWT_ALGORITHMS) {
      const file = join(directory, 'state', 'keys', `default.${nameOf(algorithm)}`, 'exports', 'jwks.json');
      if (algorithm.startsWith('HS')) {
        await assert.rejects(readFile(file), { code: 'ENOENT' });
        continue;
      }
      const { keys } = JSON.parse(await readFile(file, 'utf8')) as { keys: Readonly<Record<string, string>>[] };
      assert.ok(keys.length >= 2 && keys.every(({ alg, use }) => alg === algorithm && use === 'sig'));
      assert.ok(keys.every((key) => !Object.hasOwn(key, 'd') && !Object.hasOwn(key, 'k')));
    }
  });

  it('a token signed by another set’s key is refused', async () => {
    const text = await token('ES256');
    const [, claims, signature] = text.split('.');
    const { kid } = decodeProtectedHeader(await token('EdDSA'));
    const header = Buffer.from(JSON.stringify({ alg: 'EdDSA', kid, typ: 'JWT' })).toString('base64url');
    assert.equal(await statusWith(`${header}.${claims}.${signature}`), 401);
    assert.equal(await statusWith(text), 200);
  });

  it('portcullis token says that a Fernet set signs nothing', async () => {
    const err: string[] = [];
    const io = { stdout: { write: () => {} }, stderr: { write: (text: string) => err.push(text) }, now: Date.now };
    const argv = ['--state', join(directory, 'state'), '--key-set', 'at-rest', '--claims', '{}'];
    assert.equal(await runToken(argv, io), 2);
    assert.match(err.join(''), /at-rest is for Fernet, which signs no tokens/);
  });
});
