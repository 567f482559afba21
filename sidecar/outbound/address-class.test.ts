import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type AddressClass, addressClass, mayConnect } from './address-class.ts';

describe('the class of an address', () => {
  const rows: readonly (readonly [AddressClass, ...string[]])[] = [
    ['public', '8.8.8.8', '1.1.1.1', '172.15.255.255', '172.32.0.0', '100.63.255.255', '100.128.0.0', '198.20.0.0'],
    ['public', '2606:4700::1111', '2a00:1450:4001:82a::200e', '2003::1'],
    ['public', '::ffff:8.8.8.8', '::ffff:808:808', '64:ff9b::8.8.8.8'],
    ['loopback', '127.0.0.1', '127.255.255.254', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', '::ffff:7f00:1'],
    ['loopback', '0x7f.1', '0x7f000001', '2130706433', '017700000001', '127.1', '127.0.0.1.', '64:ff9b::7f00:1'],
    ['unspecified', '0.0.0.0', '0', '0.1.2.3', '::', '::ffff:0.0.0.0'],
    ['private', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '::ffff:192.168.1.1', '0300.0250.1.1'],
    ['shared', '100.64.0.1', '100.127.255.255', '64:ff9b::100.64.0.1'],
    ['unique_local', 'fc00::1', 'fdff:ffff::1', 'fd00:ec3::254'],
    ['link_local', '169.254.0.1', '169.254.169.253', 'fe80::1', 'fe80::1%eth0', 'febf::1', '::ffff:169.254.1.1'],
    ['metadata', '169.254.169.254', '169.254.170.2', '169.254.170.23', '100.100.100.200', '168.63.129.16'],
    ['metadata', 'fd00:ec2::254', 'fd00:ec2::23', 'fd20:ce::254', '::ffff:169.254.169.254', '::ffff:a9fe:a9fe'],
    ['metadata', '64:ff9b::169.254.169.254', '2852039166', '0xa9fea9fe', '0251.0376.0251.0376'],
    ['multicast', '224.0.0.1', '239.255.255.255', 'ff02::1'],
    ['benchmarking', '198.18.0.1', '198.19.255.255', '2001:2::1'],
    ['documentation', '192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1', '3fff::1'],
    ['reserved', '192.0.0.1', '192.0.0.192', '192.88.99.1', '240.0.0.1', '255.255.255.255'],
    ['reserved', 'fec0::1', '5f00::1', '4000::1', '100::1', '::ffff:0:8.8.8.8', '64:ff9b:1::808:808'],
    ['reserved', '::8.8.8.8', '::127.0.0.1', '2002:808:808::', '2002:7f00:1::', '2001:0:808:808::f7f7:f7f7'],
    ['reserved', '2001:0:4136:e378:8000:63bf:5601:5601', '64:ff9b:1:a9fe:a9:fe00::', '2001:10::1', '2001:20::1'],
    [
      'invalid',
      '',
      'localhost',
      'example.com',
      '1.2.3.4.5',
      '256.1.1.1',
      ':::',
      '::ffff:300.1.1.1',
      '8.8.8.8/24',
      'a b',
    ],
  ];
  for (const [expected, ...addresses] of rows) {
    for (const address of addresses) {
      it(`${JSON.stringify(address)} is ${expected}`, () => assert.equal(addressClass(address), expected));
    }
  }
});

/** From the registries once more, by arithmetic on whole addresses; the last that holds it decides. */
const SLOW: readonly (readonly [range: string, found: AddressClass])[] = [
  ['::/0', 'reserved'],
  ['2000::/3', 'public'],
  ['2001::/23', 'reserved'],
  ['2001:2::/48', 'benchmarking'],
  ['2001:db8::/32', 'documentation'],
  ['2002::/16', 'reserved'],
  ['3fff::/20', 'documentation'],
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['fc00::/7', 'unique_local'],
  ['fd00:ec2::/32', 'metadata'],
  ['fd20:ce::254/128', 'metadata'],
  ['fe80::/10', 'link_local'],
  ['ff00::/8', 'multicast'],
  ...['::ffff:0:0', '64:ff9b::'].flatMap((prefix) =>
    (
      [
        ['0.0.0.0/0', 'public'],
        ['0.0.0.0/8', 'unspecified'],
        ['10.0.0.0/8', 'private'],
        ['100.64.0.0/10', 'shared'],
        ['100.100.100.200/32', 'metadata'],
        ['127.0.0.0/8', 'loopback'],
        ['168.63.129.16/32', 'metadata'],
        ['169.254.0.0/16', 'link_local'],
        ['169.254.169.254/32', 'metadata'],
        ['169.254.170.2/32', 'metadata'],
        ['169.254.170.23/32', 'metadata'],
        ['172.16.0.0/12', 'private'],
        ['192.0.0.0/24', 'reserved'],
        ['192.0.2.0/24', 'documentation'],
        ['192.88.99.0/24', 'reserved'],
        ['192.168.0.0/16', 'private'],
        ['198.18.0.0/15', 'benchmarking'],
        ['198.51.100.0/24', 'documentation'],
        ['203.0.113.0/24', 'documentation'],
        ['224.0.0.0/4', 'multicast'],
        ['240.0.0.0/4', 'reserved'],
      ] as const
    ).map(([range, found]) => {
      const [network = '', bits] = range.split('/');
      const whole = bitsOf(prefix) | bitsOf(`::${groupsOf(network)}`);
      return [`${spell(whole)}/${96 + Number(bits)}`, found] as const;
    }),
  ),
];

function groupsOf(ipv4: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split('.').map(Number);
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

/** The 128 bits of an IPv6 address in hexadecimal groups. */
function bitsOf(address: string): bigint {
  const [head = '', tail] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const [before, after] = [groups(head), groups(tail ?? '')];
  const all = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => '0'), ...after];
  return all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

function spell(value: bigint): string {
  return Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16)).join(
    ':',
  );
}

