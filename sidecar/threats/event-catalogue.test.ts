import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { SECURITY_EVENTS, SUSPICIONS } from './event-catalogue.ts';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/events.md'), 'utf8');

it('docs/events.md has a line for each event, with its severity, and no other', () => {
  const rows = page.matchAll(/^\| `(\w+)` \| (info|warning|critical) \| \S[^|]* \|$/gm);
  assert.deepEqual(Object.fromEntries(Array.from(rows, ([, event, severity]) => [event, severity])), SECURITY_EVENTS);
});

it('and a line for each kind of suspicious request, and no other', () => {
  const rows = page.matchAll(/^\| `(\w+)` \| (?!info|warning|critical)\S[^|]* \|$/gm);
  assert.deepEqual(Array.from(rows, ([, kind]) => kind).sort(), [...SUSPICIONS].sort());
});

it('each of them is told somewhere', () => {
  const sources = globSync('sidecar/**/*.ts', { cwd: ROOT, exclude: ['**/*.test.ts', '**/event-catalogue.ts'] });
  const code = sources.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('\n');
  for (const name of [...Object.keys(SECURITY_EVENTS), ...SUSPICIONS]) assert.ok(code.includes(`'${name}'`), name);
});
