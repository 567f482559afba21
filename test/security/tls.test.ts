import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { SIDECAR_PATHS } from '../../runtime/sidecar-arguments.ts';
import type { HandshakeFailure } from '../../sidecar/engine/tls-listener.ts';
import { mountSecret, type TestAuthority, testAuthority } from '../support/certificates.ts';
import { type EngineUnderTest, startEngine } from '../support/engine-under-test.ts';
import { answerAndClose, type RecordingUpstream, recordingUpstream, reset } from '../support/recording-upstream.ts';
import { startSidecarProcess } from '../support/sidecar-process.ts';
import { baseAccess, rule, validToken } from '../support/sidecar-under-test.ts';
import { missingPrograms } from '../support/system-programs.ts';
import { tcpServer } from '../support/tcp-server.ts';
import { getTls } from '../support/tls-client.ts';

const HANDSHAKE_MS = 400;
/** A record of the handshake (RFC 8446 §5.1) that begins a ClientHello of the length it says. */
const helloOf = (length: number, first: Buffer): Buffer => {
  const body = Buffer.concat([Buffer.from([1, length >> 16, (length >> 8) & 255, length & 255]), first]);
  return Buffer.concat([Buffer.from([22, 3, 1, body.length >> 8, body.length & 255]), body]);
};

