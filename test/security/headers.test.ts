import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Attack, describeAttacks, describeWithSidecar, request } from '../support/attack-table.ts';
import { headerOf, headerValues, type Message } from '../support/http-messages.ts';
import { send } from '../support/raw-http.ts';
import { answerAndClose, answerBytes } from '../support/recording-upstream.ts';
import { openToAll, rule, type SidecarUnderTest } from '../support/sidecar-under-test.ts';

const HOST = 'Host: api.example';

function get(...headers: readonly string[]): string {
  return request('GET /x HTTP/1.1', HOST, ...headers);
}

async function forwardedBy(sut: SidecarUnderTest, bytes: string): Promise<Message> {
  sut.upstream.clear();
  const answer = await send(sut.port, bytes);
  assert.equal(answer.status, 200);
  const [forwarded] = sut.upstream.requests;
  assert.ok(forwarded);
  return forwarded;
}

describeWithSidecar('headers that only we may set', {}, (sut) => {
  const cases: readonly (readonly [string, string])[] = [
    ['X-Portcullis-Subject', 'X-Portcull-Subject'],
    ['x-portcullis-subject', 'x-portcullis'],
    ['X-PORTCULLIS-ROLES', 'X-ROLES'],
    ['X-Portcullis-Tenant', 'X-Tenant'],
    ['X-Portcullis-Anything', 'X-Anything'],
    ['X_Portcullis_Subject', 'X_Subject'],
    ['X-Portcullis_Roles', 'X-My_Roles'],
    ['X-Original-URL', 'X-Original'],
    ['X_Original_URL', 'X_Original'],
    ['X-Rewrite-URL', 'X-Rewrite'],
    ['X-Forwarded-For', 'X-Forward-For'],
    ['X_Forwarded_For', 'X_Forward_For'],
    ['X-Forwarded-Host', 'X-Host'],
    ['X-Forwarded-Proto', 'X-Proto'],
    ['X-Forwarded-Prefix', 'X-Prefix'],
    ['X-Forwarded-User', 'X-User'],
    ['Forwarded', 'Forward'],
    ['X-Real-IP', 'X-Real'],
    ['x-envoy-external-address', 'x-external-address'],
    ['x_envoy_original_path', 'x_original_path'],
    ['X-HTTP-Method-Override', 'X-Override'],
    ['X-Request-ID', 'X-Request'],
  ];
  for (const [name, honest] of cases) {
    it(`${name} from a client does not arrive; ${honest} does`, async () => {
      const forwarded = await forwardedBy(sut(), get(`${name}: evil`, `${honest}: good`));
      assert.ok(!forwarded.head.includes('evil'), forwarded.head);
      assert.equal(headerOf(forwarded, honest), 'good');
    });
  }

  it('our own arrive once, beside a client’s forgeries', async () => {
    const token = sut().token({ sub: 'alice', roles: ['admin', 'x'], tenant_id: 't1' });
    const forged = ['X-Portcullis-Subject: root', 'X_Portcullis_Subject: root', 'X-Forwarded-For: 1.2.3.4'];
    const forwarded = await forwardedBy(sut(), get(`Authorization: Bearer ${token}`, ...forged));
    assert.deepEqual(headerValues(forwarded, 'x-portcullis-subject'), ['alice']);
    assert.deepEqual(headerValues(forwarded, 'x-portcullis-tenant'), ['t1']);
    assert.deepEqual(headerValues(forwarded, 'x-portcullis-roles'), ['admin,x']);
    assert.deepEqual(headerValues(forwarded, 'x-forwarded-for'), ['127.0.0.1']);
    assert.equal(headerValues(forwarded, 'x-request-id').length, 1);
  });

  it('a claim cannot break out of its header', async () => {
    const token = sut().token({ sub: 'a\r\nX-Portcullis-Roles: admin\r\n\r\nGET /y', roles: ['a,admin'] });
    const forwarded = await forwardedBy(sut(), get(`Authorization: Bearer ${token}`));
    assert.equal(sut().upstream.requests.length, 1);
    assert.equal(headerValues(forwarded, 'x-portcullis-roles').length, 1);
    assert.ok(!headerOf(forwarded, 'x-portcullis-roles').split(',').includes('admin'));
  });
});

