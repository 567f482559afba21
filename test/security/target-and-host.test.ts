import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Attack, describeAttacks, describeWithSidecar, request, requestLines } from '../support/attack-table.ts';
import { headerOf, headerValues } from '../support/http-messages.ts';
import { send } from '../support/raw-http.ts';
import { rule } from '../support/sidecar-under-test.ts';

const HOST = 'Host: api.example';
const honest = request('GET /x HTTP/1.1', HOST);

const hosts: readonly Attack[] = [
  ['no Host', request('GET /x HTTP/1.1')],
  ['two Hosts', request('GET /x HTTP/1.1', HOST, 'Host: evil.example')],
  ['the same Host twice', request('GET /x HTTP/1.1', HOST, HOST)],
  ['Host twice in other case', request('GET /x HTTP/1.1', HOST, 'HOST: evil.example')],
  ['an empty Host', request('GET /x HTTP/1.1', 'Host:')],
  ['a list in Host', request('GET /x HTTP/1.1', 'Host: api.example, evil.example')],
  ['two names in Host', request('GET /x HTTP/1.1', 'Host: api.example evil.example')],
  ['userinfo in Host', request('GET /x HTTP/1.1', 'Host: evil.example@api.example')],
  ['a path in Host', request('GET /x HTTP/1.1', 'Host: api.example/y')],
  ['a query in Host', request('GET /x HTTP/1.1', 'Host: api.example?y')],
  ['a port of letters in Host', request('GET /x HTTP/1.1', 'Host: api.example:http')],
  ['a port beyond 65535', request('GET /x HTTP/1.1', 'Host: api.example:65536')],
  ['two ports', request('GET /x HTTP/1.1', 'Host: api.example:80:80')],
  ['percent-encoding in Host', request('GET /x HTTP/1.1', 'Host: api%2eexample')],
  ['a byte beyond ASCII in Host', request('GET /x HTTP/1.1', 'Host: \xe4pi.example')],
  ['an empty label in Host', request('GET /x HTTP/1.1', 'Host: api..example')],
  ['an open bracket in Host', request('GET /x HTTP/1.1', 'Host: [::1')],
  ['absolute-form without Host', request('GET http://api.example/x HTTP/1.1')],
  ['absolute-form beside two Hosts', request('GET http://api.example/x HTTP/1.1', HOST, HOST)],
].map(([name = '', attack = '']) => ({ name, attack, status: 400, honest }));

const targets: readonly Attack[] = [
  ['a fragment', request('GET /x#y HTTP/1.1', HOST)],
  ['a fragment behind the query', request('GET /x?a=b#y HTTP/1.1', HOST)],
  ['GET *', request('GET * HTTP/1.1', HOST)],
  ['OPTIONS *', request('OPTIONS * HTTP/1.1', HOST)],
  ['authority-form with GET', request('GET api.example:80 HTTP/1.1', HOST)],
  ['a target without a slash', request('GET x HTTP/1.1', HOST)],
  ['a target that is only a query', request('GET ?x HTTP/1.1', HOST)],
  ['absolute-form with another scheme', request('GET ftp://api.example/x HTTP/1.1', HOST)],
  ['absolute-form with https on a plain port', request('GET https://api.example/x HTTP/1.1', HOST)],
  ['absolute-form with userinfo', request('GET http://u:p@api.example/x HTTP/1.1', HOST)],
  ['absolute-form without authority', request('GET http:///x HTTP/1.1', HOST)],
  ['absolute-form with a backslash', request('GET http:\\\\api.example\\x HTTP/1.1', HOST)],
  ['absolute-form with a bad port', request('GET http://api.example:x/x HTTP/1.1', HOST)],
  ['a byte beyond ASCII in the query', request('GET /x?\xff HTTP/1.1', HOST)],
  ['a control byte in the query', request('GET /x?\x01 HTTP/1.1', HOST)],
  ['DEL in the query', request('GET /x?\x7f HTTP/1.1', HOST)],
].map(([name = '', attack = '']) => ({ name, attack, status: 400, honest: request('GET /x?a=b%23y HTTP/1.1', HOST) }));

const methods: readonly Attack[] = [
  ['CONNECT', request('CONNECT api.example:443 HTTP/1.1', HOST)],
  ['CONNECT with a path', request('CONNECT /x HTTP/1.1', HOST)],
  ['TRACE', request('TRACE /x HTTP/1.1', HOST)],
  ['TRACK', request('TRACK /x HTTP/1.1', HOST)],
].map(([name = '', attack = '']) => ({ name, attack, status: 405, honest: request('OPTIONS /x HTTP/1.1', HOST) }));

describeAttacks('host', {}, hosts);
describeAttacks('target', {}, targets);
describeAttacks('methods', {}, methods);

describeWithSidecar('CONNECT', {}, (sut) => {
  it('opens no tunnel: what follows reaches nobody', async () => {
    sut().upstream.clear();
    const answer = await send(sut().port, [request('CONNECT api.example:443 HTTP/1.1', HOST), honest], {
      untilClosed: true,
    });
    assert.deepEqual([answer.status, answer.responses.length, answer.closed], [405, 1, true]);
    assert.equal(sut().upstream.received(), '');
  });
});

