import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { kinds } from '../../policy/api/kinds.ts';
import type { ApiServer } from '../cluster/api-server.ts';
import { documentsIn } from '../fixtures/resources/documents.ts';

/** Creates the CRDs of crds/ and waits until their resources are served. */
export async function installCrds(server: ApiServer): Promise<void> {
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  for (const manifest of documentsIn(join(import.meta.dirname, '../../crds'))) {
    const created = await server.request('POST', `${path}?fieldValidation=Strict`, manifest);
    assert.equal(created.status, 201, JSON.stringify(created.body).slice(0, 2000));
    await until(async () => {
      const { body } = await server.request('GET', `${path}/${manifest.metadata.name}`);
      const conditions = (body as { status?: { conditions?: { type: string; status: string }[] } }).status?.conditions;
      return conditions?.some(({ type, status }) => type === 'Established' && status === 'True') ?? false;
    });
  }
  // Established is said a moment before every path is served.
  for (const { plural } of kinds) {
    await until(async () => (await server.request('GET', `/apis/portcullis.dev/v1alpha1/${plural}`)).status === 200);
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 15_000; !(await holds()); await sleep(50)) {
    assert.ok(performance.now() < deadline, 'waited for 15 s');
  }
}
