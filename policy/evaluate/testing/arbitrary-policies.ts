import fc from 'fast-check';
import { exampleAccessBundle } from '../../bundle/testing/example-bundles.ts';
import type { AccessBundle, AccessRule, AllowEntry, TenantSource } from '../../bundle/types.ts';
import { REFERENCE_CONDITIONS, REFERENCE_HEADERS, REFERENCE_OPEN, REFERENCE_QUERIES } from './reference-evaluator.ts';

const HOSTS = ['a.x', 'b.a.x', 'c.b.a.x', 'y'];
/** Roles that tokens of the tests name; the last is declared nowhere. */
export const ROLES = ['r1', 'r2', 'r3', 'undeclared'];
const PERMISSIONS = Array.from({ length: 40 }, (_, index) => `p${index}`);

const literal = fc.constantFrom('a', 'b', 'A', 'a:b', 'caf%C3%A9');
const pattern = fc
  .record({
    parts: fc.array(fc.oneof({ weight: 2, arbitrary: literal }, { weight: 1, arbitrary: fc.constant('{}') }), {
      maxLength: 3,
    }),
    end: fc.constantFrom('', '', '/', '/**'),
  })
  .map(({ parts, end }) => {
    const names = ['x', 'y', 'z'];
    const text = parts.map((part) => (part === '{}' ? `/{${names.shift()}}` : `/${part}`)).join('');
    return text === '' ? `/${end.slice(1)}` : text + end;
  });
const entry: fc.Arbitrary<AllowEntry> = fc.record(
  {
    anonymous: fc.constant(true as const),
    authenticated: fc.constant(true as const),
    roles: fc.subarray(ROLES, { minLength: 1 }),
    permissions: fc.subarray(PERMISSIONS, { minLength: 1, maxLength: 3 }),
    when: fc.constantFrom(...Object.keys(REFERENCE_CONDITIONS)),
  },
  { requiredKeys: [] },
);
const tenant = fc.constantFrom<TenantSource>(
  { source: 'path', name: 'x' },
  { source: 'query', name: 't' },
  { source: 'header', name: 'x-t' },
);
const schedule = fc
  .constantFrom(...Object.keys(REFERENCE_OPEN))
  .map((window) => ({ timezone: 'America/New_York', open: [window], closed: ['2026-11-21'] }));
const matchedAndAllowed = fc.record({
  match: fc.record({
    hosts: fc.subarray(['a.x', '*.x', '*.a.x', 'y'], { maxLength: 2 }),
    paths: fc.array(pattern, { maxLength: 3 }),
    methods: fc.subarray(['GET', 'POST', 'HEAD'], { maxLength: 2 }),
  }),
  allow: fc.array(entry, { minLength: 1, maxLength: 3 }),
});
const restrictions: fc.Arbitrary<Pick<AccessRule, 'tenant' | 'schedule'>> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.record({ tenant, schedule }, { requiredKeys: [] }) },
);
/** Policies whose rules overlap, with conditions, tenants and hours that the reference knows. */
export const arbitraryPolicy: fc.Arbitrary<AccessBundle> = fc
  .record({
    roles: fc.tuple(...ROLES.slice(0, 3).map((name) => rolePermissions(name))),
    rules: fc.array(fc.tuple(matchedAndAllowed, restrictions), { maxLength: 8 }),
    pathMatching: fc.record({
      case: fc.constantFrom('Sensitive' as const, 'Insensitive' as const),
      trailingSlash: fc.constantFrom('Strict' as const, 'Ignore' as const),
      parameters: fc.constant('Refuse' as const),
    }),
  })
  .map(({ roles, rules, pathMatching }) => ({
    ...exampleAccessBundle,
    roles,
    rules: rules.map(([rule, restricted], index) => ({ name: `rule-${index}`, ...rule, ...restricted })),
    pathMatching,
  }));
/** Requests that such rules are about, or nearly. */
export const arbitraryRequest = fc.record({
  host: fc.constantFrom(...HOSTS),
  rawPath: fc
    .array(fc.constantFrom('a', 'b', 'A', '%41', 'a:b', 'a%3ab', 'caf%C3%A9', 'CAF%c3%a9', '..', '%2e', 'other'), {
      maxLength: 4,
    })
    .chain((parts) => fc.constantFrom(`/${parts.join('/')}`, `/${parts.join('/')}/`)),
  method: fc.constantFrom('GET', 'POST', 'HEAD', 'DELETE'),
  ip: fc.constantFrom('10.0.0.1', '192.0.2.1'),
  query: fc.constantFrom(...Object.keys(REFERENCE_QUERIES)),
  headers: fc.constantFrom(...Object.keys(REFERENCE_HEADERS)),
});
/** Claims of a token; null: there is none. */
export const arbitraryClaims = fc.option(
  fc.record(
    {
      sub: fc.constantFrom('u1', 'a', 'b'),
      tenant_id: fc.constantFrom('a', 'A', 'café', ''),
      roles: fc.subarray(ROLES),
    },
    { requiredKeys: ['roles'] },
  ),
);

function rolePermissions(name: string) {
  const permissions = fc.oneof(
    { weight: 4, arbitrary: fc.subarray(PERMISSIONS) },
    { weight: 1, arbitrary: fc.constant(['*']) },
  );
  return permissions.map((list) => ({ name, permissions: list }));
}
