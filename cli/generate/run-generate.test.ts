import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import type { AccessPolicy } from '../../policy/api/access-policy.ts';
import { runGenerate } from './run-generate.ts';

const scratch = await mkdtemp(join(tmpdir(), 'portcullis-generate-'));
after(() => rm(scratch, { recursive: true }));
const example = join(import.meta.dirname, '../../examples/openapi/trading-api.yaml');

async function run(...argv: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runGenerate(argv, {
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    now: () => 0,
  });
  return { code, out: out.join(''), err: err.join('') };
}

const good = ['--openapi', example, '--key-set', 'auth/trading'];

test('prints a policy, and tells what it could not say', async () => {
  const { code, out, err } = await run(...good, '--name', 'orders', '--namespace', 'desk', '--bodies');
  assert.equal(code, 0, err);
  const { metadata, spec } = parse(out) as AccessPolicy;
  assert.deepEqual(metadata, { name: 'orders', namespace: 'desk' });
  assert.deepEqual(
    spec.rules.map(({ name, match, allow, body }) => [name, match.paths[0], allow, body?.maxBytes]),
    [
      ['login', '/v1/auth/login', [{ anonymous: true }], '64Ki'],
      ['listOrders', '/v1/orders', [{ permissions: ['orders:read'] }], undefined],
      ['placeOrder', '/v1/orders', [{ permissions: ['orders:write'] }], '64Ki'],
      ['readOrder', '/v1/orders/{order_id}', [{ permissions: ['orders:read'] }], undefined],
      ['cancelOrder', '/v1/orders/{order_id}', [{ permissions: ['orders:write'] }], undefined],
      ['listPositions', '/v1/positions', [{ permissions: ['positions:read'] }], undefined],
    ],
  );
  assert.match(err, /trading-api\.yaml#\/paths\/~1candles~1\{symbol\}\.csv\/get: note: no path pattern says this/);
  assert.match(err, /portcullis generate: 6 operations -> 6 rules, 1 operations left out; review them before use\n$/);
});

test('--output writes a file, and leaves one that exists alone unless --force is given', async () => {
  const output = join(scratch, 'policy.yaml');
  assert.deepEqual(
    [(await run(...good, '--output', output)).code, (await run(...good)).out],
    [0, await readFile(output, 'utf8')],
  );
  await writeFile(output, 'mine');
  const refused = await run(...good, '--output', output);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /policy\.yaml exists and was left alone; give another --output, or --force/);
  assert.equal(await readFile(output, 'utf8'), 'mine');
  assert.equal((await run(...good, '--output', output, '--force')).code, 0);
  assert.match(await readFile(output, 'utf8'), /^# Made by portcullis generate of Trading API 1\.0\.0\./);
});

const refused: readonly { name: string; argv: readonly string[]; says: RegExp }[] = [
  { name: 'nothing given', argv: [], says: /missing --openapi FILE; see portcullis generate --help/ },
  { name: 'an unknown flag', argv: [...good, '--keyset'], says: /Unknown option '--keyset'/ },
  { name: 'no such file', argv: ['--openapi', join(scratch, 'none')], says: /ENOENT/ },
  { name: 'no key set', argv: ['--openapi', example], says: /error: operations need a token; .*--key-set NAME/ },
  {
    name: 'a path for a key set',
    argv: [...good, '--key-set', 'a/b/c'],
    says: /--key-set must be NAME or NAMESPACE\/NAME/,
  },
  {
    name: 'unknown permissions',
    argv: [...good, '--permissions', 'scope'],
    says: /--permissions must be one of scopes, tags, none, not "scope"; did you mean scopes\?/,
  },
  { name: 'a URL for a base path', argv: [...good, '--base-path', 'https://x/'], says: /--base-path must be a path/ },
  { name: 'a namespace that is none', argv: [...good, '--namespace', 'A'], says: /the policy's metadata\.namespace: / },
];

for (const { name, argv, says } of refused) {
  test(`refused with exit code 2 and a remedy: ${name}`, async () => {
    const { code, out, err } = await run(...argv);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, says);
  });
}

test('names the file that is no document, also one nested too deep', async () => {
  const file = join(scratch, 'deep.json');
  for (const text of ['{"swagger": "2.0"}', `{"openapi": "3.1.0", "paths": ${'['.repeat(1e6)}`]) {
    await writeFile(file, text);
    const { code, err } = await run('--openapi', file);
    assert.equal(code, 2);
    assert.match(err, /^portcullis generate: .*deep\.json is .*\n$/);
  }
});

test('--help', async () => {
  const { code, out } = await run('--help');
  assert.equal(code, 0);
  for (const flag of ['--openapi', '--key-set', '--permissions', '--base-path', '--bodies', '--force'])
    assert(out.includes(flag));
});
