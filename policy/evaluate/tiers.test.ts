import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleAccessBundle } from '../bundle/testing/example-bundles.ts';
import { compileAccess, type RequestFacts } from './access-evaluator.ts';
import { compileTiers } from './tiers.ts';

const { identify } = compileAccess(exampleAccessBundle);
const FACTS: RequestFacts = { method: 'GET', query: '', headers: [], clientAddress: '192.0.2.1', receivedAt: 0 };

test('tier: the first that holds, by condition or by the tier claim; else authenticated', () => {
  const tierOf = compileTiers([
    { name: 'staff', when: 'claims.staff == true' },
    { name: 'premium' },
    { name: 'partner', when: 'claims.tier == "premium" || claims.partner == true' },
  ]);
  assert.equal(tierOf(null, FACTS), 'anonymous');
  assert.equal(tierOf(identify({}), FACTS), 'authenticated', 'conditions that err do not hold');
  assert.equal(tierOf(identify({ staff: true, tier: 'premium' }), FACTS), 'staff');
  assert.equal(tierOf(identify({ tier: 'premium' }), FACTS), 'premium');
  assert.equal(tierOf(identify({ partner: true }), FACTS), 'partner');
  assert.equal(tierOf(identify({ tier: 'unknown' }), FACTS), 'authenticated');
});

test('tier: a condition on claims alone is evaluated once a token, one on the request for every request', () => {
  let reads = 0;
  const claims = {
    get tier(): string {
      reads++;
      return 'premium';
    },
  };
  const byClaims = compileTiers([{ name: 'premium', when: 'claims.tier == "premium"' }]);
  const identity = { ...identify({}), claims };
  for (let request = 0; request < 3; request++) assert.equal(byClaims(identity, FACTS), 'premium');
  assert.equal(reads, 1);

  const byMethod = compileTiers([{ name: 'reader', when: 'method == "GET"' }]);
  assert.equal(byMethod(identity, FACTS), 'reader');
  assert.equal(byMethod(identity, { ...FACTS, method: 'POST' }), 'authenticated');
});

test('tier: a broken condition names its tier', () => {
  assert.throws(() => compileTiers([{ name: 'gold', when: 'claims.' }]), /tier "gold"/);
});
