import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Capture } from '../config.ts';
import type { Namespace, Service } from '../kube/objects.ts';
import { serviceWarnings } from './coverage-services.ts';
import { exampleNamespace as namespace, exampleService as service } from './testing/coverage-objects.ts';

const ASK = { 'access-policy': 'orders' };
const NUMERIC = [{ port: 80, targetPort: 8000 }];

interface Case {
  readonly name: string;
  readonly service: Service;
  readonly namespace?: Namespace;
  readonly capture?: Capture;
  /** What each warning contains, in order. */
  readonly warnings: readonly string[];
}

const cases: readonly Case[] = [
  { name: 'nobody asks', service: service('web', {}, NUMERIC), warnings: [] },
  { name: 'all is well', service: service('web', ASK), warnings: [] },
  {
    name: 'a numeric targetPort',
    service: service('web', ASK, NUMERIC),
    warnings: ['NumericTargetPort: Service web: targetPort 8000 is a number'],
  },
  { name: 'in Bind numbers are fine', service: service('web', ASK, NUMERIC), capture: 'Bind', warnings: [] },
  { name: 'so are skipped ones', service: service('web', { ...ASK, 'skip-ports': '8000' }, NUMERIC), warnings: [] },
  {
    name: 'and other protocols',
    service: service('web', ASK, [{ port: 80, targetPort: 8000, appProtocol: 'grpc' }]),
    warnings: [],
  },
  {
    name: 'the namespace asks',
    service: service('web', {}, NUMERIC),
    namespace: namespace(ASK),
    warnings: ['NumericTargetPort'],
  },
  {
    name: 'opted out of it',
    service: service('web', { inject: 'false' }, NUMERIC),
    namespace: namespace(ASK),
    warnings: [],
  },
  {
    name: 'not where it is Required',
    service: service('web', { inject: 'false', 'skip-ports': '8000' }, NUMERIC),
    namespace: namespace(ASK, 'Required'),
    warnings: ['portcullis.dev/inject does nothing', 'portcullis.dev/skip-ports does nothing', 'NumericTargetPort'],
  },
  {
    name: 'another policy than the required one',
    service: service('web', ASK),
    namespace: namespace({ 'access-policy': 'base' }, 'Required'),
    warnings: ['OptOutRefused: portcullis.dev/access-policy: Service web says orders'],
  },
  {
    name: 'headless',
    service: service('web', ASK, undefined, { clusterIP: 'None' }),
    warnings: ['is headless'],
  },
  { name: 'no selector', service: service('web', ASK, NUMERIC, { selector: {} }), warnings: ['selects no pods'] },
  {
    name: 'ExternalName',
    service: service('web', ASK, NUMERIC, { type: 'ExternalName' }),
    warnings: ['selects no pods'],
  },
  {
    name: 'ExternalName in a namespace that asks',
    service: service('web', {}, NUMERIC, { type: 'ExternalName' }),
    namespace: namespace(ASK),
    warnings: [],
  },
  {
    name: 'limits alone',
    service: service('web', { 'rate-limit-policy': 'standard' }),
    warnings: ['alone guards nothing'],
  },
  {
    name: 'a slip in an annotation and one in a value',
    service: service('web', { ...ASK, captur: 'Bind', harden: 'Full' }),
    warnings: ['portcullis.dev/captur: there is no such annotation; did you mean portcullis.dev/capture?', '"Full"'],
  },
];

for (const row of cases) {
  test(`serviceWarnings: ${row.name}`, () => {
    const warnings = serviceWarnings(row.service, row.namespace ?? namespace(), row.capture ?? 'Takeover');
    assert.equal(warnings.length, row.warnings.length, warnings.join('\n'));
    for (const [index, text] of row.warnings.entries()) assert.ok(warnings[index]!.includes(text), warnings[index]!);
  });
}
