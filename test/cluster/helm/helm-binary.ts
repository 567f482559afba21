import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { goBinary, HELM, type Unavailable } from '../go-binaries.ts';

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
  if ('path' in helm) return helm.path;
  if (process.env['REQUIRE_CLUSTER'] === '1') throw new Error(helm.reason);
  t.skip(helm.reason);
  return undefined;
}
