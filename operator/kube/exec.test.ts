import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { KubeConfig } from '@kubernetes/client-node';
import { type WebSocket, WebSocketServer } from 'ws';
import { execInPod } from './exec.ts';
import { selfSigned } from './testing/self-signed.ts';

const certificate = await selfSigned();
const [STDIN, STDOUT, STDERR, STATUS, CLOSE] = [0, 1, 2, 3, 255];
const REQUEST = { namespace: 'x', pod: 'web-0', container: 'portcullis', command: ['explain', 'GET', '/a b'] };

/** A kubelet as seen through the API server (v5.channel.k8s.io), which runs every command as told. */
async function kubelet(t: TestContext, run: (socket: WebSocket, url: URL) => void): Promise<KubeConfig> {
  const server = createServer(certificate, (_, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({ server, handleProtocols: () => 'v5.channel.k8s.io' });
  sockets.on('connection', (socket, request) => run(socket, new URL(request.url ?? '', 'https://fake')));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate();
    server.close();
  });
  const kubeConfig = new KubeConfig();
  const { port } = server.address() as AddressInfo;
  const caData = Buffer.from(certificate.cert).toString('base64');
  kubeConfig.loadFromClusterAndUser(
    { name: 'test', server: `https://127.0.0.1:${port}`, caData, skipTLSVerify: false },
    { name: 'test', token: 'the-token' },
  );
  return kubeConfig;
}

function frame(channel: number | undefined, text: string): Buffer {
  return Buffer.concat([Buffer.from([channel ?? 0]), Buffer.from(text)]);
}

describe('execInPod', () => {
  it('gives what a command wrote', async (t) => {
    const kubeConfig = await kubelet(t, (socket, { pathname, searchParams }) => {
      const asked = { pathname, command: searchParams.getAll('command'), container: searchParams.get('container') };
      socket.send(frame(STDOUT, JSON.stringify(asked)));
      socket.send(frame(STDERR, 'warn'));
      socket.send(frame(STDERR, 'ing'));
      socket.send(frame(STATUS, '{"status":"Success"}'));
    });
    const { exitCode, stdout, stderr } = await execInPod(kubeConfig, REQUEST);
    assert.deepEqual(JSON.parse(stdout), {
      pathname: '/api/v1/namespaces/x/pods/web-0/exec',
      command: ['explain', 'GET', '/a b'],
      container: 'portcullis',
    });
    assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: 'warning' });
  });

  it('gives its exit code', async (t) => {
    const causes = [{ reason: 'ExitCode', message: '3' }];
    const status = { status: 'Failure', reason: 'NonZeroExitCode', message: 'exit code 3', details: { causes } };
    const kubeConfig = await kubelet(t, (socket) => socket.send(frame(STATUS, JSON.stringify(status))));
    assert.equal((await execInPod(kubeConfig, REQUEST)).exitCode, 3);
  });

  it('sends standard input, and that it has ended', async (t) => {
    const kubeConfig = await kubelet(t, (socket) => {
      let input = '';
      socket.on('message', (data: Buffer) => {
        if (data[0] === STDIN) input += data.subarray(1).toString();
        if (data[0] !== CLOSE) return;
        socket.send(frame(STDOUT, input));
        socket.send(frame(STATUS, '{"status":"Success"}'));
      });
    });
    assert.equal((await execInPod(kubeConfig, { ...REQUEST, stdin: 'täglich' })).stdout, 'täglich');
  });

  const FAILURES: readonly (readonly [name: string, run: (socket: WebSocket) => void, expected: object])[] = [
    [
      'the command cannot be started',
      (socket) =>
        socket.send(frame(STATUS, '{"status":"Failure","reason":"InternalError","code":500,"message":"no such file"}')),
      { status: 500, reason: 'InternalError', message: 'no such file' },
    ],
    [
      'the connection ends before the command',
      (socket) => socket.terminate(),
      { status: 0, message: 'exec in container portcullis of pod x/web-0: the connection ended before the command' },
    ],
  ];
  for (const [name, run, expected] of FAILURES) {
    it(`throws KubeError when ${name}`, async (t) => {
      await assert.rejects(execInPod(await kubelet(t, run), REQUEST), expected);
    });
  }

  it('throws KubeError when the API server refuses', async () => {
    const kubeConfig = new KubeConfig();
    const server = 'https://127.0.0.1:1';
    kubeConfig.loadFromClusterAndUser({ name: 'x', server, skipTLSVerify: false }, { name: 'x', token: 't' });
    await assert.rejects(execInPod(kubeConfig, REQUEST), {
      name: 'KubeError',
      status: 0,
      message: /web-0: .*ECONNREFUSED/,
    });
  });
});