const RANGES = SLOW.map(([range, found]) => {
  const [network = '', bits] = range.split('/');
  return [bitsOf(network), BigInt(128 - Number(bits)), found] as const;
});

function slowly(value: bigint): AddressClass {
  return RANGES.findLast(([network, shift]) => value >> shift === network >> shift)?.[2] ?? 'invalid';
}

const MAPPED = bitsOf('::ffff:0:0');
/** At the edges of every range, and anywhere. */
const anAddress = fc.oneof(
  fc
    .tuple(
      fc.constantFrom(...RANGES),
      fc.constantFrom('first', 'last', 'before', 'after', 'inside'),
      fc.bigInt(0n, 2n ** 128n),
    )
    .map(([[network, shift], where, random]) => {
      const size = 1n << shift;
      const at = { first: 0n, last: size - 1n, before: -1n, after: size, inside: random % size }[where] ?? 0n;
      return BigInt.asUintN(128, network + at);
    }),
  fc.bigInt(0n, 2n ** 128n - 1n),
  fc.bigInt(0n, 2n ** 32n - 1n).map((ipv4) => MAPPED | ipv4),
);

describe('the class of any address', () => {
  it('is what the registries say', () => {
    fc.assert(
      fc.property(anAddress, (value) => {
        assert.equal(addressClass(spell(value)), slowly(value));
        const compressed = URL.parse(`http://[${spell(value)}]/`)?.hostname.slice(1, -1) ?? '';
        assert.equal(addressClass(compressed), slowly(value));
        if (value >> 32n !== MAPPED >> 32n) return;
        const ipv4 = Number(value & 0xffffffffn);
        const octets = [24, 16, 8, 0].map((shift) => (ipv4 >>> shift) & 0xff);
        const notations = [octets.join('.'), String(ipv4), `0x${ipv4.toString(16)}`, `0${ipv4.toString(8)}`];
        for (const notation of notations) assert.equal(addressClass(notation), slowly(value), notation);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is never refused by a throw', () => {
    fc.assert(fc.property(fc.string(), (text) => void addressClass(text)));
  });
});

it('lets a network have its own addresses when that is said, and never those of hosts and clouds', () => {
  const classes = [...new Set(SLOW.map(([, found]) => found)), 'invalid'] as const;
  assert.deepEqual(
    classes.filter((found) => mayConnect(found, false)),
    ['public'],
  );
  assert.deepEqual(classes.filter((found) => mayConnect(found, true)).sort(), [
    'loopback',
    'private',
    'public',
    'shared',
    'unique_local',
  ]);
});