const byHost = [
  rule('open', ['/**'], [{ anonymous: true }], { hosts: ['open.example'] }),
  rule('wild', ['/**'], [{ anonymous: true }], { hosts: ['*.wild.example'] }),
  rule('closed', ['/**'], [{ authenticated: true }], { hosts: ['closed.example'] }),
];

describeWithSidecar('which host decides', { access: { rules: byHost } }, (sut) => {
  const decisions = [
    { name: 'the Host', lines: ['GET /x HTTP/1.1', 'Host: open.example'], status: 200 },
    { name: 'the Host of a closed one', lines: ['GET /x HTTP/1.1', 'Host: closed.example'], status: 401 },
    { name: 'the Host in other case', lines: ['GET /x HTTP/1.1', 'Host: Open.EXAMPLE'], status: 200 },
    { name: 'the Host with a trailing dot', lines: ['GET /x HTTP/1.1', 'Host: open.example.'], status: 200 },
    { name: 'the Host with a port', lines: ['GET /x HTTP/1.1', 'Host: open.example:8443'], status: 200 },
    {
      name: 'a closed Host in other case with a dot',
      lines: ['GET /x HTTP/1.1', 'Host: CLOSED.example.'],
      status: 401,
    },
    { name: 'a label below a wildcard', lines: ['GET /x HTTP/1.1', 'Host: a.b.wild.example'], status: 200 },
    { name: 'the wildcard’s own domain', lines: ['GET /x HTTP/1.1', 'Host: wild.example'], status: 401 },
    { name: 'a name that ends like a wildcard', lines: ['GET /x HTTP/1.1', 'Host: evilwild.example'], status: 401 },
    {
      name: 'the target, not the Host: open over closed',
      lines: ['GET http://open.example/x HTTP/1.1', 'Host: closed.example'],
      status: 200,
    },
    {
      name: 'the target, not the Host: closed over open',
      lines: ['GET http://closed.example/x HTTP/1.1', 'Host: open.example'],
      status: 401,
    },
    { name: 'the target in other case', lines: ['GET HTTP://OPEN.example/x HTTP/1.1', 'Host: x'], status: 200 },
    {
      name: 'X-Forwarded-Host decides nothing',
      lines: ['GET /x HTTP/1.1', 'Host: closed.example', 'X-Forwarded-Host: open.example'],
      status: 401,
    },
  ];
  for (const { name, lines, status } of decisions) {
    it(`${name}: ${status}`, async () => {
      sut().upstream.clear();
      assert.equal((await send(sut().port, request(...lines))).status, status);
      assert.equal(sut().upstream.requests.length, status === 200 ? 1 : 0);
    });
  }

  it('the authority that decided is the Host that is sent', async () => {
    sut().upstream.clear();
    await send(sut().port, request('GET http://open.example:81/x?y HTTP/1.1', 'Host: closed.example'));
    const [forwarded] = sut().upstream.requests;
    assert.ok(forwarded);
    assert.equal(forwarded.startLine, 'GET /x?y HTTP/1.1');
    assert.deepEqual(headerValues(forwarded, 'host'), ['open.example:81']);
  });

  it('absolute-form without a path is the path /', async () => {
    sut().upstream.clear();
    await send(sut().port, request('GET http://open.example?y HTTP/1.1', 'Host: open.example'));
    assert.deepEqual(requestLines(sut()), ['GET /?y HTTP/1.1']);
  });
});

describeWithSidecar('upgrades to what we do not speak', {}, (sut) => {
  const upgrade = ['Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'];
  for (const protocol of ['h2c', 'TLS/1.0', 'h2c, websocket']) {
    it(`Upgrade: ${protocol} is stripped, or refused`, async () => {
      sut().upstream.clear();
      const answer = await send(sut().port, request('GET /x HTTP/1.1', HOST, ...upgrade, `Upgrade: ${protocol}`));
      assert.ok(answer.status === 200 || answer.status === 400, String(answer.status));
      for (const forwarded of sut().upstream.requests) {
        for (const header of ['upgrade', 'http2-settings', 'connection'])
          assert.equal(headerOf(forwarded, header), '', header);
      }
      if (protocol === 'h2c') assert.equal(sut().upstream.requests.length, 1, 'served without the upgrade');
    });
  }

  it('an application that switches protocols all the same gets no tunnel', async () => {
    sut().upstream.clear();
    sut().upstream.behave((_message, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
    });
    const answer = await send(sut().port, [
      request('GET /x HTTP/1.1', HOST, ...upgrade, 'Upgrade: h2c'),
      'PRI * HTTP/2.0\r\n',
    ]);
    sut().upstream.behave();
    assert.equal(answer.status, 502);
    assert.ok(!sut().upstream.received().includes('PRI'));
  });
});