describe('TLS', { timeout: 60_000 }, () => {
  let authority: TestAuthority;
  let upstream: RecordingUpstream;
  let sut: EngineUnderTest;
  const failures: HandshakeFailure[] = [];
  before(async () => {
    authority = await testAuthority();
    upstream = await recordingUpstream();
    const onHandshakeFailure = (reason: HandshakeFailure) => void failures.push(reason);
    sut = await startEngine(upstream, { tls: { onHandshakeFailure, handshakeMs: HANDSHAKE_MS } });
    const { cert, key } = await authority.issue();
    sut.engine.useCertificate({ cert: Buffer.from(cert), key: Buffer.from(key) });
  });
  after(async () => {
    await sut.engine.stop(0);
    await upstream.close();
  });
  const get = (options = {}) => getTls(sut.port, authority.ca, options);
  const honest = async (): Promise<void> => {
    const { status, protocol } = await get();
    assert.deepEqual([status, protocol], [200, 'TLSv1.3']);
  };
  /** Resolves to what came back once the other side has closed. */
  const closedBy = async (socket: Socket): Promise<Buffer> => {
    const parts: Buffer[] = [];
    socket.on('data', (data: Buffer) => parts.push(data));
    socket.on('error', () => {}); // 'close' follows
    await new Promise((resolve) => socket.once('close', resolve));
    return Buffer.concat(parts);
  };
  const refused = async (reason: HandshakeFailure, attack: () => Promise<unknown>): Promise<void> => {
    await honest();
    upstream.clear();
    failures.length = 0;
    await attack();
    assert.deepEqual(failures, [reason]);
    assert.equal(upstream.received(), '');
    await honest();
  };

  for (const maxVersion of ['TLSv1.2', 'TLSv1.1'] as const) {
    it(`${maxVersion} is refused: nothing older than 1.3 is spoken, and so nothing is renegotiated`, () =>
      refused('old_version', () =>
        assert.rejects(get({ minVersion: 'TLSv1', maxVersion, ciphers: 'DEFAULT@SECLEVEL=0' })),
      ));
  }

  it('plain HTTP is closed unanswered', () =>
    refused('plain_http', async () => {
      const client = connect(sut.port, '127.0.0.1');
      client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      assert.equal((await closedBy(client)).toString(), '');
    }));

  it('a client that speaks HTTP/2 alone is told so, one that speaks both gets HTTP/1.1', async () => {
    const talk = async (...ALPNProtocols: string[]): Promise<string | false | null> => {
      const options = { port: sut.port, host: '127.0.0.1', servername: 'localhost', ca: authority.ca, ALPNProtocols };
      const client = tlsConnect(options);
      await once(client, 'secureConnect');
      client.destroy();
      return client.alpnProtocol;
    };
    assert.equal(await talk('h2', 'http/1.1'), 'http/1.1');
    await refused('no_common_protocol', () => assert.rejects(talk('h2'), { code: /NO_APPLICATION_PROTOCOL/ }));
  });

  it('a handshake that drips is cut, and holds up nobody', () =>
    refused('timeout', async () => {
      const client = connect(sut.port, '127.0.0.1');
      const hello = helloOf(512, Buffer.alloc(100));
      let at = 0;
      const timer = setInterval(() => client.write(hello.subarray(at++, at)), 50);
      await closedBy(client);
      clearInterval(timer);
      assert.ok(at < hello.length);
    }));

  it('connections that never say anything are cut; meanwhile a good client gets through', async () => {
    failures.length = 0;
    const idle = Array.from({ length: 300 }, () => connect(sut.port, '127.0.0.1'));
    await Promise.all(idle.map((client) => once(client, 'connect')));
    await honest();
    await Promise.all(idle.map(closedBy));
    assert.deepEqual([...new Set(failures)], ['timeout']);
  });

  it('a ClientHello without end is refused before it is taken', () =>
    refused('other', async () => {
      const client = connect(sut.port, '127.0.0.1');
      client.write(helloOf(0xffffff, Buffer.alloc(16_000)));
      const alert = await closedBy(client);
      assert.equal(alert[0], 21, 'an alert');
    }));

  it('garbage is refused', () =>
    refused('other', async () => {
      const client = connect(sut.port, '127.0.0.1');
      client.write(Buffer.alloc(4_096, 7));
      await closedBy(client);
    }));

  it('bytes that are not encrypted end an open connection, whatever they say', async () => {
    for (const injected of [helloOf(100, Buffer.alloc(100)), Buffer.from('GET /admin HTTP/1.1\r\nHost: a\r\n\r\n')]) {
      const tcp = connect(sut.port, '127.0.0.1');
      const client: TLSSocket = tlsConnect({ socket: tcp, servername: 'localhost', ca: authority.ca });
      await once(client, 'secureConnect');
      client.write('GET /honest HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await once(client, 'data');
      upstream.clear();
      tcp.write(injected);
      await closedBy(client);
      assert.equal(upstream.received(), '');
    }
    await honest();
  });

  it('a body that is cut ends in a reset, for clients that do not look for close_notify', async () => {
    const ends: string[] = [];
    await using between = await tcpServer((socket) => {
      const engine = connect({ port: sut.port, host: '127.0.0.1', allowHalfOpen: true });
      engine.on('end', () => ends.push('FIN'));
      engine.on('error', ({ code }: NodeJS.ErrnoException) => ends.push(code ?? ''));
      engine.on('close', () => socket.destroy());
      socket.pipe(engine).pipe(socket);
    });
    // HTTP/1.0 knows no other end of a body than the connection's.
    const through = async (): Promise<void> => {
      const client = tlsConnect({ port: between.port, host: '127.0.0.1', servername: 'localhost', ca: authority.ca });
      client.write('GET / HTTP/1.0\r\nHost: localhost\r\n\r\n');
      await closedBy(client);
    };
    upstream.behave(reset('HTTP/1.1 200 OK\r\n\r\nhalf'));
    await through();
    assert.deepEqual(ends, ['ECONNRESET']);
    upstream.behave(answerAndClose('HTTP/1.1 200 OK\r\n\r\nwhole'));
    await through();
    assert.equal(ends[1], 'FIN');
    upstream.behave();
  });

  it('offers no early data, which could be replayed, and resumes sessions with new keys only', async (t) => {
    const missing = missingPrograms({ openssl: 'openssl' });
    if (missing !== null) return t.skip(missing);
    const client = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${sut.port}`, '-ign_eof'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    client.stdin.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const data of client.stdout) text += String(data);
    assert.match(text, /New Session Ticket arrived/i);
    assert.deepEqual([...new Set(text.match(/Max Early Data: \d+/g))], ['Max Early Data: 0']);
    assert.match(text, /HTTP\/1\.1 200 OK/);
  });

  it('without a certificate nobody is served', async () => {
    const reasons: HandshakeFailure[] = [];
    await using bare = await startEngine(upstream, {
      tls: { onHandshakeFailure: (reason) => void reasons.push(reason) },
    });
    await assert.rejects(getTls(bare.port, authority.ca));
    assert.deepEqual(reasons, ['no_certificate']);
  });

  it('stops with handshakes under way', async () => {
    const stopping = await startEngine(upstream, { tls: { onHandshakeFailure: () => {} } });
    const client = connect(stopping.port, '127.0.0.1');
    await once(client, 'connect');
    await Promise.all([closedBy(client), stopping.engine.stop(0)]);
  });
});

describe('cookies where the sidecar ends TLS', { timeout: 60_000 }, () => {
  it('a page of this host that came without TLS is another origin', async () => {
    const authority = await testAuthority();
    const upstream = await recordingUpstream();
    const jwt = baseAccess.jwt.map((each) => ({ ...each, from: [{ kind: 'cookie', cookie: 'session' }] as const }));
    await using pod = await startSidecarProcess({
      upstreams: [upstream.port],
      policy: { access: { jwt, rules: [rule('all', ['/**'], [{ authenticated: true }])] } },
      tlsSecret: 'orders-tls',
    });
    const { cert, key } = await authority.issue();
    await mountSecret(join(pod.root, SIDECAR_PATHS.tls), { 'tls.crt': cert, 'tls.key': key });
    const { traffic, admin } = await pod.ports();
    while ((await fetch(`http://127.0.0.1:${admin}/readyz`)).status !== 200) await delay(20); // the time-out ends it
    const post = async (origin: string): Promise<number> => {
      const headers = { host: 'api.example', cookie: `session=${validToken()}`, origin };
      return (await getTls(traffic[0] ?? 0, authority.ca, { method: 'POST', headers })).status;
    };
    assert.equal(await post('http://api.example'), 403);
    assert.deepEqual(upstream.requests, []);
    assert.equal(await post('https://api.example'), 200, 'honest twin');
    await upstream.close();
  });
});
