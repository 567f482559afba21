import type { TestContext } from 'node:test';
import { type ApiServer, startApiServer } from './api-server.ts';

/**
 * A kube-apiserver for this test, stopped when the test ends. Where none is to be had the test is skipped with what to
 * install, and undefined is returned; under REQUIRE_CLUSTER=1 it fails instead.
 */
export async function apiServerFor(t: TestContext): Promise<ApiServer | undefined> {
  const server = await startApiServer();
  if (!('reason' in server)) {
    t.after(() => server.stop());
    return server;
  }
  if (process.env['REQUIRE_CLUSTER'] === '1') throw new Error(server.reason);
  t.skip(server.reason);
  return undefined;
}

/** kubectl of `server`; where there is none, the test is skipped or fails as above. */
export function kubectlFor(t: TestContext, server: ApiServer): ApiServer['kubectl'] {
  if (server.kubectl) return server.kubectl;
  const reason =
    'no kubectl here: put kubectl 1.25 or newer into PATH or KUBEBUILDER_ASSETS (kubernetes.io; the one in Debian 12 is older)';
  if (process.env['REQUIRE_CLUSTER'] === '1') throw new Error(reason);
  t.skip(reason);
  return undefined;
}