describeWithSidecar(
  'headers of a trusted proxy',
  { access: { clientIp: { trustedHops: 1, trustedProxies: ['127.0.0.1/32'] } } },
  (sut) => {
    it('X-Forwarded-* are kept and our peer is added; identity headers are still stripped', async () => {
      const forwarded = await forwardedBy(
        sut(),
        get(
          'X-Forwarded-For: 203.0.113.7',
          'X-Forwarded-Proto: https',
          'X-Forwarded-Host: a.example',
          'X-Portcullis-Subject: evil',
        ),
      );
      assert.deepEqual(headerValues(forwarded, 'x-forwarded-for'), ['203.0.113.7, 127.0.0.1']);
      assert.deepEqual(headerValues(forwarded, 'x-forwarded-proto'), ['https']);
      assert.deepEqual(headerValues(forwarded, 'x-forwarded-host'), ['a.example']);
      assert.ok(!forwarded.head.includes('evil'));
    });

    it('an underscore twin does not arrive', async () => {
      const forwarded = await forwardedBy(sut(), get('X_Forwarded_For: 198.51.100.1', 'X-Forwarded-For: 203.0.113.7'));
      assert.ok(!forwarded.head.includes('198.51.100.1'));
    });

    it('the log names the address that the proxy saw', async () => {
      await forwardedBy(sut(), get('X-Forwarded-For: 192.0.2.1, 203.0.113.9'));
      assert.ok(
        sut()
          .log()
          .some((line) => line.includes('"client":"203.0.113.9"')),
      );
      assert.ok(
        !sut()
          .log()
          .some((line) => line.includes('"client":"192.0.2.1"')),
      );
    });
  },
);

describeWithSidecar(
  'a proxy that is not trusted',
  { access: { clientIp: { trustedHops: 1, trustedProxies: ['10.0.0.0/8'] } } },
  (sut) => {
    it('is a client like any other', async () => {
      const forwarded = await forwardedBy(sut(), get('X-Forwarded-For: 203.0.113.7', 'X-Forwarded-Proto: https'));
      assert.deepEqual(headerValues(forwarded, 'x-forwarded-for'), ['127.0.0.1']);
      assert.ok(
        !sut()
          .log()
          .some((line) => line.includes('203.0.113.7')),
      );
    });
  },
);

