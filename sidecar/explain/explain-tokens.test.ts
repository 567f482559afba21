import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { exampleAccessBundle } from '../../policy/bundle/testing/example-bundles.ts';
import type { TokenEndpoints } from '../../policy/bundle/tokens.ts';
import { createTokenVerifier } from '../tokens/verifier.ts';
import { explain } from './explain.ts';

const endpoints: TokenEndpoints = {
  issuer: 'https://auth.trading.example',
  audiences: ['trading-api'],
  kids: ['k1'],
  accessLifetimeMs: 900_000,
  refreshLifetimeMs: 3_600_000,
  refreshGraceMs: 10_000,
  clockSkewMs: 60_000,
  login: { path: '/auth/login', upstream: null },
  register: null,
  refresh: null,
  logout: { path: '/auth/logout' },
  delivery: 'Body',
};
const access = {
  ...exampleAccessBundle,
  store: null,
  jwt: [],
  rules: [
    { name: 'auth', match: { hosts: [], paths: ['/auth/**'], methods: [] }, allow: [{ anonymous: true as const }] },
  ],
  tokens: { keySet: 'auth/trading', keySetSerial: 1, jwksPath: '/jwks', jwksMaxAgeMs: 0, jwks: null, endpoints },
};

describe('explain: token endpoints', () => {
  for (const [method, target, issuesTokens, mode, layer, status] of [
    ['POST', '/auth/login', true, 'Enforce', 'answer', 200],
    ['POST', '/auth/logout', true, 'Enforce', 'answer', 200],
    ['GET', '/auth/login', true, 'Enforce', 'post_only', 405],
    ['POST', '/auth/refresh', true, 'Enforce', 'pass', null],
    ['POST', '/auth/login', false, 'Enforce', 'tokens_not_issued', 404],
    ['POST', '/auth/login', true, 'Shadow', undefined, null],
  ] as const) {
    it(`${method} ${target}, ${mode}, where ${issuesTokens ? '' : 'no '}tokens are issued: ${layer}`, async () => {
      const policies = {
        access: { ...access, mode },
        limits: null,
        verifier: createTokenVerifier([]),
        issuesTokens,
      };
      const request = { method, target, host: 'localhost', headers: [], client: '192.0.2.1', credential: null };
      const explanation = await explain(policies, request, 1_800_000_000_000);
      const found = explanation.layers.find(({ layer: name }) => name === 'token-endpoint');
      assert.deepEqual([found?.decision, explanation.status], [layer, status]);
    });
  }
});
