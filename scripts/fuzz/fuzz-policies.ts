import assert from 'node:assert/strict';
import { decodeResource } from '../../policy/api/decode.ts';
import { formatPath } from '../../policy/api/problem.ts';
import { accessBundle, limitsBundle } from '../../policy/bundle/shape.ts';
import { exampleAccessBundle } from '../../policy/bundle/testing/example-bundles.ts';
import type { AccessBundle, LimitsBundle } from '../../policy/bundle/types.ts';
import { compileAccessPolicy } from '../../policy/compile/compile-access-policy.ts';
import { compileLimits } from '../../policy/compile/compile-limits.ts';
import { SILENT_SINK } from '../../runtime/log.ts';
import { NO_METRICS } from '../../sidecar/metrics/policy-metrics.ts';
import { buildPipeline } from '../../sidecar/pipeline/build-pipeline.ts';
import { memoryStores } from '../../sidecar/stores/open-stores.ts';
import { createTokenVerifier } from '../../sidecar/tokens/verifier.ts';
import { mutateDocument, pick } from './mutate.ts';
import { policyDocuments, policyReferences } from './policy-seeds.ts';
import type { Target } from './target.ts';

const MEMBERS = JSON.stringify(policyDocuments).matchAll(/"([A-Za-z]+)":/g);
const NAMES = [...new Set([...MEMBERS].map(([, name]) => name!)), '__proto__', 'x'];
const VALUES: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    1,
    -1,
    1.5,
    1e21,
    2 ** 31,
    '',
    'x',
    '*',
    '0s',
    '1h',
    '9999999h',
    '64Ki',
    '99Ei',
    '10/1m',
    [],
    {},
    [[]],
  ],
  ...[
    '/**',
    '/{x}',
    '/{x}/{x}',
    '/a/../b',
    '/%2f',
    '/a b',
    '//',
    '*.x',
    '[::1]',
    '10.0.0.0/0',
    'claims.sub == path.id',
    '1 +',
  ],
  ...[
    'x'.repeat(300),
    '(((((((((((((((((((((((((((((((((((((((((',
    'a.all(x, x.all(y, y))',
    '"\\',
    'Mon-Fri 09:30-16:00',
    '2026-02-30',
  ],
  ...[['*'], ['GET', 'GET'], { anonymous: true }, { name: 'x', inherits: ['x'] }, { path: '/sub' }, { $ref: '#' }],
];
const PIECES = [
  ...'/{}*.:-_%;?#[]()\'"\\ \n\0é',
  '**',
  '{x}',
  '..',
  '%2e',
  '10',
  'claims.',
  ' == ',
  '&&',
  'x',
  '😀',
  '\ud800',
  '/1m',
];

/**
 * Our three kinds, decoded and compiled: problems and findings, never an exception; and what compiles is a bundle that a sidecar
 * reads and enforces.
 */
export const policies: Target = {
  next: (random) => {
    const document = structuredClone(pick(policyDocuments, random));
    mutateDocument(document['spec'], NAMES, VALUES, PIECES, 3, random);
    if (random(16) === 0) mutateDocument(document, NAMES, VALUES, PIECES, 1, random);
    return JSON.stringify(document);
  },

  check: (text) => {
    const decoded = decodeResource(JSON.parse(text));
    const resource = 'resource' in decoded ? decoded.resource : decoded.faulty;
    if ('problems' in decoded)
      for (const { path, message } of decoded.problems) assert.ok(`${formatPath(path)}${message}`);
    if (resource === undefined) return 'not typed';
    if (resource.kind === 'SigningKeySet') return 'problems' in decoded ? 'not valid' : 'key set';
    const { content, findings } =
      resource.kind === 'AccessPolicy'
        ? compileAccessPolicy(resource, policyReferences)
        : compileLimits(resource, policyReferences);
    for (const { path, message } of findings) assert.ok(`${formatPath(path)}${message}`);
    // A faulty one is compiled for its findings only.
    if ('problems' in decoded) return 'not valid';
    if (content === null) return 'not compiled';
    const written: unknown = JSON.parse(JSON.stringify({ ...content, serial: 1 }));
    if (content.kind === 'Access') build(accessBundle(written, ''), null);
    else build(exampleAccessBundle, limitsBundle(written, ''));
    return 'compiled';
  },
};

/** As the sidecar does; what a rule demands of bodies was compiled by its own compiler already. */
function build(access: AccessBundle, limits: LimitsBundle | null): void {
  const verifier = createTokenVerifier(access === exampleAccessBundle ? [] : access.jwt);
  buildPipeline({
    access,
    limits,
    stores: memoryStores(),
    bodies: null,
    verifier,
    metrics: NO_METRICS,
    sink: SILENT_SINK,
  });
}
