import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as tlsConnect } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { SIDECAR_PATHS } from '../../runtime/sidecar-arguments.ts';
import type { SidecarStatus } from '../../runtime/sidecar-status.ts';
import { mountSecret, type TestAuthority, type TestCertificate, testAuthority } from '../support/certificates.ts';
import { type EngineUnderTest, startEngine } from '../support/engine-under-test.ts';
import { type RecordingUpstream, recordingUpstream } from '../support/recording-upstream.ts';
import { type SidecarProcess, startSidecarProcess } from '../support/sidecar-process.ts';
import { serve, tcpServer } from '../support/tcp-server.ts';
import { getTls, keepAliveAgent } from '../support/tls-client.ts';

const SWAPS = 20;

describe('the certificate of a pod', { timeout: 120_000 }, () => {
  let authority: TestAuthority;
  let upstream: RecordingUpstream;
  let pod: SidecarProcess;
  let port = 0;
  let admin = 0;
  before(async () => {
    authority = await testAuthority();
    upstream = await recordingUpstream();
    pod = await startSidecarProcess({ upstreams: [upstream.port], policy: {}, tlsSecret: 'orders-tls' });
    const ports = await pod.ports();
    [port = 0] = ports.traffic;
    admin = ports.admin;
  });
  after(async () => {
    await pod[Symbol.asyncDispose]();
    await upstream.close();
  });
  const mount = ({ cert, key }: Pick<TestCertificate, 'cert' | 'key'>) =>
    mountSecret(join(pod.root, SIDECAR_PATHS.tls), { 'tls.crt': cert, 'tls.key': key });
  const ask = async (path: string) => (await fetch(`http://127.0.0.1:${admin}${path}`)).text();
  const status = async () => JSON.parse(await ask('/status')) as SidecarStatus;
  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    while (!(await holds())) await delay(20); // the test's time-out ends it
  };
  const shown = async (options = {}) => (await getTls(port, authority.ca, options)).certificate;

  it('while there is none the pod is unready and says what to write; then it recovers', async () => {
    assert.match(
      await ask('/readyz'),
      /^CertificateMissing: Secret test\/orders-tls: there is none yet; kubectl create secret tls orders-tls -n test /,
    );
    await assert.rejects(shown());
    assert.match(await ask('/metrics'), /^portcullis_tls_handshake_failures_total\{reason="no_certificate"\} 1$/m);
    assert.doesNotMatch(await ask('/metrics'), /^portcullis_tls_certificate_expiry_seconds /m);
    const first = await authority.issue();
    await mount(first);
    await until(async () => (await ask('/readyz')) === 'ok\n');
    assert.deepEqual((await status()).tls, { notAfter: first.notAfter, error: null });
    await shown();
    assert.match(await ask('/metrics'), /^portcullis_tls_certificate_expiry_seconds 6\d{5}/m);
  });

  it('the application hears that clients speak https', async () => {
    upstream.clear();
    await shown();
    const [received] = upstream.requests;
    const protocol = received?.headers.find(([name]) => name === 'x-forwarded-proto');
    assert.deepEqual(protocol, ['x-forwarded-proto', 'https']);
  });

  it(`is changed ${SWAPS} times under load, and no request fails`, async () => {
    let loading = true;
    let answered = 0;
    const serials = new Set<string>();
    const failures: unknown[] = [];
    const load = async (options: object): Promise<void> => {
      while (loading && failures.length === 0) {
        const answer = await getTls(port, authority.ca, options).catch((error) => void failures.push(error));
        if (answer?.status === 200) answered++;
        else if (answer) failures.push(answer);
        if (answer?.certificate) serials.add(answer.certificate);
      }
    };
    const agent = keepAliveAgent(authority.ca);
    const clients = [...Array(6).fill({ agent }), ...Array(3).fill({ agent: false })].map(load);
    for (let swap = 0; swap < SWAPS; swap++) {
      const next = await authority.issue('localhost', Date.now() - (swap + 1) * 60_000);
      const before = answered;
      await mount(next);
      await until(async () => (await status()).tls?.notAfter === next.notAfter);
      await until(async () => answered > before + 50 || failures.length > 0);
    }
    loading = false;
    await Promise.all(clients);
    agent.destroy();
    assert.deepEqual(failures, []);
    assert.ok(serials.size > SWAPS / 2, `${serials.size} certificates were shown`);
    const loaded = () => pod.log.filter(({ msg }) => msg === 'certificate loaded').length;
    await until(async () => loaded() > SWAPS);
    assert.equal(loaded(), SWAPS + 1);
    assert.equal(pod.log.filter(({ msg }) => msg === 'no TLS handshake').length, 1, 'that of the first test');
  });

  it('a new one of no use is refused, told once, and the last good one stays', async () => {
    const good = await authority.issue();
    const other = await authority.issue();
    const expired = await authority.issue('localhost', Date.now() - 30 * 86_400_000);
    await mount(good);
    await until(async () => (await status()).tls?.notAfter === good.notAfter);
    const serial = await shown();
    const bad: readonly (readonly [string, Pick<TestCertificate, 'cert' | 'key'>, RegExp])[] = [
      ['of two issues', { ...good, key: other.key }, /tls.key does not belong to the first certificate of tls.crt/],
      ['no certificate', { ...good, cert: 'x' }, /tls.crt holds no certificate/],
      ['no key', { ...good, key: good.cert }, /tls.key holds no private key/],
      ['expired', expired, /the new certificate expired at/],
    ];
    for (const [name, pair, says] of bad) {
      await mount(pair);
      await until(async () => says.test((await status()).tls?.error?.message ?? ''));
      assert.equal(await shown(), serial, name);
      const readiness = await ask('/readyz');
      assert.match(readiness, /^ok\ncertificate_invalid: Secret test\/orders-tls: /);
      assert.match(readiness, says);
    }
    const refusals = () => pod.log.filter(({ msg }) => msg === 'certificate refused, the last good one stays');
    await until(async () => refusals().length >= bad.length);
    assert.deepEqual([refusals().length, refusals()[0]?.['certificate']], [bad.length, 'Secret test/orders-tls']);
    assert.match(await ask('/metrics'), new RegExp(`^portcullis_tls_certificate_errors_total ${bad.length}$`, 'm'));
    const [, secret = ''] = other.key.split('\n');
    assert.ok(secret.length > 32 && !JSON.stringify(pod.log).includes(secret), 'nothing of a key is logged');
    await mount(other);
    await until(async () => (await ask('/readyz')) === 'ok\n');
    assert.notEqual(await shown(), serial);
  });

  it('the Secret deleted: what was there stays in use, and that is said', async () => {
    const serial = await shown();
    await mountSecret(join(pod.root, SIDECAR_PATHS.tls), {});
    await until(async () => /it is gone/.test(await ask('/readyz')));
    assert.equal(await shown(), serial);
  });
});

