import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientMayNotSet, HOP_BY_HOP } from './header-lists.ts';

describe('clientMayNotSet', () => {
  const forbidden = [
    'x-portcullis-subject',
    'x_portcullis_subject',
    'x-portcullis_roles',
    'x-forwarded-for',
    'x_forwarded_user',
    'x-envoy-original-path',
    'x-original-url',
    'x_original_url',
    'x-rewrite-url',
    'x-http-method-override',
    'x-real-ip',
    'x-request-id',
    'forwarded',
    'true-client-ip',
    'content_length',
    'transfer_encoding',
    'proxy_connection',
    'x_request_id',
  ];
  for (const name of forbidden) it(`${name} is ours`, () => assert.equal(clientMayNotSet(name), true));

  const allowed = [
    'x-portcullis',
    'portcullis-x',
    'x-forward',
    'x-custom',
    'x_custom',
    'authorization',
    'via',
    'x',
    '',
  ];
  for (const name of allowed) it(`"${name}" is the client's`, () => assert.equal(clientMayNotSet(name), false));

  it('the connection-level headers of RFC 9110 §7.6.1 are known', () => {
    for (const name of ['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade']) {
      assert.ok(HOP_BY_HOP.has(name), name);
    }
    assert.ok(!HOP_BY_HOP.has('content-length'));
  });
});
