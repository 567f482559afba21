import type { TestContext } from 'node:test';

/** Skips the test with `reason`, which says what to install; under REQUIRE_CLUSTER=1 it throws instead. */
export function skipOrFail(t: TestContext, reason: string): undefined {
  if (process.env['REQUIRE_CLUSTER'] === '1') throw new Error(reason);
  t.skip(reason);
  return undefined;
}
