import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { httpStatusFetcher } from './acknowledgement-fetch.ts';
import { exampleStatus } from './testing/example-pods.ts';

const status = exampleStatus({ serial: 7, hash: 'ab' });

async function serve(t: TestContext, listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

function fetcher(t: TestContext) {
  const { fetch, close } = httpStatusFetcher();
  t.after(close);
  return fetch;
}

test('asks /status, and keeps the connection for the next time', async (t) => {
  const sockets = new Set<unknown>();
  const paths: (string | undefined)[] = [];
  const port = await serve(t, (request, response) => {
    sockets.add(request.socket);
    paths.push(request.url);
    response.end(JSON.stringify(status));
  });
  const fetch = fetcher(t);
  assert.deepEqual(await fetch('127.0.0.1', port), status);
  assert.deepEqual(await fetch('127.0.0.1', port), status);
  assert.deepEqual(paths, ['/status', '/status']);
  assert.equal(sockets.size, 1);
});

test('says briefly why there is no answer, never in the words of the pod', async (t) => {
  const table: readonly { name: string; listener: RequestListener; reason: string }[] = [
    { name: 'another status', listener: (_, response) => response.writeHead(500).end('evil'), reason: 'status 500' },
    {
      name: 'a redirect, which is not followed',
      listener: (_, response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end(),
      reason: 'status 302',
    },
    { name: 'no JSON', listener: (_, response) => response.end('evil'), reason: 'not JSON' },
    { name: 'other JSON', listener: (_, response) => response.end('{"evil":1}'), reason: 'bundles is no object' },
    { name: 'too much', listener: (_, response) => response.end(' '.repeat(300_000)), reason: 'more than 256 KiB' },
    { name: 'a connection cut', listener: (request) => request.socket.destroy(), reason: 'ECONNRESET' },
    { name: 'silence', listener: () => {}, reason: 'no answer within 2 s' },
    { name: 'half an answer', listener: (_, response) => response.write('{'), reason: 'no answer within 2 s' },
  ];
  for (const { name, listener, reason } of table) {
    await t.test(name, async (t) => {
      const port = await serve(t, listener);
      await assert.rejects(fetcher(t)('127.0.0.1', port), { message: reason });
    });
  }
  await t.test('nobody there', async (t) => {
    await assert.rejects(fetcher(t)('127.0.0.1', 1), { message: 'ECONNREFUSED' });
  });
});
