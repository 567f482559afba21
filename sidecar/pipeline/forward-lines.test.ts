import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Identity } from '../../policy/evaluate/access-evaluator.ts';
import { type CheckedHead, checkHead } from '../engine/check-head.ts';
import { compileClientAddress } from '../engine/client-address.ts';
import { forwardLines } from './forward-lines.ts';
import { testExchange } from './testing/exchange-fixtures.ts';

const nobody = compileClientAddress({ trustedHops: 0, trustedProxies: [] });
const proxies = compileClientAddress({ trustedHops: 1, trustedProxies: ['10.0.0.0/8'] });

function headWith(...fields: readonly string[]): CheckedHead {
  const head = checkHead({ method: 'GET', target: '/', minor: 1, fields: ['host', 'a', ...fields] });
  assert.ok(typeof head === 'object');
  return head;
}

function identity(user: string | null, tenant: string | null = null, roles: readonly string[] = []): Identity {
  return { user, tenant, roles } as unknown as Identity;
}

const spoofed = headWith('x-forwarded-for', '6.6.6.6', 'x-forwarded-proto', 'https', 'x-forwarded-host', 'evil');

describe('forwardLines', () => {
  it('a client says nothing about where it comes from', () => {
    assert.equal(
      forwardLines(nobody, true)(testExchange(), '192.0.2.1', spoofed),
      'x-request-id: id-1\r\nx-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: http\r\n',
    );
  });

  it('a trusted proxy does, and its address is added', () => {
    assert.equal(
      forwardLines(proxies, true)(testExchange(), '10.0.0.1', spoofed),
      'x-request-id: id-1\r\nx-forwarded-for: 6.6.6.6, 10.0.0.1\r\nx-forwarded-proto: https\r\nx-forwarded-host: evil\r\n',
    );
  });

  it('a WebSocket handshake gets its two hop-by-hop headers back', () => {
    const lines = forwardLines(nobody, true)(testExchange({ upgrade: true }), '192.0.2.1', headWith());
    assert.ok(lines.endsWith('connection: Upgrade\r\nupgrade: websocket\r\n'));
  });

  const identities: readonly (readonly [name: string, identity: Identity, lines: string])[] = [
    ['a user', identity('alice'), 'x-portcullis-subject: alice\r\n'],
    ['tenant and roles', identity(null, 't', ['a', 'b']), 'x-portcullis-tenant: t\r\nx-portcullis-roles: a,b\r\n'],
    ['a comma adds no role', identity(null, null, ['a,admin']), 'x-portcullis-roles: a%2Cadmin\r\n'],
    [
      'a line break adds no header',
      identity('a\r\nx-portcullis-roles: admin'),
      'x-portcullis-subject: a%0D%0Ax-portcullis-roles:%20admin\r\n',
    ],
    ['a percent sign stands for itself', identity('50%2C'), 'x-portcullis-subject: 50%252C\r\n'],
    ['UTF-8', identity('Zoë 💶'), 'x-portcullis-subject: Zo%C3%AB%20%F0%9F%92%B6\r\n'],
    ['a lone surrogate', identity('\ud800'), 'x-portcullis-subject: %EF%BF%BD\r\n'],
  ];
  for (const [name, who, lines] of identities) {
    it(`identity: ${name}`, () => {
      const exchange = testExchange();
      exchange.identity = who;
      const build = forwardLines(nobody, true);
      for (const time of ['first', 'second']) {
        assert.ok(build(exchange, '192.0.2.1', headWith()).endsWith(`x-forwarded-proto: http\r\n${lines}`), time);
      }
    });
  }

  it('identityHeaders: false adds none', () => {
    const exchange = testExchange();
    exchange.identity = identity('alice');
    assert.doesNotMatch(forwardLines(nobody, false)(exchange, '192.0.2.1', headWith()), /portcullis/);
  });
});
