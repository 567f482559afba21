import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleAccessBundle } from '../bundle/testing/example-bundles.ts';
import type { TenantSource } from '../bundle/types.ts';
import { compileAccess, type RequestFacts } from './access-evaluator.ts';
import { DEFAULT_PATH_MATCHING, normalizePath } from './normalize-path.ts';
import { isOwnTenant } from './tenant.ts';

const evaluator = compileAccess({
  ...exampleAccessBundle,
  rules: [
    { name: 'r', match: { hosts: [], paths: ['/t/{tenant}/**', '/q'], methods: [] }, allow: [{ authenticated: true }] },
  ],
});
const PATH: TenantSource = { source: 'path', name: 'tenant' };
const QUERY: TenantSource = { source: 'query', name: 'tenant_id' };
const HEADER: TenantSource = { source: 'header', name: 'x-tenant' };

interface Asked {
  readonly path?: string;
  readonly query?: string;
  readonly headers?: readonly string[];
}

function own(source: TenantSource, claim: unknown, { path = '/q', query = '', headers = [] }: Asked): boolean {
  const normalized = normalizePath(path, DEFAULT_PATH_MATCHING);
  assert(typeof normalized === 'string', path);
  const match = evaluator.findRule('h', normalized, 'GET');
  assert(match !== null, path);
  const facts: RequestFacts = { method: 'GET', query, headers, clientAddress: '192.0.2.1', receivedAt: 0 };
  return isOwnTenant(source, match, evaluator.identify({ sub: 'u', tenant_id: claim }), facts);
}

const cases: readonly [name: string, source: TenantSource, claim: unknown, asked: Asked, own: boolean][] = [
  ['the same', PATH, 'acme', { path: '/t/acme/x' }, true],
  ['another', PATH, 'acme', { path: '/t/evil/x' }, false],
  ['the same, encoded', PATH, 'acme', { path: '/t/%61c%6De/x' }, true],
  ['beyond ASCII, encoded', PATH, 'café', { path: '/t/caf%C3%A9/x' }, true],
  ['beyond ASCII, composed another way', PATH, 'café', { path: '/t/cafe%CC%81/x' }, false],
  ['encoded twice', PATH, 'acme', { path: '/t/%2561cme/x' }, false],
  ['in another case', PATH, 'acme', { path: '/t/ACME/x' }, false],
  ['up and down again', PATH, 'acme', { path: '/t/acme/%2e%2e/evil/x' }, false],
  ['another, and up to the own', PATH, 'acme', { path: '/t/evil/%2E./acme/x' }, true],
  ['the own one further down', PATH, 'acme', { path: '/t/evil/acme' }, false],
  ['a blank behind', PATH, 'acme', { path: '/t/acme%20/x' }, false],
  ['a parameter that the path has not', PATH, 'acme', {}, false],
  ['a token without tenant', PATH, undefined, { path: '/t/undefined/x' }, false],
  ['a token whose tenant is null', PATH, null, { path: '/t/null/x' }, false],
  ['an empty claim and an empty parameter', QUERY, '', { query: '?tenant_id=' }, false],
  ['a number and its digits', PATH, 7, { path: '/t/7/x' }, true],
  ['a number and other digits of it', PATH, 7, { path: '/t/07/x' }, false],
  ['a number that is none', PATH, 7.5, { path: '/t/7.5/x' }, false],
  ['a list with the tenant', PATH, ['acme'], { path: '/t/acme/x' }, false],
  ['an object', PATH, { a: 1 }, { path: '/t/%5Bobject%20Object%5D/x' }, false],
  ['a query', QUERY, 'acme', { query: '?a=1&tenant_id=acme' }, true],
  ['a query, encoded', QUERY, 'a c', { query: '?%74enant_id=a+c' }, true],
  ['a query with another', QUERY, 'acme', { query: '?tenant_id=evil' }, false],
  ['a query without', QUERY, 'acme', { query: '?a=1' }, false],
  ['a query with it twice', QUERY, 'acme', { query: '?tenant_id=acme&tenant_id=acme' }, false],
  ['a query with it twice, encoded', QUERY, 'acme', { query: '?tenant_id=acme&tenant%5Fid=evil' }, false],
  ['a query with a list', QUERY, 'acme', { query: '?tenant_id=acme&tenant_id[]=evil' }, false],
  ['a query with a member', QUERY, 'acme', { query: '?tenant_id=acme&tenant_id%5Bx%5D=evil' }, false],
  ['a query with it in another case', QUERY, 'acme', { query: '?tenant_id=acme&Tenant_ID=evil' }, false],
  ['a query with what PHP takes for it: dot', QUERY, 'acme', { query: '?tenant_id=acme&tenant.id=evil' }, false],
  ['a query with what PHP takes for it: bracket', QUERY, 'acme', { query: '?tenant_id=acme&tenant[id=evil' }, false],
  ['a query with what PHP takes for it: blank', QUERY, 'acme', { query: '?tenant_id=acme&+tenant_id=evil' }, false],
  ['a query with what PHP takes for it: NUL', QUERY, 'acme', { query: '?tenant_id=acme&tenant_id%00x=evil' }, false],
  ['a query with a semicolon', QUERY, 'acme', { query: '?a=1;tenant_id=evil&tenant_id=acme' }, false],
  ['a query with an encoded semicolon', QUERY, 'acme', { query: '?a=1%3Btenant_id=evil&tenant_id=acme' }, true],
  ['a query that is no UTF-8 elsewhere', QUERY, 'acme', { query: '?tenant_id=acme&a=%ff' }, false],
  ['a query with other parameters of its kind', QUERY, 'acme', { query: '?tenant_id=acme&tenant_id2=x&id=y' }, true],
  ['a header', HEADER, 'acme', { headers: ['x-a', 'b', 'x-tenant', 'acme'] }, true],
  ['a header with another', HEADER, 'acme', { headers: ['x-tenant', 'evil'] }, false],
  ['no header', HEADER, 'acme', { headers: ['x-a', 'acme'] }, false],
  ['a header twice', HEADER, 'acme', { headers: ['x-tenant', 'acme', 'x-tenant', 'acme'] }, false],
  ['a header that is a list', HEADER, 'acme', { headers: ['x-tenant', 'acme, evil'] }, false],
  ['a header and its twin', HEADER, 'acme', { headers: ['x-tenant', 'acme', 'x_tenant', 'evil'] }, false],
  ['the twin of a header alone', HEADER, 'acme', { headers: ['x_tenant', 'acme'] }, false],
  ['a header that is not ASCII', HEADER, 'caf\u00e9', { headers: ['x-tenant', 'caf\u00e9'] }, false],
];

for (const [name, source, claim, asked, expected] of cases) {
  test(`${name}: ${expected ? 'own' : 'refused'}`, () => assert.equal(own(source, claim, asked), expected));
}

test('nobody has no tenant', () => {
  const match = evaluator.findRule('h', '/t/acme/x', 'GET');
  const facts: RequestFacts = { method: 'GET', query: '', headers: [], clientAddress: '192.0.2.1', receivedAt: 0 };
  assert.equal(match !== null && isOwnTenant(PATH, match, null, facts), false);
});
