import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { exampleLimitsBundle } from '../bundle/testing/example-bundles.ts';
import type { LimitConfig } from '../bundle/types.ts';
import { matchesHost, parseHostPattern } from './host-pattern.ts';
import { compileLimitMatcher } from './limit-matcher.ts';
import { decodedSegments } from './testing/decoded-segments.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 2000) };
const RATE = { limit: 10, windowMs: 60_000 };

function limit(
  name: string,
  match: Partial<LimitConfig['match']> = {},
  changes: Partial<LimitConfig> = {},
): LimitConfig {
  return {
    name,
    match: { hosts: [], paths: [], methods: [], ...match },
    key: ['user'],
    algorithm: 'SlidingWindow',
    rates: { anonymous: RATE, authenticated: RATE },
    burst: 0,
    onStoreFailure: 'LocalShare',
    ...changes,
  };
}

function compile(...limits: readonly LimitConfig[]) {
  return compileLimitMatcher({ ...exampleLimitsBundle, limits });
}

function names(list: readonly { readonly name: string }[]): string[] {
  return list.map(({ name }) => name);
}

test('limits: all that match apply, in their order; an empty match is everything', () => {
  const { bySubject } = compile(
    limit('all'),
    limit('orders', { paths: ['/orders', '/orders/**'] }),
    limit('login', { paths: ['/auth/login'], methods: ['POST'] }),
    limit('reads', { methods: ['GET'], hosts: ['*.example.com'] }),
  );
  const cases: readonly (readonly [host: string, method: string, path: string, expected: readonly string[]])[] = [
    ['h', 'POST', '/orders', ['all', 'orders']],
    ['h', 'POST', '/orders/7', ['all', 'orders']],
    ['h', 'POST', '/auth/login', ['all', 'login']],
    ['h', 'GET', '/auth/login', ['all']],
    ['a.example.com', 'GET', '/orders', ['all', 'orders', 'reads']],
    ['a.example.com', 'HEAD', '/x', ['all', 'reads']],
  ];
  for (const [host, method, path, expected] of cases) {
    assert.deepEqual(names(bySubject(host, path, method)), expected, `${method} ${host}${path}`);
  }
  assert.equal(bySubject('h', '/orders', 'POST'), bySubject('h', '/orders/7', 'POST'), 'one list a combination');
});

test('limits: by address only when the address is the whole key and all tiers share one rate', () => {
  const premium = { ...RATE, limit: 1000 };
  const matcher = compile(
    limit('login', {}, { key: ['ip'] }),
    limit('tiered', {}, { key: ['ip'], rates: { anonymous: RATE, authenticated: premium } }),
    limit('lenient', {}, { key: ['ip'], rates: { anonymous: RATE, authenticated: null } }),
    limit('windows', {}, { key: ['ip'], rates: { anonymous: RATE, authenticated: { ...RATE, windowMs: 1000 } } }),
    limit('both', {}, { key: ['ip', 'user'] }),
    limit('free', {}, { rates: { anonymous: null, authenticated: null } }),
  );
  assert.deepEqual(names(matcher.byAddress('h', '/', 'GET')), ['login']);
  assert.deepEqual(names(matcher.bySubject('h', '/', 'GET')), ['tiered', 'lenient', 'windows', 'both']);
  const [tiered, lenient] = matcher.bySubject('h', '/', 'GET');
  assert.equal(tiered?.counters.get('authenticated')?.plan.limit, 1000);
  assert.equal(lenient?.counters.get('authenticated'), null);
});

test('limits: plans carry all a store needs, and prefixes are unique per policy, limit and tier', () => {
  const matcher = compile(
    limit('bucket', {}, { algorithm: 'TokenBucket', burst: 100, cost: 3, onStoreFailure: 'Deny' }),
    limit('login', {}, { key: ['ip'] }),
  );
  const [bucket] = matcher.bySubject('h', '/', 'GET');
  assert.deepEqual(bucket?.counters.get('anonymous'), {
    plan: {
      name: 'bucket',
      algorithm: 'TokenBucket',
      limit: 10,
      windowMs: 60_000,
      burst: 100,
      cost: 3,
      onStoreFailure: 'Deny',
    },
    keyPrefix: 'trading/standard/bucket/anonymous/',
  });
  assert.equal(bucket?.counters.get('authenticated')?.keyPrefix, 'trading/standard/bucket/authenticated/');
  assert.equal(matcher.byAddress('h', '/', 'GET')[0]?.counter.keyPrefix, 'trading/standard/login/*/');
});

