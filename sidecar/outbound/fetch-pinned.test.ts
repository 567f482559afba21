import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PortcullisError } from '../../policy/errors.ts';
import { fetchPinned } from './fetch-pinned.ts';

const at = (...addresses: string[]) => ({ resolve: async () => addresses });

describe('what is refused before anything is sent', () => {
  const rows: readonly [name: string, uri: string, why: RegExp, answers?: readonly string[]][] = [
    ['no URL', 'jwks.json', /it is no URL/],
    ['http', 'http://issuer.example/', /it is not https/],
    ['a file', 'file:///etc/passwd', /it is not https/],
    ['a user', 'https://u:p@issuer.example/', /^https:\/\/…@issuer\.example\/ refused: it holds a user/],
    ['a backslash', 'https://issuer.example\\@8.8.8.8/', /a backslash/],
    ['a fragment', 'https://issuer.example/#a', /a fragment/],
    ['an address', 'https://10.0.0.1/', /leads to 10\.0\.0\.1, which is private/],
    ['an address in octal', 'https://0251.0376.0251.0376/', /169\.254\.169\.254, which is metadata/],
    ['an address as one number', 'https://2130706433/', /127\.0\.0\.1, which is loopback/],
    ['IPv6', 'https://[::1]/', /::1, which is loopback/],
    ['IPv4 in IPv6', 'https://[::ffff:169.254.169.254]/', /::ffff:a9fe:a9fe, which is metadata/],
    ['a name', 'https://issuer.example/', /issuer\.example leads to 10\.1\.2\.3, which is private/, ['10.1.2.3']],
    ['a second address', 'https://issuer.example/', /leads to fd00:ec2::254/, ['8.8.8.8', 'fd00:ec2::254']],
    ['a zone', 'https://issuer.example/', /link local/, ['fe80::1%lo']],
    ['no address', 'https://issuer.example/', /which is invalid/, ['issuer.example']],
  ];
  for (const [name, uri, why, answers = ['8.8.8.8']] of rows) {
    it(name, () =>
      assert.rejects(
        fetchPinned(uri, { ca: null, allowPrivateAddresses: false, ...at(...answers) }),
        (error) => error instanceof PortcullisError && error.code === 'outbound_refused' && why.test(error.message),
      ),
    );
  }

  it('metadata and link-local, also where private addresses are allowed', async () => {
    for (const address of ['169.254.169.254', '100.100.100.200', 'fd00:ec2::254', 'fe80::1', '0.0.0.0', '224.0.0.1']) {
      await assert.rejects(
        fetchPinned('https://issuer.example/', { ca: null, allowPrivateAddresses: true, ...at(address) }),
        { code: 'outbound_refused' },
      );
    }
  });
});

it('fails, to be tried again, where a name has no address or its server no answer', async () => {
  const failed = { code: 'outbound_failed', retry: 'later' };
  const options = { ca: null, allowPrivateAddresses: true };
  const noSuchHost = { resolve: () => Promise.reject(new Error('ENOTFOUND')) };
  await assert.rejects(fetchPinned('https://issuer.example/', { ...options, ...noSuchHost }), failed);
  await assert.rejects(fetchPinned('https://issuer.example/', { ...options, ...at() }), failed);
  await assert.rejects(fetchPinned('https://issuer.example:1/', { ...options, ...at('127.0.0.1') }), failed);
  const forEver = { resolve: () => new Promise<string[]>(() => {}), timeoutMs: 20 };
  await assert.rejects(fetchPinned('https://issuer.example/', { ...options, ...forEver }), failed);
});
