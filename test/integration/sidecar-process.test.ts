import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import type { ForwardedProbe } from '../../runtime/sidecar-arguments.ts';
import { SIDECAR_PATHS } from '../../runtime/sidecar-arguments.ts';
import { send } from '../support/raw-http.ts';
import { recordingUpstream } from '../support/recording-upstream.ts';
import { startSidecarProcess } from '../support/sidecar-process.ts';
import { openToAll, rule, validToken } from '../support/sidecar-under-test.ts';
import { serve, tcpServer } from '../support/tcp-server.ts';

const GET = 'GET /x HTTP/1.1\r\nHost: api.example\r\n\r\n';

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`;
}

/** Asks until the answer is as wanted. */
async function until(ask: () => Promise<boolean>): Promise<void> {
  for (let i = 0; !(await ask()); i++) {
    assert.ok(i < 500, 'it did not happen within 10 s');
    await delay(20);
  }
}

describe('the sidecar as a process', { timeout: 120_000, concurrency: 2 }, () => {
  it('two ports with one policy; a bundle mounted later is taken over; SIGTERM ends it with 0', async () => {
    const [one, two] = [await recordingUpstream(), await recordingUpstream()];
    await using sidecar = await startSidecarProcess({ upstreams: [one.port, two.port] });
    const { traffic, admin } = await sidecar.ports();
    const [first = 0, second = 0] = traffic;

    const unready = await send(admin, get('/readyz'));
    assert.equal(
      unready.body,
      'PolicyNotFound: AccessPolicy test/access has no bundle yet; apply it, or see kubectl describe accesspolicy access -n test\n',
    );
    assert.equal((await send(first, GET)).status, 503);
    assert.equal((await sidecar.exec('wait', '--timeout', '5s')).code, 0, 'it listens all the same');

    await sidecar.mount(1, {});
    await until(async () => (await send(admin, get('/readyz'))).status === 200);
    assert.deepEqual([(await send(first, GET)).status, (await send(second, GET)).status], [200, 200]);
    assert.deepEqual([one.requests.length, two.requests.length], [1, 1], 'each port has its application');

    await sidecar.mount(2, { access: { rules: [] } });
    await until(async () => (await send(first, GET)).status === 401);
    assert.equal((await send(second, GET)).status, 401);
    const status = JSON.parse((await send(admin, get('/status'))).body);
    assert.deepEqual([status.bundles.access.serial, status.bundles.limits, status.draining], [2, null, false]);
    assert.match(status.version, /^[0-9]+\.[0-9]+\.[0-9]+/);

    assert.equal(await sidecar.end('SIGTERM'), 0);
    assert.ok(
      sidecar.log.some(({ msg }) => msg === 'sidecar stopped'),
      'the log is written out',
    );
    await Promise.all([one.close(), two.close()]);
  });

  it('drain: unready, each answer closes, WebSockets leave one by one with 1001, and it goes on accepting', async () => {
    const server = createServer((_request, response) => response.end('ok'));
    new WebSocketServer({ server });
    await using application = await serve(server);
    const probe: ForwardedProbe = {
      container: 'app',
      kind: 'readiness',
      timeoutSeconds: 1,
      type: 'tcp',
      port: application.port,
    };
    const probes = [probe, { ...probe, kind: 'liveness' }] as const;
    await using sidecar = await startSidecarProcess({ upstreams: [application.port], probes, policy: {} });
    const { traffic, admin } = await sidecar.ports();
    const [port = 0] = traffic;
    const left: { code: number; at: number }[] = [];
    for (let i = 0; i < 4; i++) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
      socket.on('close', (code) => left.push({ code, at: performance.now() }));
      await new Promise<void>((resolve) => socket.once('open', () => resolve()));
    }
    assert.equal((await send(admin, get('/probes/app/readiness'))).status, 200);

    assert.deepEqual(await sidecar.exec('drain', '--over', '800ms'), { code: 0, stdout: '', stderr: '' });
    assert.equal((await send(admin, get('/readyz'))).body, 'draining\n');
    assert.equal((await send(admin, get('/probes/app/readiness'))).status, 503);
    assert.equal((await send(admin, get('/probes/app/liveness'))).status, 200);
    await until(async () => {
      const { status, headers } = await send(port, GET, { untilClosed: true });
      assert.deepEqual([status, headers['connection']], [200, 'close']);
      return left.length === 4;
    });
    assert.deepEqual(
      left.map(({ code }) => code),
      [1001, 1001, 1001, 1001],
    );
    assert.ok(left[3]!.at - left[0]!.at > 300, 'they left one by one');
    assert.equal(await sidecar.end('SIGTERM'), 0);
    await assert.rejects(send(port, GET), { code: 'ECONNREFUSED' });
  });

  it('reasons to refuse: loaded, unready and 503 everywhere', async () => {
    const refuse = ['Conflicted: Services a and b give port 8000 different policies'];
    await using upstream = await tcpServer(() => assert.fail('something got through'));
    await using sidecar = await startSidecarProcess({ upstreams: [upstream.port], refuse, policy: {} });
    const { traffic, admin } = await sidecar.ports();
    const answer = await send(traffic[0]!, GET);
    assert.deepEqual([answer.status, JSON.parse(answer.body).code], [503, 'policy_not_loaded']);
    assert.equal((await send(admin, get('/readyz'))).body, `${refuse[0]}\n`);
    assert.equal(JSON.parse((await send(admin, get('/status'))).body).bundles.access.serial, 1);
    const explained = await sidecar.exec('explain', 'GET', '/x');
    assert.match(explained.stdout, /^policy: policy_not_loaded\n {2}Conflicted: Services a and b/m);
  });

  it('a bundle older than at injection is refused, the one of then and later ones are taken', async () => {
    await using sidecar = await startSidecarProcess({
      minimumSerials: { access: 5, limits: 0, issuer: 0 },
      policy: {},
    });
    const { admin } = await sidecar.ports();
    const unready = await send(admin, get('/readyz'));
    assert.match(unready.body, /^bundle_older: an old bundle was put back: when this pod was created its serial was 5/);
    await sidecar.mount(5, {});
    await until(async () => (await send(admin, get('/readyz'))).status === 200);
    assert.equal(JSON.parse((await send(admin, get('/status'))).body).bundles.access.serial, 5);
  });

  it('the control socket is ours alone, and a stale one is replaced', async () => {
    await using sidecar = await startSidecarProcess();
    await sidecar.ports();
    const path = join(sidecar.root, SIDECAR_PATHS.controlSocket);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await sidecar.end('SIGKILL');
    assert.ok((await stat(path)).isSocket(), 'left behind');
    const missing = await sidecar.exec('drain');
    assert.deepEqual([missing.code, missing.stderr.includes('ECONNREFUSED')], [1, true]);

    await using second = await startSidecarProcess();
    await second.ports();
    assert.equal((await second.exec('wait')).code, 0);
  });

  it('an address that is taken: unready with what to write, the wait ends, and it is taken once it is free', async () => {
    const application = createTcpServer();
    await new Promise<void>((resolve) => application.listen(0, '0.0.0.0', resolve));
    const { port } = application.address() as AddressInfo;
    const listener = { listen: { host: '127.0.0.1', port }, upstream: { host: '127.0.0.1', port } };
    await using sidecar = await startSidecarProcess({ listeners: [listener], policy: {} });
    const { admin } = await sidecar.ports();
    const { body } = await send(admin, get('/readyz'));
    assert.match(
      body,
      /^AddressInUse: 127\.0\.0\.1:\d+ is taken, most likely by an application that binds every address;/,
    );
    assert.match(body, /portcullis\.dev\/bind-env$/m);
    assert.equal((await sidecar.logged('cannot listen, traffic is not served'))['reason'], body.trim());

    const waited = await sidecar.exec('wait', '--timeout', '100ms');
    assert.equal(waited.code, 0, 'the pod starts, and shows unready');
    assert.match(waited.stderr, /^sidecar wait: not listening after 100ms: AddressInUse: /);

    await new Promise((resolve) => application.close(resolve));
    await until(async () => (await send(admin, get('/readyz'))).status === 200);
    assert.equal((await sidecar.exec('wait', '--timeout', '100ms')).stderr, '');
  });

  it('Bind: an application that does not come up on the loopback is noted, in the log too', async () => {
    const free = await tcpServer(() => {});
    await free.close();
    const listener = {
      listen: { host: '127.0.0.2', port: free.port },
      upstream: { host: '127.0.0.1', port: free.port },
    };
    await using sidecar = await startSidecarProcess({ listeners: [listener], policy: {} });
    const { admin } = await sidecar.ports();
    await until(async () => (await send(admin, get('/readyz'))).body !== 'ok\n');
    const { status, body } = await send(admin, get('/readyz'));
    assert.equal(status, 200, 'an application may take its time');
    assert.match(
      body,
      /^ok\nUpstreamRefused: 127\.0\.0\.1:\d+ does not accept connections; if .* "address already in use", it binds every address: /,
    );
    const { reason } = await sidecar.logged('the application refuses connections');
    assert.match(String(reason), /portcullis\.dev\/bind-env/);

    const application = createTcpServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => application.listen(free.port, '127.0.0.1', resolve));
    await until(async () => (await send(admin, get('/readyz'))).body === 'ok\n');
    await new Promise((resolve) => application.close(resolve));
  });

  const ipv6 = Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ family }) => family === 'IPv6'),
  );
  it('listens on IPv6, and on all addresses', { skip: ipv6 ? false : 'this machine has no IPv6' }, async () => {
    const upstream = await recordingUpstream();
    const target = { host: '127.0.0.1', port: upstream.port };
    await using sidecar = await startSidecarProcess({
      listeners: [
        { listen: { host: '::1', port: 0 }, upstream: target },
        { listen: { host: '::', port: 0 }, upstream: target },
      ],
      admin: { host: '::', port: 0 },
      policy: {},
    });
    const { traffic, admin } = await sidecar.ports();
    for (const url of [
      `http://[::1]:${traffic[0]}/x`,
      `http://127.0.0.1:${traffic[1]}/x`,
      `http://127.0.0.1:${admin}/readyz`,
    ]) {
      assert.equal((await fetch(url)).status, 200, url);
    }
    await upstream.close();
  });

  it('explain by the socket: words and JSON, nothing counted, no token in the answer', async () => {
    await using upstream = await tcpServer(() => assert.fail('something was sent'));
    const policy = {
      access: {
        rules: [openToAll, rule('own', ['/users/{id}'], [{ roles: ['admin'] }, { when: 'claims.sub == path.id' }])],
      },
      limits: {
        limits: [
          {
            name: 'one',
            match: { hosts: [], paths: [], methods: [] },
            key: ['user'],
            algorithm: 'FixedWindow',
            rates: { anonymous: { limit: 1, windowMs: 60_000 }, authenticated: { limit: 1, windowMs: 60_000 } },
            burst: 0,
            onStoreFailure: 'Deny',
          },
        ],
      },
    } as const;
    await using sidecar = await startSidecarProcess({ upstreams: [upstream.port], policy });
    await sidecar.ports();
    const claims = ['--claims', '{"sub":"tom"}'];
    for (let i = 0; i < 2; i++) {
      const own = await sidecar.exec('explain', 'get', '/users//tom?x=1', '--host', 'API.example:80', ...claims);
      assert.deepEqual(own.stdout.split('\n'), [
        'GET api.example/users/tom from 127.0.0.1',
        'route: pass',
        '  rule "own"',
        '  path.id = "tom"',
        'limit-by-address: pass',
        '  no limit applies',
        'authenticate: pass',
        '  claims taken as given',
        '  user tom, roles none, tenant null',
        'csrf: pass',
        'limit-by-subject: pass',
        '  tier authenticated',
        '  limit "one": 1 in 60 s (FixedWindow), counted as test/limits/one/authenticated/user=tom',
        'authorize: pass',
        '  allow[0] {"roles":["admin"]}: no, has none of the roles admin (has: none)',
        '  allow[1] {"when":"claims.sub == path.id"}: yes',
        'result: forwarded to the application',
        '',
      ]);
    }
    const token = validToken({ sub: 'ann' });
    const other = await sidecar.exec('explain', 'GET', '/users/tom', '-o', 'json', '--token', token);
    const { status, code, rule: found, layers } = JSON.parse(other.stdout);
    assert.deepEqual(
      [status, code, found, layers.at(-1).details[1]],
      [403, 'forbidden', 'own', 'allow[1] {"when":"claims.sub == path.id"}: no, when claims.sub == path.id: false'],
    );
    assert.ok(!other.stdout.includes(token));

    for (const [argv, message] of [
      [['GET'], 'write sidecar explain METHOD PATH; see sidecar explain --help'],
      [
        ['GET', '/', '--claims', '[]'],
        `--claims must be a JSON object such as '{"sub":"tom"}'; see sidecar explain --help`,
      ],
      [['GET', '/', '--header', 'x'], `--header must be 'NAME: VALUE', not "x"; see sidecar explain --help`],
    ] as const) {
      assert.deepEqual(await sidecar.exec('explain', ...argv), { code: 2, stdout: '', stderr: `${message}\n` });
    }
  });

  it('called wrongly: exit code 2, and all that is wrong', async () => {
    await using sidecar = await startSidecarProcess();
    await sidecar.ports();
    const { code, stderr } = await sidecar.exec('run', '--namespace=a', '--admin=::1', '--bundle-key=AAAA');
    assert.deepEqual([code, stderr.split('\n').length], [2, 3]);
    const key = await sidecar.exec('run', '--namespace=a', '--access-policy=b', '--admin=[::1]:0', '--bundle-key=AAAA');
    assert.deepEqual([key.code, key.stderr], [2, '--bundle-key must be an Ed25519 public key, SPKI DER in base64\n']);
    const unknown = await sidecar.exec('rnu');
    assert.deepEqual([unknown.code, unknown.stderr.split('\n')[0]], [2, 'sidecar: unknown command "rnu"']);
    assert.match((await sidecar.exec('--version')).stdout, /^\d+\.\d+\.\d+\n$/);
    assert.match((await sidecar.exec('--help')).stdout, /^sidecar COMMAND/);
  });

  it('without a directory for the control socket it serves all the same', async () => {
    const upstream = await recordingUpstream();
    await using sidecar = await startSidecarProcess({
      upstreams: [upstream.port],
      policy: {},
      controlDirectory: false,
    });
    const { traffic } = await sidecar.ports();
    assert.equal((await send(traffic[0]!, GET)).status, 200);
    assert.ok(sidecar.log.some(({ msg }) => msg === 'no control socket'));
    await upstream.close();
  });
});