test('limits: a Reserved lane is apart, whatever its key', () => {
  const matcher = compile(
    limit('all', {}, { key: ['ip'] }),
    limit('cancel', { paths: ['/orders/{id}'], methods: ['DELETE'] }, { lane: 'Reserved', key: ['ip'] }),
  );
  assert.deepEqual(names(matcher.reserved('h', '/orders/7', 'DELETE')), ['cancel']);
  assert.deepEqual(names(matcher.byAddress('h', '/orders/7', 'DELETE')), ['all']);
  assert.deepEqual(names(matcher.bySubject('h', '/orders/7', 'DELETE')), []);
  assert.equal(matcher.isReservedCandidate('h', '/orders/7', 'DELETE'), true);
  assert.equal(matcher.isReservedCandidate('h', '/orders/7', 'GET'), false);
  assert.equal(compile(limit('all')).isReservedCandidate('h', '/orders/7', 'DELETE'), false);
});

test('limits: the path is read as the access policy reads it', () => {
  const bundle = { ...exampleLimitsBundle, limits: [limit('login', { paths: ['/auth/login'] })] };
  assert.deepEqual(names(compileLimitMatcher(bundle).bySubject('h', '/AUTH/login/', 'POST')), []);
  const loose = compileLimitMatcher(bundle, { case: 'Insensitive', trailingSlash: 'Ignore', parameters: 'Refuse' });
  assert.deepEqual(names(loose.bySubject('h', '/AUTH/login/', 'POST')), ['login']);
});

test('limits: a broken pattern names its limit', () => {
  assert.throws(() => compile(limit('x', { paths: ['no'] })), /limit "x": path pattern "no"/);
});

test('limits: agrees with a plain search, also beyond the number of remembered combinations', () => {
  const path = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 4 }).map((parts) => `/${parts.join('/')}`);
  const patterns = fc
    .tuple(fc.array(fc.constantFrom('a', 'b', '{}'), { maxLength: 3 }), fc.boolean())
    .map(
      ([parts, rest]) =>
        `/${[...parts.map((part, at) => (part === '{}' ? `{p${at}}` : part)), ...(rest ? ['**'] : [])].join('/')}`,
    );
  const match = fc.record({
    hosts: fc.subarray(['a.x', '*.x']),
    paths: fc.array(patterns, { maxLength: 2 }),
    methods: fc.subarray(['GET', 'POST', 'HEAD']),
  });
  const request = fc.tuple(fc.constantFrom('a.x', 'b.x', 'y'), path, fc.constantFrom('GET', 'POST', 'HEAD', 'PUT'));
  fc.assert(
    fc.property(fc.array(match, { maxLength: 6 }), fc.array(request, { maxLength: 10 }), (matches, requests) => {
      const limits = matches.map((one, index) => limit(`l${index}`, one));
      const { bySubject } = compile(...limits);
      for (const [host, raw, method] of requests) {
        const expected = limits.filter((one) => plainlyMatches(one.match, host, raw, method));
        assert.deepEqual(names(bySubject(host, raw, method)), names(expected));
      }
    }),
    RUNS,
  );
  const many = Array.from({ length: 12 }, (_, at) => {
    const segments = Array.from({ length: 12 }, (_unused, index) => (index === at ? 'a' : `{p${index}}`));
    return limit(`l${at}`, { paths: [`/${segments.join('/')}`] });
  });
  const { bySubject } = compile(...many);
  const allX = `/${'x/'.repeat(11)}x`;
  const first = bySubject('h', allX, 'GET');
  for (let bits = 0; bits < 4096; bits++) {
    const raw = `/${Array.from({ length: 12 }, (_, at) => ((bits >> at) & 1 ? 'a' : 'x')).join('/')}`;
    const expected = many.filter((_, at) => (bits >> at) & 1);
    assert.deepEqual(names(bySubject('h', raw, 'GET')), names(expected));
  }
  assert.notEqual(
    bySubject('h', allX, 'GET'),
    first,
    'combinations are forgotten, so that requests cannot fill the memory',
  );
});

function plainlyMatches(match: LimitConfig['match'], host: string, path: string, method: string): boolean {
  const { hosts, paths, methods } = match;
  const segments = decodedSegments(path);
  const hostMatches =
    hosts.length === 0 || hosts.map(parseHostPattern).some((one) => one.ok && matchesHost(one.value, host));
  const methodMatches =
    methods.length === 0 || methods.includes(method) || (method === 'HEAD' && methods.includes('GET'));
  const pathMatches =
    paths.length === 0 ||
    paths.some((pattern) => {
      const parts = pattern
        .split('/')
        .slice(1)
        .filter((part) => part !== '');
      const rest = parts.at(-1) === '**';
      if (rest) parts.pop();
      if (rest ? segments.length < parts.length : segments.length !== parts.length) return false;
      return parts.every((part, at) => part.startsWith('{') || part === segments[at]);
    });
  return hostMatches && methodMatches && pathMatches;
}
