import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningLocal, startLocal } from '../../cli/local/start-local.ts';
import { startMessage } from '../../cli/local/start-message.ts';
import { loadTokenIssuer, mintToken } from '../../cli/token/mint-token.ts';
import type { LogSink } from '../../runtime/log.ts';

const WAIT_MS = 30_000;

const KEYS = `apiVersion: portcullis.dev/v1alpha1
kind: SigningKeySet
metadata: {name: trading}
spec:
  algorithm: ES256
  issuer: https://auth.trading.example
  audiences: [trading-api]
  maxTokenLifetime: 10s
  propagation: 0s
  jwksMaxAge: 0s
  clockSkew: 0s
  rotation: {period: 1s, prePublish: 500ms, maxKeys: 16}
`;

const ACCESS = `apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: {name: orders}
spec:
  authentication: {jwt: [{name: trading, keySetRef: {name: trading}}]}
  roles:
    - {name: trader, permissions: [orders:read]}
  rules:
    - {name: list, match: {paths: [/orders], methods: [GET]}, allow: [{permissions: [orders:read]}]}
`;

const LIMITS = `apiVersion: portcullis.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: standard}
spec:
  limits:
    - {name: all, key: [ip], rate: 1000000/1m}
`;

const HEALTH = '    - {name: health, match: {paths: [/health]}, allow: [{anonymous: true}]}\n';

/** A sink that keeps nothing. */
const silent: LogSink = { stream: { write: () => {} }, write: () => {}, dropped: () => 0, close: () => {} };

/** Waits until `holds`; fails, saying what, when it never does. */
async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + WAIT_MS; Date.now() < deadline; await sleep(20)) if (await holds()) return;
  assert.fail(`never: ${what}`);
}

describe('local mode', () => {
  const said: string[] = [];
  let directory = '';
  let upstream: Server;
  let local: RunningLocal;

  const optionsOf = (state = 'state') => ({
    policies: join(directory, 'policies'),
    upstream: { host: '127.0.0.1', port: (upstream.address() as AddressInfo).port },
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    state: join(directory, state),
    redisUrl: null,
    accessPolicy: null,
    rateLimitPolicy: null,
  });
  const host = { sink: silent, say: (line: string) => void said.push(line), now: Date.now, version: '0.0.0' };
  const write = (name: string, text: string) => writeFile(join(directory, 'policies', name), text);
  const token = async () => {
    const issuer = await loadTokenIssuer(join(directory, 'state'), 'trading');
    const claims = { sub: 'u1', roles: ['trader'] };
    return {
      kid: issuer.kid,
      text: await mintToken(issuer, { claims, now: Date.now(), expiresInMs: 5_000, jti: randomUUID() }),
    };
  };
  const statusOf = async (path: string, bearer?: string) => {
    const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
    const answer = await fetch(`http://127.0.0.1:${local.sidecar.traffic[0]?.port}${path}`, { headers });
    await answer.arrayBuffer();
    return answer.status;
  };
  const accessState = () => local.sidecar.status().bundles.access;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'portcullis-local-'));
    await mkdir(join(directory, 'policies'));
    await Promise.all([write('keys.yaml', KEYS), write('access.yaml', ACCESS), write('limits.yaml', LIMITS)]);
    upstream = createServer((_, response) => response.end('ok'));
    await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done));
    local = await startLocal(optionsOf(), host);
  });
  after(async () => {
    await local?.stop();
    upstream.close();
    upstream.closeAllConnections();
    await rm(directory, { recursive: true });
  });

  it('enforces the policies of a directory with a key of its own', async () => {
    assert.equal(await statusOf('/orders'), 401);
    assert.equal(await statusOf('/orders', (await token()).text), 200);
    assert.equal(await statusOf('/other', (await token()).text), 403);
    assert.match(startMessage(local, optionsOf()), /AccessPolicy default\/orders, 1 rule \(Enforce\)/);
  });

  it('refuses a second one on the same state directory', async () => {
    await assert.rejects(startLocal(optionsOf(), host), {
      code: 'config_invalid',
      message: /another portcullis local/,
    });
  });

  it('does not start on policies with errors, and says all of them', async () => {
    await mkdir(join(directory, 'bad'));
    await writeFile(
      join(directory, 'bad', 'all.yaml'),
      `${KEYS.replace('10s', 'ten')}---\n${ACCESS.replace('[orders:read]}]', '[orders:raed]}]')}`,
    );
    const options = { ...optionsOf('other'), policies: join(directory, 'bad') };
    await assert.rejects(startLocal(options, host), (error: Error) => {
      assert.match(
        error.message,
        /all\.yaml:8:3 spec\.maxTokenLifetime: .*\n.*all\.yaml:22:86 spec\.rules\[0\]\.allow\[0\]/,
      );
      return true;
    });
  });

  it('takes an edit', async () => {
    assert.equal(await statusOf('/health'), 401);
    await write('access.yaml', ACCESS + HEALTH);
    await eventually('/health is open', async () => (await statusOf('/health')) === 200);
  });

  it('keeps the last good policies after a bad edit, says so, and recovers', async () => {
    await write(
      'access.yaml',
      `${ACCESS}    - {name: bad, match: {paths: [/x]}, allow: [{permissions: [orders:wirte]}]}\n`,
    );
    await eventually('the error is reported', () => accessState()?.error !== null);
    const place = 'access.yaml:10:64 spec.rules[1].allow[0].permissions[0]: unknown permission "orders:wirte"';
    assert.ok((accessState()?.error?.message ?? '').includes(place));
    assert.ok(said.some((line) => line.includes(place)));
    assert.equal(local.sidecar.status().bundles.limits?.error, null);
    assert.equal(await statusOf('/health'), 200);
    await write('access.yaml', ACCESS);
    await eventually('the error is gone', () => accessState()?.error === null);
    await eventually('/health is closed again', async () => (await statusOf('/health')) === 401);
  });

  it('refuses to turn into another policy', async () => {
    await write('access.yaml', ACCESS.replace('name: orders', 'name: others'));
    await eventually('the change is refused', () =>
      /started with AccessPolicy default\/orders/.test(accessState()?.error?.message ?? ''),
    );
    await write('access.yaml', ACCESS);
    await eventually('the error is gone', () => accessState()?.error === null);
  });

  it('rotates keys under requests without refusing one', async () => {
    const kids = new Set<string>();
    await eventually('four keys have signed', async () => {
      const fresh = await token();
      kids.add(fresh.kid);
      assert.deepEqual(
        await Promise.all([statusOf('/orders', fresh.text), statusOf('/orders', fresh.text)]),
        [200, 200],
      );
      return kids.size >= 4;
    });
  });

  it('finds its keys and never an old serial again after a restart', async () => {
    const { text } = await token();
    const serialFile = join(directory, 'state', 'bundle-serial');
    await local.stop();
    const before = Number(await readFile(serialFile, 'utf8'));
    local = await startLocal(optionsOf(), host);
    assert.equal(await statusOf('/orders', text), 200);
    assert.ok((accessState()?.serial ?? 0) > before);
  });
});
