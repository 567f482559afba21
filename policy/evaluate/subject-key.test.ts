import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { exampleAccessBundle } from '../bundle/testing/example-bundles.ts';
import type { LimitKey } from '../bundle/types.ts';
import { compileAccess } from './access-evaluator.ts';
import { compileSubjectKey } from './subject-key.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 2000) };
const { identify } = compileAccess(exampleAccessBundle);
const user = identify({ sub: 'u1' });
const member = identify({ sub: 'u1', tenant_id: 't1' });
const bare = identify({});

test('subject: what a key falls back to', () => {
  const cases: readonly (readonly [LimitKey, typeof user | null, string])[] = [
    ['ip', member, 'ip=192.0.2.1'],
    ['user', member, 'user=u1'],
    ['user', bare, 'ip=192.0.2.1'],
    ['user', null, 'ip=192.0.2.1'],
    ['tenant', member, 'tenant=t1'],
    ['tenant', user, 'user=u1'],
    ['tenant', bare, 'ip=192.0.2.1'],
    ['tenant', null, 'ip=192.0.2.1'],
    ['tier', null, 'tier=gold'],
    ['rule', user, 'rule=orders'],
    ['claim:desk', identify({ sub: 'u1', desk: 'fx' }), 'claim=fx'],
    ['claim:desk', identify({ sub: 'u1', desk: 7 }), 'claim=7'],
    ['claim:desk', identify({ sub: 'u1', desk: 1.5 }), 'claim=1.5'],
    ['claim:desk', identify({ sub: 'u1', desk: false }), 'claim=false'],
    ['claim:desk', identify({ sub: 'u1', desk: '' }), 'user=u1'],
    ['claim:desk', identify({ sub: 'u1', desk: ['fx'] }), 'user=u1'],
    ['claim:desk', identify({ sub: 'u1', desk: { a: 'fx' } }), 'user=u1'],
    ['claim:desk', identify({ sub: 'u1', desk: 2 ** 53 }), 'user=u1'],
    ['claim:toString', user, 'user=u1'],
    ['claim:desk', bare, 'ip=192.0.2.1'],
    ['claim:desk', null, 'ip=192.0.2.1'],
  ];
  for (const [key, identity, expected] of cases)
    assert.equal(compileSubjectKey([key])('192.0.2.1', identity, 'gold', 'orders'), expected);
});

test('subject: a separator inside a name moves nothing from one part to the next', () => {
  const one = identify({ tenant_id: 'a|user=b', sub: 'c' });
  const other = identify({ tenant_id: 'a', sub: 'b|user=c' });
  const subject = compileSubjectKey(['tenant', 'user']);
  assert.notEqual(subject('', one, '', ''), subject('', other, '', ''));
});

test('subject: two subjects never share a key', () => {
  const name = fc.option(fc.string({ unit: fc.constantFrom('a', '|', ':', '=', '1', 'user', 'ip'), maxLength: 6 }));
  const subject = fc.record({ sub: name, tenant_id: name, address: fc.constantFrom('192.0.2.1', '2001:db8:0:0::/64') });
  const keys = fc.uniqueArray(fc.constantFrom<LimitKey>('ip', 'user', 'tenant'), { minLength: 1 });
  fc.assert(
    fc.property(keys, subject, subject, (key, one, other) => {
      const [a, b] = [one, other].map((made) => {
        const identity = identify({ sub: made.sub, tenant_id: made.tenant_id });
        const { user, tenant } = identity;
        const address = `address ${made.address}`;
        const parts = key.map((kind) => {
          if (kind === 'ip') return address;
          if (kind === 'tenant' && tenant !== null) return `tenant ${tenant}`;
          return user === null ? address : `user ${user}`;
        });
        return { text: compileSubjectKey(key)(made.address, identity, '', ''), parts: JSON.stringify(parts) };
      });
      assert.equal(a!.text === b!.text, a!.parts === b!.parts);
    }),
    RUNS,
  );
});
