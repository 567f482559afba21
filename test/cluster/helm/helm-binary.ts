import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { goBinary, HELM, type Unavailable } from '../go-binaries.ts';
import { skipOrFail } from '../skip-or-fail.ts';

/** Path of helm: HELM where it is set, else the pinned module's, built once; says why where it is not to be had. */
export async function helmBinary(): Promise<{ readonly path: string } | Unavailable> {
  const given = process.env['HELM'];
  if (given) return { path: given };
  const built = await goBinary(HELM);
  return 'reason' in built
    ? { reason: `${built.reason}; or set HELM to helm 4's path` }
    : { path: join(built.directory, 'helm') };
}

/** helm for this test; where there is none the test is skipped with the reason, or fails under REQUIRE_CLUSTER=1. */
export async function helmFor(t: TestContext): Promise<string | undefined> {
  const helm = await helmBinary();
  return 'path' in helm ? helm.path : skipOrFail(t, helm.reason);
}
