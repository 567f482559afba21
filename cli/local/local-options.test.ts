import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { parseLocalOptions } from './local-options.ts';

const needed = ['--policies', 'a/policies', '--upstream', 'http://127.0.0.1:9000'];

describe('flags of portcullis local', () => {
  it('have defaults', () => {
    assert.deepEqual(parseLocalOptions(needed), {
      policies: 'a/policies',
      upstream: { host: '127.0.0.1', port: 9000 },
      listen: { host: '127.0.0.1', port: 8080 },
      admin: { host: '127.0.0.1', port: 8081 },
      egress: { host: '127.0.0.1', port: 14182 },
      state: resolve('a/.portcullis'),
      redisUrl: null,
      accessPolicy: null,
      rateLimitPolicy: null,
    });
  });

  it('are taken', () => {
    const more = ['--listen', '[::1]:0', '--admin', 'localhost:1', '--state', 's', '--redis', 'rediss://h:1/2'];
    const options = parseLocalOptions([...needed, ...more, '--access-policy', 'x/y', '--rate-limit-policy', 'z']);
    assert.deepEqual(options?.listen, { host: '::1', port: 0 });
    assert.deepEqual(options?.admin, { host: 'localhost', port: 1 });
    assert.deepEqual([options?.state, options?.redisUrl], ['s', 'rediss://h:1/2']);
    assert.deepEqual([options?.accessPolicy, options?.rateLimitPolicy], ['x/y', 'z']);
  });

  it('take a certificate and its key', () => {
    const tls = parseLocalOptions([...needed, '--tls-cert', 'a.crt', '--tls-key', 'a.key'])?.tls;
    assert.deepEqual([tls?.cert, tls?.key, tls?.name], ['a.crt', 'a.key', 'a.crt and a.key']);
  });

  it('ask for help', () => assert.equal(parseLocalOptions(['--help']), null));

  const refused: readonly [name: string, argv: readonly string[], says: RegExp][] = [
    ['an unknown flag', [...needed, '--port', '1'], /Unknown option '--port'/],
    ['an argument', [...needed, 'x'], /Unexpected argument 'x'/],
    [
      'an upstream with a path',
      [...needed, '--upstream', 'http://h:1/api'],
      /must be http:\/\/HOST:PORT and nothing more/,
    ],
    [
      'an upstream with a user',
      [...needed, '--upstream', 'http://u@h:1'],
      /must be http:\/\/HOST:PORT and nothing more/,
    ],
    ['an upstream without a scheme', [...needed, '--upstream', 'localhost:1'], /must be http:\/\/HOST:PORT/],
    ['a port too high', [...needed, '--listen', 'h:65536'], /--listen must be HOST:PORT/],
    ['a certificate without its key', [...needed, '--tls-cert', 'a.crt'], /--tls-cert and --tls-key go together/],
    ['a key without its certificate', [...needed, '--tls-key', 'a.key'], /--tls-cert and --tls-key go together/],
    ['egress on an address of the network', [...needed, '--egress', '0.0.0.0:1'], /--egress must be on the loopback/],
    ['no port', [...needed, '--admin', 'h'], /--admin must be HOST:PORT/],
    ['an IPv6 address without brackets', [...needed, '--admin', '::1:80'], /--admin must be HOST:PORT/],
  ];
  for (const [name, argv, says] of refused) {
    it(`refuse ${name}`, () => assert.throws(() => parseLocalOptions(argv), { code: 'config_invalid', message: says }));
  }
});
