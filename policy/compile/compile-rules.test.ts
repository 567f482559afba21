import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessPolicy } from '../api/access-policy.ts';
import { decodeResource } from '../api/decode.ts';
import { formatPath } from '../api/problem.ts';
import { API_VERSION } from '../api/resource.ts';
import { compileRoles } from './compile-roles.ts';
import { compileRules } from './compile-rules.ts';
import { Findings } from './finding.ts';

const HOURS = { open: ['Mon-Fri 09:30-16:00'] };

function compile(rule: object) {
  const spec = {
    authentication: { jwt: [{ name: 'trading', keySetRef: { name: 'trading' } }] },
    rules: [{ name: 'r', match: { paths: ['/{tenant}/**'] }, allow: [{ authenticated: true }], ...rule }],
  };
  const decoded = decodeResource({ apiVersion: API_VERSION, kind: 'AccessPolicy', metadata: { name: 'p' }, spec });
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  const findings = new Findings();
  const policy = (decoded.resource as AccessPolicy).spec;
  const [compiled] = compileRules(policy, compileRoles(policy.roles, findings), findings, () => null);
  return { compiled, said: findings.all.map(({ path, message }) => `${formatPath(path)}: ${message}`) };
}

test('a rule without tenant and schedule has no such members, so that older sidecars read it', () => {
  assert.deepEqual(Object.keys(compile({}).compiled!), ['name', 'match', 'allow']);
});

const good: readonly [rule: object, compiled: object][] = [
  [{ tenant: { from: 'path.tenant' } }, { tenant: { source: 'path', name: 'tenant' } }],
  [{ tenant: { from: 'query.Tenant-ID' } }, { tenant: { source: 'query', name: 'Tenant-ID' } }],
  [{ tenant: { from: 'header.X-Tenant' } }, { tenant: { source: 'header', name: 'x-tenant' } }],
  [{ schedule: HOURS }, { schedule: { timezone: 'UTC', ...HOURS, closed: [] } }],
  [
    { allow: [{ anonymous: true }], schedule: { ...HOURS, timezone: 'Asia/Tokyo', closed: ['2027-01-01'] } },
    { allow: [{ anonymous: true }], schedule: { timezone: 'Asia/Tokyo', ...HOURS, closed: ['2027-01-01'] } },
  ],
];

for (const [rule, expected] of good) {
  test(`takes ${JSON.stringify(rule)}`, () => {
    const { compiled, said } = compile(rule);
    assert.deepEqual(said, []);
    assert.deepEqual({ ...compiled, ...expected }, compiled);
  });
}

const refused: readonly [rule: object, said: readonly (string | RegExp)[]][] = [
  [
    { tenant: { from: 'path.tenants' } },
    [
      'spec.rules[0].tenant.from: reads path.tenants, but /{tenant}/** has no {tenants}; name the parameter so, or split the rule',
    ],
  ],
  [
    { match: { paths: ['/{tenant}/a', '/{other}/b'] }, tenant: { from: 'path.tenant' } },
    [/^spec\.rules\[0\]\.tenant\.from: reads path\.tenant, but \/\{other\}\/b has no/],
  ],
  [
    { allow: [{ authenticated: true }, { anonymous: true }], tenant: { from: 'path.tenant' } },
    [
      'spec.rules[0].tenant: allow[1] lets in requests without an identity, and they have no tenant; leave tenant out, or split the rule',
    ],
  ],
  [
    { schedule: { timezone: 'Mars', open: ['Mon-Fri 09:30-16:00', 'Mon 9-10'], closed: ['2026-12-25', '2026-02-30'] } },
    [
      /^spec\.rules\[0\]\.schedule\.timezone: "Mars" is no time zone; write an IANA name/,
      /^spec\.rules\[0\]\.schedule\.open\[1\]: "Mon 9-10": write days and hours such as/,
      /^spec\.rules\[0\]\.schedule\.closed\[1\]: "2026-02-30" is no date; write one such as/,
    ],
  ],
];

for (const [rule, expected] of refused) {
  test(`refuses ${JSON.stringify(rule)}`, () => {
    const { said } = compile(rule);
    assert.equal(said.length, expected.length, said.join('\n'));
    for (const [at, text] of expected.entries()) {
      if (typeof text === 'string') assert.equal(said[at], text);
      else assert.match(said[at]!, text);
    }
  });
}
