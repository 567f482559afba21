import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tokenAttacks } from './testing/token-attacks.ts';
import { createTokenVerifier } from './verifier.ts';

const NOW = 1_800_000_000_000;
const { authenticators, attacks } = tokenAttacks(NOW);

describe('tokens an attacker tries, each beside its honest twin', () => {
  for (const [name, attack, refusal, honest] of attacks) {
    it(name, async () => {
      const verifier = createTokenVerifier(authenticators);
      assert.equal(await verifier.verify(attack, NOW), refusal);
      assert.equal(verifier.cachedTokens, 0, 'a refused token is not remembered');
      const verdict = await verifier.verify(honest, NOW);
      assert.ok(typeof verdict === 'object', `the honest twin was refused: ${JSON.stringify(verdict)}`);
      assert.equal(await verifier.verify(attack, NOW), refusal, 'also beside a cached honest token');
    });
  }
});