describeWithSidecar('hop-by-hop headers', {}, (sut) => {
  const ofThisHop = [
    'Keep-Alive',
    'Proxy-Authorization',
    'Proxy-Authenticate',
    'Proxy-Connection',
    'TE',
    'Trailer',
    'Upgrade',
    'HTTP2-Settings',
  ];
  for (const name of ofThisHop) {
    it(`${name} does not arrive`, async () => {
      const forwarded = await forwardedBy(sut(), get(`${name}: evil`, 'X-Honest: good'));
      assert.equal(headerOf(forwarded, name), '');
      assert.equal(headerOf(forwarded, 'x-honest'), 'good');
    });
  }

  it('what Connection names does not arrive, in any case and from any of its lines; the rest does', async () => {
    const forwarded = await forwardedBy(
      sut(),
      get('Connection: keep-alive, X-One', 'connection: x-TWO ,', 'X-One: evil', 'X-Two: evil', 'X-Three: good'),
    );
    assert.ok(!forwarded.head.includes('evil'), forwarded.head);
    assert.equal(headerOf(forwarded, 'connection'), '');
    assert.equal(headerOf(forwarded, 'x-three'), 'good');
  });

  it('Connection cannot name away what we set, nor Host, credentials or the length', async () => {
    const token = sut().token({ sub: 'alice', roles: ['admin'] });
    const named =
      'Host, Content-Length, Authorization, Cookie, X-Portcullis-Subject, X-Portcullis-Roles, X-Forwarded-For, X-Request-ID';
    const bytes = `${request('POST /x HTTP/1.1', HOST, 'Content-Length: 2', 'Cookie: a=b', `Authorization: Bearer ${token}`, `Connection: ${named}`)}ab`;
    const forwarded = await forwardedBy(sut(), bytes);
    assert.equal(headerOf(forwarded, 'host'), 'api.example');
    assert.equal(forwarded.body, 'ab');
    assert.equal(headerOf(forwarded, 'authorization'), `Bearer ${token}`);
    assert.equal(headerOf(forwarded, 'cookie'), 'a=b');
    assert.equal(headerOf(forwarded, 'x-portcullis-subject'), 'alice');
    assert.equal(headerOf(forwarded, 'x-portcullis-roles'), 'admin');
    assert.equal(headerOf(forwarded, 'x-forwarded-for'), '127.0.0.1');
    assert.notEqual(headerOf(forwarded, 'x-request-id'), '');
  });

  it('on the way back as well: hop-by-hop and named headers stay, the rest comes', async () => {
    sut().upstream.behave(
      answerAndClose(
        'HTTP/1.1 200 OK\r\nConnection: close, X-Secret\r\nX-Secret: evil\r\nKeep-Alive: timeout=evil\r\nProxy-Authenticate: evil\r\n' +
          'Trailer: evil\r\nUpgrade: evil\r\nX-Honest: good\r\nContent-Length: 2\r\n\r\nok',
      ),
    );
    const answer = await send(sut().port, get());
    sut().upstream.behave();
    assert.equal(answer.status, 200);
    assert.ok(!(answer.responses[0]?.head ?? 'evil').includes('evil'), JSON.stringify(answer.headers));
    assert.equal(answer.headers['x-honest'], 'good');
    assert.equal(answer.body, 'ok');
  });

  it('on the way back Connection cannot name away the length or our request id', async () => {
    sut().upstream.behave(
      answerAndClose(
        'HTTP/1.1 200 OK\r\nConnection: close, Content-Length, X-Request-ID\r\nContent-Length: 2\r\n\r\nok',
      ),
    );
    const answer = await send(sut().port, get());
    sut().upstream.behave();
    assert.deepEqual([answer.status, answer.body, answer.headers['content-length']], [200, 'ok', '2']);
    assert.notEqual(answer.headers['x-request-id'] ?? '', '');
  });

  it('the application cannot answer with a request id of its own', async () => {
    sut().upstream.behave(answerBytes('HTTP/1.1 200 OK\r\nX-Request-ID: evil\r\nContent-Length: 2\r\n\r\nok'));
    const answer = await send(sut().port, get());
    sut().upstream.behave();
    assert.notEqual(answer.headers['x-request-id'] ?? '', '');
    assert.ok(!answer.responses[0]?.head.includes('evil'));
  });
});

const post = (...headers: readonly string[]): string =>
  `${request('POST /x HTTP/1.1', HOST, 'Content-Length: 2', ...headers)}{}`;

