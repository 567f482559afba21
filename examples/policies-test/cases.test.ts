import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadPolicies } from '../../cli/explain/load-policies.ts';
import { choiceOf } from '../../cli/explain/policy-flags.ts';
import { memoryIo } from '../../cli/keys/testing/memory-io.ts';
import { runTest } from '../../cli/policy-test/run-test.ts';

const policies = fileURLToPath(new URL('../policies', import.meta.url));
const file = fileURLToPath(new URL('cases.yaml', import.meta.url));

interface Report {
  readonly failed: number;
  readonly cases: readonly { readonly actual: { readonly decision: string; readonly rule: string | null } }[];
}

describe('examples/policies-test', () => {
  it('passes', async () => {
    const io = memoryIo(Date.now);
    assert.equal(await runTest(['--policies', policies, file], io), 0, io.out());
    assert.match(io.out(), /^\d+ passed, 0 failed\n$/);
    assert.equal(io.err(), '');
  });

  it('has for every rule a request that it lets in, and for every one that is not for everybody one that it refuses', async () => {
    const io = memoryIo(Date.now);
    await runTest(['--policies', policies, '-o', 'json', file], io);
    const { cases } = JSON.parse(io.out()) as Report;
    const { access } = await loadPolicies(choiceOf(policies, {}), assert.fail);
    const withOutcome = (decision: string) =>
      new Set(cases.filter(({ actual }) => actual.decision === decision).map(({ actual }) => actual.rule));
    const [allowed, denied] = [withOutcome('allow'), withOutcome('deny')];
    for (const { name, allow } of access.rules) {
      assert.ok(allowed.has(name), `no case is let in by rule ${name}`);
      const forEverybody = allow.some(({ anonymous }) => anonymous === true);
      assert.ok(forEverybody || denied.has(name), `no case is refused by rule ${name}`);
    }
  });
});
