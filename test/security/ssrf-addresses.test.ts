import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { describe, it } from 'node:test';
import { addressClass } from '../../sidecar/outbound/address-class.ts';
import { allowedAddresses } from '../../sidecar/outbound/allowed-addresses.ts';
import { missingPrograms } from '../support/system-programs.ts';

/** Python's ipaddress, an implementation of IANA's registries that is not ours: one line an address, 1 where it is of the internet. */
const REFERENCE = `
import ipaddress, sys
def is_public(a):
    if a.version == 6:
        if a.ipv4_mapped is not None: return is_public(a.ipv4_mapped)
        if a in ipaddress.ip_network('64:ff9b::/96'): return is_public(ipaddress.ip_address(int(a) & 0xffffffff))
    return a.is_global and not a.is_multicast and not a.is_reserved and not a.is_unspecified
for line in sys.stdin:
    print(int(is_public(ipaddress.ip_address(line.strip()))))
`;

/** What the registries call global and we never connect to. */
const REFUSED_BESIDES: readonly (readonly [prefix: RegExp, why: string])[] = [
  [/^168\.63\.129\.16$/, 'metadata of Azure'],
  [/^192\.88\.99\./, '6to4 relays (RFC 7526)'],
  [/^192\.0\.0\./, 'IETF protocols'],
  [/^2002:/, '6to4 carries an IPv4 address that is not looked at'],
  [/^2001:(0:|[0-9a-f]{1,2}:|1[0-9a-f]{2}:)/, 'IETF protocols, Teredo'],
  [/^64:ff9b:1:/, 'local NAT64'],
  [/^fe[c-f]/, 'site-local (RFC 3879)'],
  [/^3fff:0?[0-9a-f]{0,3}:/, 'documentation (RFC 9637)'],
];

const SEEDS = [
  ...[
    '0.0.0.0',
    '10.0.0.0',
    '100.64.0.0',
    '100.127.255.255',
    '127.0.0.0',
    '169.254.0.0',
    '172.16.0.0',
    '172.31.255.255',
  ],
  ...[
    '192.0.0.0',
    '192.0.2.0',
    '192.88.99.0',
    '192.168.0.0',
    '198.18.0.0',
    '198.19.255.255',
    '198.51.100.0',
    '203.0.113.0',
  ],
  ...['224.0.0.0', '239.255.255.255', '240.0.0.0', '255.255.255.255', '169.254.169.254', '168.63.129.16', '8.8.8.8'],
];

function ipv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.');
}

function numberOf(address: string): number {
  return address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

function group(): string {
  return randomInt(65_536).toString(16);
}

/** Random ones, and those at the edges of every block. */
function addresses(): string[] {
  const v4 = [
    ...SEEDS.flatMap((seed) => [-1, 0, 1].map((step) => ipv4((numberOf(seed) + step) >>> 0))),
    ...Array.from({ length: 6_000 }, () => ipv4(randomInt(2 ** 32))),
    ...SEEDS.flatMap((seed) => Array.from({ length: 50 }, () => ipv4((numberOf(seed) ^ randomInt(65_536)) >>> 0))),
  ];
  const tail = () => Array.from({ length: 6 }, group).join(':');
  const heads = [
    '2000',
    '2001',
    '2002',
    '2600',
    '2a00',
    '3fff',
    '4000',
    'fc00',
    'fd00',
    'fe80',
    'fec0',
    'ff02',
    '0',
    '64',
    '100',
  ];
  const v6 = [
    ...heads.flatMap((head) => Array.from({ length: 200 }, () => `${head}:${group()}:${tail()}`)),
    ...Array.from({ length: 3_000 }, () => `${group()}:${group()}:${tail()}`),
    ...v4.slice(0, 2_000).flatMap((each) => [`::ffff:${each}`, `64:ff9b::${each}`, `::${each}`]),
    '::',
    '::1',
  ];
  return [...v4, ...v6];
}

describe('addresses beside another reading of the registries', {
  skip: missingPrograms({ python3: 'python3' }) ?? false,
}, () => {
  const all = addresses();
  const said = execFileSync('python3', ['-c', REFERENCE], { input: all.join('\n'), maxBuffer: 2 ** 24 });
  const isPublic = String(said)
    .trim()
    .split('\n')
    .map((line) => line === '1');

  it('nothing is connected to that is not of the internet', () => {
    const wrong = all.filter((address, index) => addressClass(address) === 'public' && !isPublic[index]);
    assert.deepEqual(wrong, []);
    assert.ok(all.length > 15_000 && isPublic.length === all.length);
  });

  it('nothing of the internet is refused but what is said to be', () => {
    const wrong = all.filter((address, index) => {
      const isKnown = REFUSED_BESIDES.some(([prefix]) => prefix.test(address.replace(/^(::ffff:|64:ff9b::)/, '')));
      return isPublic[index] && addressClass(address) !== 'public' && !isKnown;
    });
    assert.deepEqual(wrong, []);
  });

  it('one of a name’s addresses is enough to refuse it', async () => {
    const url = new URL('https://broker.example');
    for (let i = 0; i < 500; i++) {
      const at = Array.from({ length: 1 + randomInt(4) }, () => randomInt(all.length));
      const answers = at.map((index) => all[index] as string);
      const found = await allowedAddresses(url, { allowPrivateAddresses: false, resolve: async () => answers }).catch(
        ({ code }) => code,
      );
      const expected = answers.every((address) => addressClass(address) === 'public') ? answers : 'outbound_refused';
      assert.deepEqual(found, expected);
      if (Array.isArray(found))
        assert.ok(
          at.every((index) => isPublic[index]),
          String(answers),
        );
    }
  });
});
