import type { TestContext } from 'node:test';
import { type ApiServer, startApiServer } from './api-server.ts';
import { skipOrFail } from './skip-or-fail.ts';

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
  return skipOrFail(t, server.reason);
}

/** kubectl of `server`; where there is none, the test is skipped or fails as above. */
export function kubectlFor(t: TestContext, server: ApiServer): ApiServer['kubectl'] {
  if (server.kubectl) return server.kubectl;
  const reason =
    'no kubectl here: put kubectl 1.25 or newer into PATH or KUBEBUILDER_ASSETS (kubernetes.io; the one in Debian 12 is older)';
  return skipOrFail(t, reason);
}
