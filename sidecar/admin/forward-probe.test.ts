import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { ForwardedProbe } from '../../runtime/sidecar-arguments.ts';
import { forwardProbe } from './forward-probe.ts';

type HttpProbe = Extract<ForwardedProbe, { type: 'http' }>;

describe('forwardProbe', () => {
  const seen: IncomingMessage[] = [];
  let answer: RequestListener = () => {};
  let closedPort = 0;
  const application = createServer((request, response) => {
    seen.push(request);
    answer(request, response);
  });
  before(async () => {
    await listen(application);
    const closed = createTcpServer();
    closedPort = await listen(closed);
    closed.close();
  });
  after(() => {
    application.closeAllConnections();
    application.close();
  });

  const http = (more: Partial<HttpProbe> = {}): HttpProbe => ({
    container: 'app',
    kind: 'liveness',
    timeoutSeconds: 1,
    type: 'http',
    port: (application.address() as AddressInfo).port,
    path: '/live?deep=1',
    scheme: 'HTTP',
    headers: [],
    ...more,
  });

  for (const status of [200, 302, 404, 500]) {
    it(`passes the status on: ${status}`, async () => {
      answer = (_request, response) => response.writeHead(status, { location: '/elsewhere' }).end('secret');
      assert.deepEqual(await forwardProbe(http(), '10.0.0.7'), { status, text: `the application answered ${status}` });
    });
  }

  it('asks as the kubelet would, on a connection of its own', async () => {
    answer = (_request, response) => response.end();
    const { port } = http();
    await forwardProbe(http(), '::ffff:10.0.0.7');
    const request = seen.at(-1);
    assert.deepEqual(
      [request?.method, request?.url, request?.rawHeaders],
      [
        'GET',
        '/live?deep=1',
        ['Host', `10.0.0.7:${port}`, 'User-Agent', 'kube-probe/portcullis', 'Accept', '*/*', 'Connection', 'close'],
      ],
    );
    await forwardProbe(
      http({
        path: 'live',
        headers: [
          ['host', 'app.example'],
          ['X-A', '1'],
          ['X-A', '2'],
        ],
      }),
      'fd00::7',
    );
    assert.equal(seen.at(-1)?.url, '/live');
    assert.deepEqual(seen.at(-1)?.headersDistinct['host'], ['app.example']);
    assert.deepEqual(seen.at(-1)?.headersDistinct['x-a'], ['1', '2']);
  });

  it('an answer that does not come in time is 504', async () => {
    answer = () => {};
    const { status, text } = await forwardProbe(http(), '10.0.0.7');
    assert.deepEqual([status, text], [504, 'the application did not answer within 1 s']);
  });

  it('a time-out longer than a timer can be is no fault', async () => {
    answer = (_request, response) => response.writeHead(200).end();
    assert.equal((await forwardProbe(http({ timeoutSeconds: 5_000_000 }), '10.0.0.7')).status, 200);
  });

  it('a body without end is not waited for', async () => {
    answer = (_request, response) => response.writeHead(200).write('x');
    assert.equal((await forwardProbe(http(), '10.0.0.7')).status, 200);
  });

  it('nobody there, no HTTP, no request that can be written: 503', async () => {
    const cut = createTcpServer((socket) => socket.resetAndDestroy());
    const port = await listen(cut);
    for (const probe of [
      http({ port: closedPort }),
      http({ port }),
      http({ path: '/a b' }),
      http({ scheme: 'HTTPS' }),
    ]) {
      assert.equal((await forwardProbe(probe, '10.0.0.7')).status, 503, JSON.stringify(probe));
    }
    cut.close();
  });

  it('switching protocols is no answer to a probe', async () => {
    const switching = createTcpServer((socket) =>
      socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
    );
    const port = await listen(switching);
    assert.equal((await forwardProbe(http({ port }), '10.0.0.7')).status, 503);
    switching.close();
  });

  it('tcp: whether it accepts connections', async () => {
    const tcp = { container: 'app', kind: 'startup', timeoutSeconds: 1, type: 'tcp' } as const;
    assert.equal((await forwardProbe({ ...tcp, port: http().port }, '')).status, 200);
    const { status, text } = await forwardProbe({ ...tcp, port: closedPort }, '');
    assert.deepEqual([status, text], [503, 'the application cannot be asked: ECONNREFUSED']);
  });
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