const refused: readonly Attack[] = [
  {
    name: 'two Authorization headers',
    attack: (sut) => get(`Authorization: Bearer ${sut.token()}`, `Authorization: Bearer ${sut.token({ sub: 'root' })}`),
    status: 400,
    honest: (sut) => get(`Authorization: Bearer ${sut.token()}`),
  },
  {
    name: 'the same Authorization twice',
    attack: (sut) => get(`Authorization: Bearer ${sut.token()}`, `authorization: Bearer ${sut.token()}`),
    status: 400,
    honest: (sut) => get(`authorization: bearer ${sut.token()}`),
  },
  {
    name: 'two Content-Types',
    attack: post('Content-Type: a/b', 'Content-Type: a/b'),
    status: 400,
    honest: post('Content-Type: a/b'),
  },
  ...[
    'application',
    'application/',
    '/json',
    'application/json/x',
    'application /json',
    'application/json, text/html',
    'application/json;',
    'application/json; charset',
    'application/json; charset=',
    'application/json; charset="utf-8',
    'application/json; charset=a b',
    'application/json\x80',
    '"application/json"',
    '',
  ].map((type) => ({
    name: `Content-Type ${JSON.stringify(type)}`,
    attack: post(`Content-Type: ${type}`),
    status: 415,
    honest: post('Content-Type: application/json; charset="utf-8";a=b'),
  })),
  {
    name: '101 headers',
    attack: get(...Array.from({ length: 100 }, (_, at) => `X-${at}: a`)),
    status: 431,
    honest: get(...Array.from({ length: 99 }, (_, at) => `X-${at}: a`)),
  },
  {
    name: '16 KiB of headers',
    attack: get(`X-A: ${'a'.repeat(16 * 1024)}`),
    status: 431,
    honest: get(`X-A: ${'a'.repeat(16_000)}`),
  },
  {
    name: '16 KiB of headers in small ones',
    attack: get(...Array.from({ length: 90 }, (_, at) => `X-${at}: ${'a'.repeat(190)}`)),
    status: 431,
    honest: get(...Array.from({ length: 90 }, (_, at) => `X-${at}: ${'a'.repeat(160)}`)),
  },
  { name: '1 MB of headers', attack: get(`X-A: ${'a'.repeat(1_000_000)}`), status: 431, honest: get('X-A: a') },
  {
    name: 'a target over 8 KiB',
    attack: request(`GET /${'a'.repeat(8 * 1024)} HTTP/1.1`, HOST),
    status: 414,
    honest: request(`GET /${'a'.repeat(8 * 1024 - 1)} HTTP/1.1`, HOST),
  },
  {
    name: 'a query over 8 KiB',
    attack: request(`GET /?${'a'.repeat(8 * 1024)} HTTP/1.1`, HOST),
    status: 414,
    honest: request(`GET /?${'a'.repeat(8 * 1024 - 2)} HTTP/1.1`, HOST),
  },
  {
    name: 'a target of 1 MB',
    attack: request(`GET /${'a'.repeat(1_000_000)} HTTP/1.1`, HOST),
    status: 414,
    honest: get(),
  },
  { name: 'a space in a header name', attack: get('X A: b'), status: 400, honest: get('X-A: b') },
  { name: 'a slash in a header name', attack: get('X/A: b'), status: 400, honest: get("X!#$%&'*+.^_`|~A: b") },
  { name: 'a byte beyond ASCII in a header name', attack: get('X-\xe4: b'), status: 400, honest: get('X-A: \xe4') },
  { name: 'a control byte in a value', attack: get('X-A: \x01'), status: 400, honest: get('X-A: a\tb') },
  { name: 'DEL in a value', attack: get('X-A: \x7f'), status: 400, honest: get('X-A: \x7e') },
  {
    name: 'an expectation that we do not know',
    attack: post('Expect: 200-ok'),
    status: 417,
    honest: post('Expect: 100-continue'),
  },
];

describeAttacks('headers: refused', { access: { rules: [openToAll] } }, refused);

describeWithSidecar(
  'headers: Authorization',
  {
    access: {
      rules: [rule('all', ['/**'], [{ authenticated: true }])],
      forward: { identityHeaders: true },
    },
  },
  (sut) => {
    it('the Bearer scheme is read without case, and only that scheme', async () => {
      const token = sut().token();
      for (const [value, status] of [
        [`BEARER ${token}`, 200],
        [`Basic ${token}`, 401],
        [`Bearer${token}`, 401],
        [`Bearer ${token} ${token}`, 401],
        [`Bearer ${token}, Bearer ${token}`, 401],
        [token, 401],
      ] as const) {
        assert.equal((await send(sut().port, get(`Authorization: ${value}`))).status, status, value.slice(0, 12));
      }
    });
  },
);
