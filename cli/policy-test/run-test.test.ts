import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { EVERY_LAYER, scratchDirectory } from '../explain/testing/scratch-policies.ts';
import { memoryIo } from '../keys/testing/memory-io.ts';
import { runTest } from './run-test.ts';

const policies = scratchDirectory({ 'all.yaml': EVERY_LAYER });
/** A Wednesday. */
const NOW = Date.parse('2026-01-07T10:00:00Z');

/** Runs `test` on these cases, by the policy `api` unless said otherwise. */
async function run(cases: string, ...flags: string[]) {
  const file = join(scratchDirectory({ 'cases.yaml': cases }), 'cases.yaml');
  const io = memoryIo(() => NOW);
  const code = await runTest(['--policies', policies, '--access-policy', 'api', ...flags, file], io);
  return { code, out: io.out().replaceAll(file, 'cases.yaml'), err: io.err().replaceAll(file, 'cases.yaml') };
}

describe('portcullis test', () => {
  const TRADER = 'claims: { sub: tom, roles: [trader], tenant: t1 }';
  const outcomes: readonly (readonly [name: string, fields: string, expect: string, flags?: readonly string[]])[] = [
    ['forwarded', `request: POST /orders, ${TRADER}`, '{ decision: allow, rule: orders }'],
    ['no token', 'request: POST /orders', '{ decision: deny, status: 401, code: token_missing, rule: orders }'],
    [
      'a bad token',
      'request: { method: POST, path: /orders, headers: { Authorization: Bearer a.b.c } }',
      '{ status: 401, code: token_invalid }',
    ],
    [
      'a bad token that nobody asked for',
      'request: { method: GET, path: /open, host: api.example, headers: { Authorization: Bearer a.b.c } }',
      'allow',
    ],
    ['no rule', `request: GET /nowhere, ${TRADER}`, '{ status: 403, code: no_rule }'],
    ['not allowed', 'request: POST /orders, claims: { sub: ann }', '{ status: 403, code: forbidden, rule: orders }'],
    ['a condition that fails', `request: GET /desk, ${TRADER}`, '{ status: 403, code: condition_error }'],
    ['a condition that holds', 'request: GET /desk, claims: { sub: a, desk: fx }', 'allow'],
    ['the tenant', `request: GET /tenants/t1, ${TRADER}`, 'allow'],
    ['another tenant', `request: GET /tenants/t2, ${TRADER}`, '{ status: 403, code: tenant_mismatch }'],
    ['open', 'request: GET /hours', 'allow'],
    [
      'closed',
      'request: { method: GET, path: /hours, at: 2026-01-07T17:00:00Z }',
      '{ status: 403, code: outside_schedule }',
    ],
    ['the clock', `request: { method: GET, path: /late, at: 2030-01-02T00:00:00Z }, ${TRADER}`, 'allow'],
    ['the clock before', `request: GET /late, ${TRADER}`, '403'],
    ['the address', `request: { method: GET, path: /near, from: 10.0.0.1 }, ${TRADER}`, 'allow'],
    ['the JWKS of secrets', 'request: GET /jwks', '{ status: 404, code: symmetric_key_set }'],
    [
      'a preflight',
      'request: { method: OPTIONS, path: /orders, headers: { Origin: "https://app.example", Access-Control-Request-Method: POST } }',
      '{ decision: allow, status: 204 }',
    ],
    [
      'a cookie and another origin',
      'request: { method: POST, path: /orders, headers: { Origin: "https://evil.example" } }, claims: { sub: tom }',
      '{ status: 403, code: origin_mismatch }',
      ['--access-policy', 'browser'],
    ],
    [
      'a cookie and this origin',
      'request: { method: POST, path: /orders, headers: { Origin: "http://localhost" } }, claims: { sub: tom }',
      'allow',
      ['--access-policy', 'browser'],
    ],
    ['a good body', 'request: POST /notes, body: { text: x }', '{ decision: allow, rule: notes }'],
    ['a body as a text', `request: POST /notes, body: '{"text":"x"}'`, 'allow'],
    ['a bad body', 'request: POST /notes, body: { text: 1 }', '{ status: 400, code: body_invalid, rule: notes }'],
    ['a body that is no JSON', 'request: POST /notes, body: "{"', '{ status: 400, code: body_invalid }'],
    [
      'a body too large',
      `request: POST /notes, body: { text: ${'x'.repeat(64)} }`,
      '{ status: 413, code: body_too_large }',
    ],
    [
      'a body of another type',
      'request: { method: POST, path: /notes, headers: { Content-Type: text/plain } }, body: x',
      '{ status: 415, code: unsupported_media_type }',
    ],
    ['an empty body', 'request: POST /notes, body: ""', '{ status: 400, code: body_invalid }'],
    ['no word of a body', 'request: POST /notes', 'allow'],
    ['a body that no rule asks about', 'request: GET /hours, body: [1]', 'allow'],
    ['two credentials', `request: { method: POST, path: /orders, headers: { Authorization: x } }, ${TRADER}`, '400'],
    ['an ambiguous path', 'request: GET /a%2fb', '{ decision: deny, status: 400, code: bad_path }'],
    ['no path', 'request: GET *', '{ status: 400, code: bad_target }'],
    ['no host', 'request: { method: GET, path: /open, host: "a b" }', '{ status: 400, code: bad_host }'],
    ['TRACE', 'request: TRACE /open', '{ status: 405, code: method_not_allowed }'],
    ['no method', 'request: { method: "G,T", path: / }', '{ status: 400, code: malformed_request }'],
  ];
  for (const [name, fields, expect, flags = []] of outcomes) {
    it(`${name}: ${expect}`, async () => {
      const { code, out } = await run(`- { name: a, ${fields}, expect: ${expect} }`, ...flags);
      assert.deepEqual([code, out], [0, '1 passed, 0 failed\n']);
    });
  }

  const FAILING = `
- { name: all is well, request: POST /orders, ${TRADER}, expect: allow }
- name: ann orders
  request: POST /orders
  claims: { sub: ann }
  expect: { decision: allow, rule: open }
- { name: nobody is stopped, request: { method: GET, path: /open, host: api.example }, expect: { status: 401, code: token_missing } }
`;

  it('says of each failure what differs and why, and counts', async () => {
    const { code, out, err } = await run(FAILING);
    assert.deepEqual([code, err], [1, '']);
    assert.equal(
      out,
      `cases.yaml:3 ann orders: POST /orders
            expected  actual
  decision  allow     deny (403 forbidden)
  rule      open      orders
  route: rule "orders"
  authenticate: claims taken as given
  authenticate: user ann, roles none, tenant null
  authorize: allow[0] {"permissions":["orders:write"]}: no, lacks orders:write

cases.yaml:7 nobody is stopped: GET /open
          expected       actual
  status  401            none
  code    token_missing  none
  route: rule "open"
  authenticate: no token
  authorize: allow[0] {"anonymous":true}: yes

1 passed, 2 failed
`,
    );
  });

  it('reads bodies of files, beside the cases, and says what is wrong in a body', async () => {
    const files = scratchDirectory({
      'cases.yaml': `- { name: good, request: POST /notes, bodyFile: good.json, expect: allow }
- { name: bad, request: POST /notes, bodyFile: bad.json, expect: allow }`,
      'good.json': '{"text":"é"}',
      'bad.json': '{"text":1}',
    });
    const io = memoryIo(() => NOW);
    const code = await runTest(['--policies', policies, '--access-policy=api', join(files, 'cases.yaml')], io);
    assert.equal(code, 1);
    assert.match(io.out(), /bad: POST \/notes\n[\s\S]* {2}validate-body: \/text: must be string\n\n1 passed, 1 failed/);
    const { code: none, err } = await run('- { name: a, request: POST /notes, bodyFile: no.json, expect: allow }');
    assert.equal(none, 2);
    assert.match(err, /^cases\.yaml:1 bodyFile cannot be read: ENOENT/);
  });

  it('-o json has every case, with what was expected, what was, and of failures the explanation', async () => {
    const { code, out } = await run(FAILING, '-o', 'json');
    assert.equal(code, 1);
    const { passed, failed, cases } = JSON.parse(out);
    assert.deepEqual([passed, failed, cases.length], [1, 2, 3]);
    assert.deepEqual(cases[0], {
      file: 'cases.yaml',
      line: 2,
      name: 'all is well',
      passed: true,
      expected: { decision: 'allow' },
      actual: { decision: 'allow', status: null, code: null, rule: 'orders' },
      explanation: null,
    });
    const { passed: wasPassed, actual, explanation } = cases[1];
    assert.deepEqual([wasPassed, actual.code, explanation.code], [false, 'forbidden', 'forbidden']);
  });

  it('lends the claims of one case to no other, whatever its token is called', async () => {
    const stolen = 'request: { method: POST, path: /orders, headers: { Authorization: Bearer claims-given } }';
    const { out } = await run(
      `- { name: a, request: POST /orders, ${TRADER}, expect: allow }\n- { name: b, ${stolen}, expect: { code: token_invalid } }`,
    );
    assert.equal(out, '2 passed, 0 failed\n');
  });

  it('counts no limit', async () => {
    const cases = ['a', 'b', 'c'].map((name) => `- { name: ${name}, request: GET /hours, expect: allow }`);
    assert.equal((await run(cases.join('\n'))).out, '3 passed, 0 failed\n');
  });

  it('tests a policy in Shadow as it would be enforced, and says so', async () => {
    const { code, err } = await run(
      '- { name: a, request: GET /orders, expect: 401 }\n- { name: b, request: GET /, expect: 401 }',
      '--access-policy',
      'browser',
    );
    assert.deepEqual([code, err], [0, 'AccessPolicy default/browser has mode Shadow: tested as if it were Enforce\n']);
  });

  it('reads several files, and says what is wrong in all of them', async () => {
    const good = '- { name: a, request: GET /hours, expect: allow }';
    const files = scratchDirectory({ 'one.yaml': good, 'two.yaml': good, 'bad.yaml': '- 1', 'worse.yaml': '- 2' });
    const of = (...names: string[]) => {
      const io = memoryIo(() => NOW);
      const argv = ['--policies', policies, '--access-policy=api', ...names.map((name) => join(files, name))];
      return runTest(argv, io).then((code) => ({ code, out: io.out(), err: io.err() }));
    };
    assert.deepEqual(await of('one.yaml', 'two.yaml'), { code: 0, out: '2 passed, 0 failed\n', err: '' });
    const { code, out, err } = await of('bad.yaml', 'one.yaml', 'worse.yaml');
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, /bad\.yaml:1:3 \[0\]: must be an object, not 1\n.*worse\.yaml:1:3 /);
    assert.match((await of('none.yaml')).err, /^portcullis test: cases cannot be read: ENOENT/);
  });

  const wrong: readonly (readonly [name: string, argv: readonly string[], says: RegExp])[] = [
    ['no directory', ['cases.yaml'], /^portcullis test: --policies is required[\s\S]*see portcullis test --help$/m],
    ['no file', ['--policies', policies], /name at least one file of cases/],
    [
      'everything at once',
      ['-o', 'xml'],
      /--policies is required[\s\S]*at least one file[\s\S]*-o must be json, not "xml"/,
    ],
    ['a flag that is none', ['--polices', 'x'], /did you mean --policies\?/],
    ['policies that are wrong', ['--policies', scratchDirectory({ 'a.yaml': '{}' }), 'x'], /a\.yaml:1:1 /],
    ['no policies', ['--policies', scratchDirectory({}), 'x'], /there is no AccessPolicy/],
  ];
  for (const [name, argv, says] of wrong) {
    it(`says what is wrong: ${name}`, async () => {
      const io = memoryIo(() => NOW);
      assert.deepEqual([await runTest(argv, io), io.out()], [2, '']);
      assert.match(io.err(), says);
    });
  }
});
