import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareHosts, matchesHost, parseHostPattern } from './host-pattern.ts';
import { normalizeHost } from './normalize-host.ts';

const hosts: readonly (readonly [raw: string, expected: string | null])[] = [
  ['api.example.com', 'api.example.com'],
  ['API.Example.COM', 'api.example.com'],
  ['api.example.com.', 'api.example.com'],
  ['api.example.com:8443', 'api.example.com'],
  ['api.example.com.:8443', 'api.example.com'],
  ['localhost', 'localhost'],
  ['my_service-1', 'my_service-1'],
  ['10.0.0.1:80', '10.0.0.1'],
  ['[::1]', '[::1]'],
  ['[2001:DB8::1]:443', '[2001:db8::1]'],
  ['', null],
  ['.', null],
  ['.a', null],
  ['a..b', null],
  ['a..', null],
  ['a, b', null],
  ['a,b', null],
  ['a b', null],
  ['user@a', null],
  ['user:pw@a', null],
  ['a:', null],
  ['a:0', null],
  ['a:65536', null],
  ['a:80x', null],
  ['a:+80', null],
  ['a:80:80', null],
  ['::1', null],
  ['[::1', null],
  ['[::1]x', null],
  ['[::1]:', null],
  ['[fe80::1%eth0]', null],
  ['[127.0.0.1]', null],
  ['a%2eb', null],
  ['a/b', null],
  ['a\\b', null],
  ['b\xfccher.example', null],
  [`${'a'.repeat(64)}.example`, null],
  [`${'a.'.repeat(127)}a`, null],
];
for (const [raw, expected] of hosts) {
  test(`host: ${JSON.stringify(raw.slice(0, 40))}`, () => assert.equal(normalizeHost(raw), expected));
}

function parsed(text: string) {
  const result = parseHostPattern(text);
  assert.ok(result.ok, text);
  return result.value;
}

test('host pattern: exact and wildcard of one or more labels', () => {
  assert.ok(matchesHost(parsed('api.example.com'), 'api.example.com'));
  assert.ok(!matchesHost(parsed('api.example.com'), 'x.api.example.com'));
  const wildcard = parsed('*.example.com');
  for (const host of ['a.example.com', 'a.b.example.com']) assert.ok(matchesHost(wildcard, host), host);
  for (const host of ['example.com', '.example.com', 'badexample.com', 'a.example.com.evil']) {
    assert.ok(!matchesHost(wildcard, host), host);
  }
});

test('host pattern: what is no host is refused with the remedy', () => {
  for (const text of ['', '*', '*.', 'a.*', '*.*.a', 'API.x', 'a:80', 'a.', 'a b', '*example.com']) {
    const result = parseHostPattern(text);
    assert.ok(!result.ok, text);
    assert.match(result.message, /write a lower-case host/);
  }
});

test('host pattern: exact, longer wildcard, shorter wildcard, none', () => {
  const order = [parsed('a.b.example.com'), parsed('*.b.example.com'), parsed('*.example.com'), null];
  assert.deepEqual([...order].reverse().sort(compareHosts), order);
});
