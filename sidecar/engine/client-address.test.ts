import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileClientAddress } from './client-address.ts';

describe('compileClientAddress', () => {
  const cases: readonly (readonly [
    name: string,
    trustedHops: number,
    trustedProxies: readonly string[],
    peer: string,
    forwardedFor: string,
    address: string,
    trusts: boolean,
  ])[] = [
    ['no hops: nothing is believed', 0, [], '10.0.0.1', '1.1.1.1', '10.0.0.1', false],
    ['no hops, proxies named: nothing is believed', 0, ['10.0.0.0/8'], '10.0.0.1', '1.1.1.1', '10.0.0.1', false],
    ['one hop: what the proxy saw', 1, ['10.0.0.0/8'], '10.0.0.1', '1.1.1.1', '1.1.1.1', true],
    [
      'one hop: what the client wrote itself does not count',
      1,
      ['10.0.0.0/8'],
      '10.0.0.1',
      '6.6.6.6, 1.1.1.1',
      '1.1.1.1',
      true,
    ],
    ['two hops', 2, ['10.0.0.0/8'], '10.0.0.1', '6.6.6.6, 1.1.1.1, 10.0.0.2', '1.1.1.1', true],
    ['fewer entries than hops', 2, ['10.0.0.0/8'], '10.0.0.1', '1.1.1.1', '10.0.0.1', true],
    ['no header', 1, ['10.0.0.0/8'], '10.0.0.1', '', '10.0.0.1', true],
    ['another peer', 1, ['10.0.0.0/8'], '192.0.2.1', '1.1.1.1', '192.0.2.1', false],
    ['any peer where none is named', 1, [], '192.0.2.1', '1.1.1.1', '1.1.1.1', true],
    ['no address in the header', 1, ['10.0.0.0/8'], '10.0.0.1', 'unknown', '10.0.0.1', true],
    ['an address with a port', 1, ['10.0.0.0/8'], '10.0.0.1', '1.1.1.1:80', '1.1.1.1', true],
    ['IPv6 with a port', 1, ['10.0.0.0/8'], '10.0.0.1', '[2001:db8::1]:80', '2001:db8::1', true],
    ['a port that is none', 1, ['10.0.0.0/8'], '10.0.0.1', '1.1.1.1:http', '10.0.0.1', true],
    ['a line of a log', 1, ['10.0.0.0/8'], '10.0.0.1', '1.1.1.1","x":"', '10.0.0.1', true],
    ['IPv6', 1, ['fd00::/8'], 'fd00::1', '2001:db8::1', '2001:db8::1', true],
    ['an IPv6 peer beside an IPv4 range', 1, ['10.0.0.0/8'], 'fd00::1', '1.1.1.1', 'fd00::1', false],
    ['a single address as a range', 1, ['10.0.0.1'], '10.0.0.2', '1.1.1.1', '10.0.0.2', false],
    ['a single IPv6 address as a range', 1, ['fd00::1'], 'fd00::1', '1.1.1.1', '1.1.1.1', true],
  ];
  for (const [name, trustedHops, trustedProxies, peer, forwardedFor, address, trusts] of cases) {
    it(name, () => {
      const compiled = compileClientAddress({ trustedHops, trustedProxies });
      assert.deepEqual([compiled.of(peer, forwardedFor), compiled.trusts(peer)], [address, trusts]);
    });
  }
});
