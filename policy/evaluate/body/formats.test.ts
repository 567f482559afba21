import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FORMATS } from './formats.ts';

const cases: readonly (readonly [format: string, good: readonly string[], bad: readonly string[]])[] = [
  [
    'date',
    ['2026-03-02', '2024-02-29', '2000-02-29'],
    ['2026-02-29', '1900-02-29', '2026-13-01', '2026-04-31', '2026-3-2', '2026-03-00'],
  ],
  ['time', ['12:00:00Z', '23:59:60.5+01:00'], ['12:00:00', '24:00:00Z', '12:60:00Z', '12:00Z', '12:00:00+24:00']],
  [
    'date-time',
    ['2026-03-02T12:00:00Z', '2026-03-02t12:00:00.123456789z', '2026-03-02T12:00:00-05:30'],
    ['2026-03-02 12:00:00Z', '2026-03-02T12:00:00', '2026-02-30T12:00:00Z', '2026-03-02T12:00:00Z\n', '1772452800'],
  ],
  ['duration', ['P1D', 'PT1H30M', 'P1Y2M3DT4H5M6S', 'P2W'], ['P', 'PT', 'P1DT', '1D', 'P1W2D', 'PT1D']],
  [
    'email',
    ['a@b', 'first.last+tag@mail.example.com'],
    ['a', '@b', 'a@', 'a@b@c', 'a b@c', '.a@b', 'a..b@c', 'a@b..c', 'a@-b', 'a@b\n', '"a b"@c', `${'a'.repeat(65)}@b`],
  ],
  ['hostname', ['localhost', 'a-b.example.com', '1.2'], ['', '-a', 'a-', 'a_b', 'a..b', 'a.', 'é.com', 'x'.repeat(64)]],
  ['ipv4', ['127.0.0.1', '255.255.255.255'], ['127.1', '256.0.0.1', '01.2.3.4', '1.2.3.4 ', '0x7f.0.0.1']],
  ['ipv6', ['::1', '2001:db8::1', '::ffff:1.2.3.4'], ['fe80::1%eth0', ':::', '1::2::3', '[::1]', '127.0.0.1']],
  [
    'uri',
    ['https://a.example/x?y=%20#z', 'urn:isbn:1', 'mailto:a@b', 'http://[::1]:80/'],
    [
      '',
      '/x',
      '//a/b',
      'https://a b',
      'https://a\\b',
      'https://é.com',
      'https://a/%zz',
      'https://',
      'http://a:99999/',
      ' https://a',
      'a<b>:x',
    ],
  ],
  [
    'uuid',
    ['6fa459ea-ee8a-4ca4-894e-db77e160355e', '6FA459EA-EE8A-4CA4-894E-DB77E160355E'],
    [
      '6fa459eaee8a4ca4894edb77e160355e',
      '6fa459ea-ee8a-4ca4-894e-db77e160355g',
      '{6fa459ea-ee8a-4ca4-894e-db77e160355e}',
    ],
  ],
];
test('every format is in the table', () =>
  assert.deepEqual(cases.map(([name]) => name).sort(), Object.keys(FORMATS).sort()));
for (const [format, good, bad] of cases) {
  const check = FORMATS[format]!;
  for (const text of good) test(`${format}: ${text}`, () => assert.equal(check(text), true));
  for (const text of bad)
    test(`not ${format}: ${JSON.stringify(text.slice(0, 40))}`, () => assert.equal(check(text), false));
}

test('no format takes longer than a text of a megabyte needs to be read', () => {
  const texts = ['a', '1', '.', 'a.', 'a@', '1:', 'P1Y', '%20', 'x:%', '-', 'a-'].flatMap((part) => [
    part.repeat(1_000_000 / part.length),
    `a@${part.repeat(1_000_000 / part.length)}!`,
    `x:${part.repeat(1_000_000 / part.length)}!`,
  ]);
  for (const [name, check] of Object.entries(FORMATS)) {
    for (const text of texts) {
      const started = performance.now();
      check(text);
      assert.ok(performance.now() - started < 500, `${name} on ${text.slice(0, 8)}…`);
    }
  }
});
