import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeResource } from '../../policy/api/decode.ts';
import { formatPath } from '../../policy/api/problem.ts';
import { brokenResources } from '../fixtures/resources/broken.ts';
import { brokenDocument } from '../fixtures/resources/broken-document.ts';
import { documentsIn, goodResources } from '../fixtures/resources/documents.ts';
import { fullSizeResources } from '../fixtures/resources/full-size.ts';

// The other half of crds.test.ts: what kube-apiserver takes or refuses there, local mode takes or refuses here. On purpose
// they differ in: append-only revocations (a document alone has no past), metadata.namespace (default where left out),
// metadata.name (needed: no generateName), and status, which the decoder does not read.

const examples = documentsIn(join(import.meta.dirname, '../../examples/policies'));

for (const document of [...goodResources(), ...fullSizeResources, ...examples]) {
  if (!document.apiVersion.startsWith('portcullis.dev/')) continue;
  test(`takes ${document.kind} ${document.metadata.name}`, () => {
    const decoded = decodeResource(document);
    assert.deepEqual('problems' in decoded ? decoded.problems : [], []);
  });
}

for (const row of brokenResources) {
  test(`refuses ${row.kind}: ${row.name}`, () => {
    const decoded = decodeResource(brokenDocument(row));
    assert.ok('problems' in decoded, 'taken');
    const said = decoded.problems.map(({ path, message }) => `${formatPath(path)}: ${message}`).join('\n');
    assert.ok(said.includes(row.local ?? row.message), said);
    const blamed = formatPath(row.blamed ?? row.at);
    assert.ok(
      decoded.problems.some(({ path }) => formatPath(path).startsWith(blamed) || blamed.startsWith(formatPath(path))),
      said,
    );
  });
}
