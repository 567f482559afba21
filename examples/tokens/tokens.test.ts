import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPolicies } from '../../cli/local/check-policies.ts';
import { readPolicyFiles } from '../../cli/local/policy-files.ts';

test('the example of tokens compiles, with a warning of the Redis that one machine does not need', async () => {
  const directory = import.meta.dirname;
  const choice = { directory, accessPolicy: null, rateLimitPolicy: null, redisUrl: null };
  const { policies, problems } = checkPolicies(await readPolicyFiles(directory), choice);
  assert.deepEqual(
    problems.map(({ severity, text }) => `${severity} ${/spec\.[\w.]+/.exec(text)?.[0]}`),
    ['warning spec.authentication.revocation'],
  );
  const { access, issuer } = policies?.compile(() => ({ serial: 1, verificationKeys: [] })) ?? {};
  assert.ok(access?.content?.tokens?.endpoints);
  assert.deepEqual(Object.keys(issuer?.users?.hashes ?? {}), ['ann', 'bob']);
});
