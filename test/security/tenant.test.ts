import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Attack, describeAttacks, describeWithSidecar, request } from '../support/attack-table.ts';
import { send } from '../support/raw-http.ts';
import { rule, type SidecarUnderTest } from '../support/sidecar-under-test.ts';

const isolated = (name: string, path: string, source: 'path' | 'query' | 'header', from: string) => ({
  ...rule(name, [path], [{ authenticated: true }]),
  tenant: { source, name: from },
});
const rules = [
  isolated('path', '/t/{tenant}/**', 'path', 'tenant'),
  isolated('query', '/q', 'query', 'tenant'),
  isolated('header', '/h', 'header', 'x-tenant'),
];

/** Of tenant acme, and admin: that exempts nobody. */
function get(target: string, ...headers: readonly string[]) {
  return (sut: SidecarUnderTest): string => {
    const token = sut.token({ tenant_id: 'acme', roles: ['admin'] });
    return request(`GET ${target} HTTP/1.1`, 'Host: api.example', `Authorization: Bearer ${token}`, ...headers);
  };
}

type Row = readonly [name: string, attack: ReturnType<typeof get>, honest: ReturnType<typeof get>];
const attacks: readonly Row[] = [
  ['another tenant', get('/t/evil/orders'), get('/t/acme/orders')],
  ['down and up to another', get('/t/acme/../evil/orders'), get('/t/evil/../acme/orders')],
  ['encoded dots', get('/t/acme/%2e%2e/evil/orders'), get('/t/acme/%2e/orders')],
  ['another case', get('/t/Acme/orders'), get('/t/%61cme/orders')],
  ['encoded twice', get('/t/%2561cme/orders'), get('/t/%61cme/orders')],
  ['slashes before another', get('//t//evil/acme'), get('//t//acme/evil')],
  ['an absolute target', get('http://api.example/t/evil/x'), get('http://api.example/t/acme/x')],
  ['no parameter', get('/q'), get('/q?tenant=acme')],
  ['a parameter twice', get('/q?tenant=acme&tenant=evil'), get('/q?tenant=acme&other=evil')],
  ['a parameter twice, encoded', get('/q?tenant=acme&%74enant=evil'), get('/q?%74enant=acme')],
  ['a list', get('/q?tenant=acme&tenant[]=evil'), get('/q?tenant=acme&other[]=evil')],
  ['behind a semicolon', get('/q?a=1;tenant=evil&tenant=acme'), get('/q?a=1&tenant=acme')],
  ['no header', get('/h'), get('/h', 'X-Tenant: acme')],
  ['a header twice', get('/h', 'X-Tenant: acme', 'x-tenant: acme'), get('/h', 'x-tenant:  acme ')],
  ['a header as a list', get('/h', 'X-Tenant: acme,evil'), get('/h', 'X-Tenant: acme')],
  [
    'a twin with an underscore',
    get('/h', 'X-Tenant: acme', 'X_Tenant: evil'),
    get('/h', 'X-Tenant: acme', 'X_T: evil'),
  ],
  ['a header that is dropped', get('/h', 'X-Tenant: acme', 'Connection: x-tenant'), get('/h', 'X-Tenant: acme')],
];

describeAttacks(
  'tenant: refused',
  { access: { rules } },
  attacks.map(([name, attack, honest]): Attack => ({ name, attack, honest, status: 403, keepsConnection: true })),
);

describeWithSidecar('tenant: by the token', { access: { rules } }, (sut) => {
  const cases: readonly (readonly [name: string, claims: Record<string, unknown>, tenant: string, status: number])[] = [
    ['its own', { tenant_id: 'acme' }, 'acme', 200],
    ['none', {}, 'acme', 403],
    ['empty', { tenant_id: '' }, 'acme', 403],
    ['null', { tenant_id: null }, 'null', 403],
    ['a number', { tenant_id: 7 }, '7', 200],
    ['a number, other digits', { tenant_id: 7 }, '7.0', 403],
    ['a list that has it', { tenant_id: ['acme'] }, 'acme', 403],
    ['an object that has it', { tenant_id: { acme: true } }, 'acme', 403],
  ];
  for (const [name, claims, tenant, status] of cases) {
    it(`${name}: ${status}`, async () => {
      const head = [`GET /t/${tenant}/x HTTP/1.1`, 'Host: h', `Authorization: Bearer ${sut().token(claims)}`];
      const answer = await send(sut().port, request(...head));
      assert.equal(answer.status, status);
      if (status === 200) return;
      assert.match(answer.body, /"code":"tenant_mismatch"/);
      assert.doesNotMatch(answer.body, /acme/, 'neither tenant is named');
    });
  }

  it('without a token: 401, whatever the tenant', async () => {
    assert.equal((await send(sut().port, request('GET /t/evil/x HTTP/1.1', 'Host: h'))).status, 401);
  });
});

const hours = (...open: readonly string[]) => ({ schedule: { timezone: 'UTC', open, closed: [] } });
const everyone = [{ anonymous: true }] as const;
const scheduled = [
  { ...rule('always', ['/always'], everyone), ...hours('Sun-Sat 00:00-24:00') },
  { ...rule('never', ['/never'], everyone), schedule: { ...hours('Sun-Sat 00:00-24:00').schedule, closed: around() } },
];

/** Yesterday, today and tomorrow: closed at any hour that this test may run at. */
function around(): string[] {
  return [-1, 0, 1].map((days) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10));
}

describeWithSidecar('schedule', { access: { rules: scheduled } }, (sut) => {
  for (const [path, status] of [
    ['/always', 200],
    ['/never', 403],
  ] as const) {
    it(`${path}: ${status}`, async () => {
      const answer = await send(sut().port, request(`GET ${path} HTTP/1.1`, 'Host: h'));
      assert.equal(answer.status, status);
      assert.equal(/"code":"outside_schedule"/.test(answer.body), status === 403);
    });
  }
});