describe('through TLS', { timeout: 60_000 }, () => {
  let authority: TestAuthority;
  const open = async (upstream: { readonly port: number }): Promise<EngineUnderTest> => {
    const timeouts = { requestMs: 30_000, idleMs: 30_000 };
    const sut = await startEngine(upstream, { timeouts, tls: { onHandshakeFailure: () => {} } });
    const { cert, key } = await authority.issue();
    sut.engine.useCertificate({ cert: Buffer.from(cert), key: Buffer.from(key) });
    return sut;
  };
  before(async () => {
    authority = await testAuthority();
  });
  const options = (port: number) => ({ host: '127.0.0.1', port, servername: 'localhost', ca: authority.ca });

  it('WebSockets: frames, close codes, and 1001 while draining', async () => {
    const server = createServer();
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) =>
      socket.on('message', (data, binary) => socket.send(data as Buffer, { binary })),
    );
    await using application = await serve(server);
    await using sut = await open(application);
    const dial = async (): Promise<WebSocket> => {
      const trust = { ca: authority.ca, servername: 'localhost' };
      const socket = new WebSocket(`wss://127.0.0.1:${sut.port}/ticks`, trust);
      await new Promise<void>((resolve, reject) => socket.once('open', () => resolve()).once('error', reject));
      return socket;
    };
    const closed = (socket: WebSocket) => new Promise<number>((resolve) => socket.once('close', resolve));
    const big = randomBytes(2_000_000);
    const one = await dial();
    one.send(big);
    const echoed = await new Promise<Buffer>((resolve) => one.once('message', (data) => resolve(data as Buffer)));
    assert.ok(echoed.equals(big));
    const ended = closed(one);
    one.close(4_321);
    assert.equal(await ended, 4_321);

    const others = await Promise.all([dial(), dial(), dial()]);
    const codes = Promise.all(others.map(closed));
    sut.engine.startDraining(25);
    assert.deepEqual(await codes, [1001, 1001, 1001]);
  });

  it('a large body in each direction', async () => {
    const body = randomBytes(3_000_000);
    const server = createServer((asked, answer) => asked.pipe(answer));
    await using application = await serve(server);
    await using sut = await open(application);
    const sent = request({ ...options(sut.port), method: 'POST', agent: false, path: '/' });
    sent.end(body);
    const got: Buffer[] = await new Promise((resolve, reject) => {
      sent.on('error', reject);
      sent.on('response', async (response) => resolve(await response.toArray()));
    });
    assert.ok(Buffer.concat(got).equals(body));
  });

  it('a slow reader stops the application', async () => {
    let written = 0;
    const chunk = Buffer.alloc(64 * 1024);
    await using application = await tcpServer((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        const more = (): void => {
          while (written < 100 * 1024 * 1024) {
            written += chunk.length;
            if (!socket.write(chunk)) return void socket.once('drain', more);
          }
        };
        more();
      });
    });
    await using sut = await open(application);
    const client = tlsConnect(options(sut.port));
    client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await new Promise<void>((resolve) => client.once('data', () => resolve(void client.pause())));
    for (let before = -1; before !== written; await delay(200)) before = written;
    assert.ok(written < 24 * 1024 * 1024, `${written} bytes were taken while nobody read`);
    client.destroy();
  });

  it('a client that ends its side has left, and pipelined requests are answered in turn', async () => {
    const upstream = await recordingUpstream();
    await using sut = await open(upstream);
    const client = tlsConnect(options(sut.port));
    client.write('GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /2 HTTP/1.1\r\nHost: localhost\r\n\r\n');
    let text = '';
    client.setEncoding('latin1');
    for await (const data of client) {
      text += data;
      if (text.includes('/2')) break;
    }
    assert.ok(text.indexOf('"GET /1') < text.indexOf('"GET /2'));
    await upstream.close();
  });
});
