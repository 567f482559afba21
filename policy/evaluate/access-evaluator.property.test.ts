import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileAccess, type RequestFacts } from './access-evaluator.ts';
import { normalizePath } from './normalize-path.ts';
import { arbitraryClaims, arbitraryPolicy, arbitraryRequest, ROLES } from './testing/arbitrary-policies.ts';
import { decodedSegments } from './testing/decoded-segments.ts';
import {
  REFERENCE_HEADERS,
  REFERENCE_NOW,
  type ReferenceRequest,
  referenceAuthorize,
  referenceFind,
} from './testing/reference-evaluator.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 3000) };
function factsOf({ method, ip, query, headers }: Omit<ReferenceRequest, 'segments' | 'slash'>): RequestFacts {
  const { fields } = REFERENCE_HEADERS[headers]!;
  return { method, query, headers: fields, clientAddress: ip, receivedAt: REFERENCE_NOW };
}

test('the compiled evaluator finds the rule and comes to the answer of a slow obvious one', () => {
  const answers = new Map<string, number>();
  fc.assert(
    fc.property(
      arbitraryPolicy,
      fc.array(fc.tuple(arbitraryRequest, arbitraryClaims), { minLength: 1, maxLength: 8 }),
      (policy, requests) => {
        const evaluator = compileAccess(policy);
        for (const [made, token] of requests) {
          const path = normalizePath(made.rawPath, policy.pathMatching);
          if (typeof path !== 'string') continue;
          const plain: ReferenceRequest = {
            ...made,
            segments: decodedSegments(path),
            slash: path.endsWith('/') && path !== '/',
          };
          const who =
            token === null
              ? null
              : { user: token.sub ?? null, roles: token.roles, tenant: token.tenant_id || null, claims: token };
          const expected = referenceFind(policy, plain);
          const found = evaluator.findRule(made.host, path, made.method);
          assert.equal(found?.name, expected?.rule.name);
          assert.deepEqual({ ...found?.params }, { ...expected?.params });
          const answer = evaluator.authorize(found, token === null ? null : evaluator.identify(token), factsOf(made));
          assert.equal(answer, referenceAuthorize(policy, expected, who, plain));
          answers.set(answer, (answers.get(answer) ?? 0) + 1);
        }
      },
    ),
    RUNS,
  );
  for (const answer of [
    'Allow',
    'unauthenticated',
    'no_rule',
    'forbidden',
    'condition_error',
    'tenant_mismatch',
    'outside_schedule',
  ]) {
    assert.ok((answers.get(answer) ?? 0) > 0, `the generator never led to ${answer}`);
  }
});

test('adding a role never removes a permission', () => {
  fc.assert(
    fc.property(
      arbitraryPolicy,
      arbitraryRequest,
      fc.subarray(ROLES),
      fc.constantFrom(...ROLES),
      (policy, made, roles, added) => {
        const evaluator = compileAccess(policy);
        const path = normalizePath(made.rawPath, policy.pathMatching);
        fc.pre(typeof path === 'string');
        const match = evaluator.findRule(made.host, path, made.method);
        const before = evaluator.identify({ sub: 'u1', tenant_id: 'a', roles });
        const after = evaluator.identify({ sub: 'u1', tenant_id: 'a', roles: [...roles, added] });
        for (const [word, bits] of before.permissions.permissions.entries()) {
          assert.equal(bits & ~after.permissions.permissions[word]!, 0);
        }
        if (evaluator.authorize(match, before, factsOf(made)) === 'Allow') {
          assert.equal(evaluator.authorize(match, after, factsOf(made)), 'Allow');
        }
      },
    ),
    RUNS,
  );
});
