import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { AccessBundle } from '../../policy/bundle/types.ts';
import type { BodyConfig } from '../../policy/evaluate/body/body-config.ts';
import { normalizePath } from '../../policy/evaluate/normalize-path.ts';
import {
  arbitraryClaims,
  arbitraryPolicy,
  arbitraryRequest,
} from '../../policy/evaluate/testing/arbitrary-policies.ts';
import { decodedSegments } from '../../policy/evaluate/testing/decoded-segments.ts';
import {
  REFERENCE_HEADERS,
  REFERENCE_NOW,
  referenceAuthorize,
  referenceFind,
} from '../../policy/evaluate/testing/reference-evaluator.ts';
import { createTokenVerifier } from '../tokens/verifier.ts';
import { compileExplain } from './explain.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 300) };

const JSON_TYPE = 'application/json';
const BODIES: Readonly<Record<string, { readonly type: string; readonly text: string }>> = {
  none: { type: JSON_TYPE, text: '' },
  one: { type: JSON_TYPE, text: '{"a":1}' },
  negative: { type: 'application/json; charset=utf-8', text: '{"a":-1}' },
  text: { type: JSON_TYPE, text: '{"a":"1"}' },
  half: { type: JSON_TYPE, text: '{"a":' },
  twice: { type: JSON_TYPE, text: '{"a":1,"\\u0061":1}' },
  form: { type: 'application/x-www-form-urlencoded', text: 'a=1' },
  long: { type: JSON_TYPE, text: `{"a":1${' '.repeat(64)}}` },
};
const NUMBER = { type: 'object', required: ['a'], properties: { a: { type: 'number' } } };

/** What rules demand, and what becomes of each body, worked out by hand; absent: it is let through. */
const DEMANDS: readonly { readonly config: BodyConfig; readonly refused: Readonly<Record<string, string>> }[] = [
  {
    config: { contentTypes: [JSON_TYPE], maxBytes: 64, schema: NUMBER, rules: [] },
    refused: {
      none: 'body_invalid',
      text: 'body_invalid',
      half: 'body_invalid',
      twice: 'body_invalid',
      form: 'unsupported_media_type',
      long: 'body_too_large',
    },
  },
  {
    config: {
      contentTypes: [JSON_TYPE, 'application/x-www-form-urlencoded'],
      maxBytes: 1_024,
      schema: null,
      rules: [{ rule: 'body.a > 0.0', message: 'a must be positive' }],
    },
    // In a form it is a text, which no number is compared with.
    refused: {
      none: 'body_invalid',
      negative: 'body_invalid',
      text: 'body_invalid',
      half: 'body_invalid',
      twice: 'body_invalid',
      form: 'body_invalid',
    },
  },
];

/** Some rules of a policy demand something of bodies: by the rule's index, that of the demand. */
function withBodies(policy: AccessBundle, demands: readonly (number | null)[]): AccessBundle {
  const rules = policy.rules.map((rule, index) => {
    const demand = demands[index] ?? null;
    return demand === null ? rule : { ...rule, body: DEMANDS[demand]!.config };
  });
  return { ...policy, rules };
}

it('all layers together come to the answer of a slow obvious reading: rule, allow, tenant, schedule and body (property)', async () => {
  const seen = new Map<string, number>();
  const asked = fc.record({
    // A twin with an underscore never gets this far.
    request: arbitraryRequest.filter(({ headers }) => headers !== 'twin'),
    claims: arbitraryClaims,
    body: fc.constantFrom(...Object.keys(BODIES)),
  });
  await fc.assert(
    fc.asyncProperty(
      arbitraryPolicy,
      fc.array(fc.constantFrom(null, 0, 1), { minLength: 8, maxLength: 8 }),
      fc.array(asked, { minLength: 1, maxLength: 12 }),
      async (bare, demands, requests) => {
        const access = withBodies(bare, demands);
        const verifier = createTokenVerifier([]); // claims are given
        const { decide } = await compileExplain({ access, limits: null, verifier, issuesTokens: false });
        for (const { request, claims, body: name } of requests) {
          const path = normalizePath(request.rawPath, access.pathMatching);
          if (typeof path !== 'string') continue;
          const plain = { ...request, segments: decodedSegments(path), slash: path.endsWith('/') && path !== '/' };
          const who = claims && {
            ...{ user: claims.sub ?? null, roles: claims.roles, tenant: claims.tenant_id || null },
            claims,
          };
          const found = referenceFind(access, plain);
          const answer = referenceAuthorize(access, found, who, plain);
          const demand = found === null ? null : (demands[found.index] ?? null);
          const unsent = name === 'none' && ['GET', 'HEAD', 'DELETE'].includes(request.method);
          const refused = demand === null || unsent ? undefined : DEMANDS[demand]?.refused[name];
          const expected =
            answer === 'Allow' ? (refused ?? null) : answer === 'unauthenticated' ? 'token_missing' : answer;

          const { fields } = REFERENCE_HEADERS[request.headers]!;
          const headers = fields.flatMap((field, at) => (at % 2 === 0 ? [[field, fields[at + 1]!] as const] : []));
          const { type, text } = BODIES[name]!;
          const { code, rule } = await decide(
            {
              ...{ method: request.method, target: request.rawPath + request.query, host: request.host },
              headers: [...headers, ['content-type', type]],
              ...{ client: request.ip, credential: claims && { claims }, body: text },
            },
            REFERENCE_NOW,
          );
          assert.deepEqual([rule, code], [found?.rule.name ?? null, expected]);
          seen.set(String(code), (seen.get(String(code)) ?? 0) + 1);
        }
      },
    ),
    RUNS,
  );
  const codes = ['null', 'token_missing', 'no_rule', 'forbidden', 'condition_error', 'tenant_mismatch'];
  const ofBodies = ['outside_schedule', 'body_invalid', 'body_too_large', 'unsupported_media_type'];
  for (const code of [...codes, ...ofBodies]) assert.ok(seen.has(code), `no example of ${code}`);
});
