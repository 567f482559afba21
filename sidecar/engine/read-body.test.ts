import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, test } from 'node:test';
import { DEFAULT_CONNECTIONS } from '../../policy/bundle/connections.ts';
import type { BodyRefusal } from '../pipeline/exchange.ts';
import type { Filter } from '../pipeline/filter.ts';
import { compileClientAddress } from './client-address.ts';
import { Engine } from './engine.ts';
import { DEFAULT_UPSTREAM_TIMEOUTS } from './upstream-connection.ts';

const MAX = 1_000;

/** An application that answers with what it was sent, and how it was framed. */
const app = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
  response.end(JSON.stringify({ length, coding, body: Buffer.concat(chunks).toString('latin1') }));
});
app.listen(0, '127.0.0.1');
await once(app, 'listening');

const seen: (string | BodyRefusal)[] = [];
const reading: Filter = {
  name: 'reading',
  shadow: true,
  onRequest: async (exchange) => {
    for (let times = 0; times < 2; times++) {
      const body = await exchange.body.readBody(MAX);
      seen.push(typeof body === 'string' ? body : body.toString('latin1'));
    }
    return undefined;
  },
};

const { port } = app.address() as AddressInfo;
const faults: unknown[] = [];
const engine = new Engine({
  upstream: { host: '127.0.0.1', port },
  nextRequestId: () => 'id',
  onFilterFault: (_, error) => faults.push(error),
  onProtocolRefusal: () => {},
});
engine.use({
  filters: [reading],
  pathMatching: { case: 'Sensitive', trailingSlash: 'Strict', parameters: 'Refuse' },
  clientAddress: compileClientAddress({ trustedHops: 0, trustedProxies: [] }),
  timeouts: DEFAULT_UPSTREAM_TIMEOUTS,
  connections: { config: DEFAULT_CONNECTIONS, shadow: false },
  ownedAnswerHeaders: new Set(),
  forwardLines: () => '',
});
const address = await engine.listen('127.0.0.1', 0);
after(async () => {
  await engine.stop(1_000);
  app.close();
  app.closeAllConnections();
});

/** Sends parts one after the other and gives all that came back until `done` says enough. */
async function send(parts: readonly string[], done: (text: string) => boolean): Promise<string> {
  seen.length = 0;
  const socket = connect(address.port, '127.0.0.1');
  let text = '';
  for (const part of parts) {
    socket.write(part, 'latin1');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  for await (const data of socket) {
    text += data;
    if (done(text)) break;
  }
  socket.destroy();
  assert.deepEqual(faults, []);
  return text;
}

const head = (framing: string, extra = ''): string => `POST /x HTTP/1.1\r\nHost: a\r\n${framing}\r\n${extra}\r\n`;
const echoed = (text: string) => JSON.parse(text.slice(text.lastIndexOf('{"')).split('\r\n')[0]!);
const ends = (text: string): boolean => /"body":"[^"]*"\}/.test(text);

test('a body of known length is read whole and forwarded byte for byte', async () => {
  const text = await send([head('Content-Length: 5'), 'a\xff', '\0bc'], ends);
  assert.deepEqual(seen, ['a\xff\0bc', 'a\xff\0bc']);
  assert.deepEqual(echoed(text), { length: '5', body: 'a\xff\0bc' });
});

test('a chunked body, and the request behind it on the same connection', async () => {
  const chunked = head('Transfer-Encoding: chunked');
  const text = await send(
    [chunked, '2\r\nab\r\n', '1\r\nc\r\n0\r\n\r\n', head('Content-Length: 1'), 'd'],
    (all) => all.split('"body"').length === 3 && ends(all),
  );
  assert.deepEqual(seen, ['abc', 'abc', 'd', 'd']);
  assert.match(text, /"coding":"chunked","body":"abc"/);
  assert.equal(echoed(text).body, 'd');
});

test('no body is an empty one', async () => {
  await send(['GET /x HTTP/1.1\r\nHost: a\r\n\r\n'], ends);
  assert.deepEqual(seen, ['', '']);
});

test('100-continue is sent when a filter wants the body, and once', async () => {
  const text = await send([head('Content-Length: 2', 'Expect: 100-continue\r\n'), 'ab'], ends);
  assert.equal(text.split('100 Continue').length, 2);
  assert.equal(echoed(text).body, 'ab');
});

for (const [name, framing] of [
  ['announced', `Content-Length: ${MAX + 1}`],
  ['found', 'Transfer-Encoding: chunked'],
] as const) {
  test(`a body that is ${name} to be too large is not read, and lost neither when the filter only watches`, async () => {
    const parts = ['y'.repeat(MAX), 'z'];
    const framed =
      name === 'found' ? [...parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`), '0\r\n\r\n'] : parts;
    const text = await send([head(framing), ...framed], ends);
    assert.deepEqual(seen, ['body_too_large', 'body_too_large']);
    assert.equal(echoed(text).body, parts.join(''));
  });
}

test('a client that leaves in the middle leaves nothing behind', async () => {
  seen.length = 0;
  const socket = connect(address.port, '127.0.0.1');
  socket.write(`${head('Content-Length: 9')}abc`);
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.destroy();
  while (seen.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(seen, ['aborted', 'aborted']);
});
