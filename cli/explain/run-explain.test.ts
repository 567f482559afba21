import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Explanation } from '../../sidecar/explain/explanation.ts';
import { memoryIo } from '../keys/testing/memory-io.ts';
import { runExplain } from './run-explain.ts';
import { EVERY_LAYER, scratchDirectory } from './testing/scratch-policies.ts';

const directory = scratchDirectory({ 'all.yaml': EVERY_LAYER });
const claimsFile = join(scratchDirectory({ 'claims.json': '{"sub":"tom","roles":["trader"]}' }), 'claims.json');
const bodies = scratchDirectory({ 'good.json': '{"text":"é"}', 'large.json': 'x'.repeat(65_537) });
const [bodyFile, largeFile] = [join(bodies, 'good.json'), join(bodies, 'large.json')];
/** A Wednesday. */
const NOW = Date.parse('2026-01-07T10:00:00Z');

async function run(...argv: string[]) {
  const io = memoryIo(() => NOW);
  const code = await runExplain(argv, io);
  return { code, out: io.out(), err: io.err() };
}

const ask = (request: string, ...flags: string[]) =>
  run('--policies', directory, '--access-policy', 'api', '--request', request, ...flags);

const TRADER = ['--claims', '{"sub":"tom","roles":["trader"]}'];

describe('portcullis explain --policies', () => {
  const outcomes: readonly (readonly [
    name: string,
    request: string,
    flags: readonly string[],
    exitCode: number,
    says: RegExp,
  ])[] = [
    ['no token', 'POST /orders', [], 1, /^authenticate: pass\n {2}no token$[\s\S]*^result: 401 token_missing$/m],
    ['claims', 'post /orders?x=1', TRADER, 0, /^POST localhost\/orders from 127\.0\.0\.1$[\s\S]*^result: forwarded/m],
    ['claims of a file', 'POST /orders', ['--claims', `@${claimsFile}`], 0, /user tom, roles trader/],
    ['what is missing', 'POST /orders', ['--claims', '{"sub":"ann"}'], 1, /: no, lacks orders:write$/m],
    ['no rule', 'GET /nowhere', TRADER, 1, /^route: pass\n {2}no rule covers the path \/nowhere$/m],
    ['the host', 'GET /open', ['--host', 'api.example'], 0, /^GET api\.example\/open/],
    ['another host', 'GET /open', [], 1, /rule "open" covers this path, but only at api\.example/],
    ['the address', 'GET /near', ['--from', '10.0.0.1', ...TRADER], 0, /from 10\.0\.0\.1$/m],
    ['another address', 'GET /near', TRADER, 1, /403 forbidden/],
    ['a schedule by the clock', 'GET /hours', [], 0, /: open$/m],
    ['a schedule by --at', 'GET /hours', ['--at', '2026-01-07T18:00:00+01:00'], 1, /403 outside_schedule/],
    ['a limit, which is not counted', 'GET /near', TRADER, 1, /^ {2}limit "one": 1 in 3600 s/m],
    ['a token for which there is no key', 'GET /near', ['--header', 'Authorization: Bearer a.b.c'], 1, /malformed/],
    [
      'a good body',
      'POST /notes',
      ['--body', bodyFile],
      0,
      /^validate-body: pass\n {2}the body is as the rule demands$/m,
    ],
    [
      'a body by its type',
      'POST /notes',
      ['--body', bodyFile, '--header', 'Content-Type: text/plain'],
      1,
      /^validate-body: unsupported_media_type\n {2}body: /m,
    ],
    ['a bad body', 'POST /notes', ['--body', claimsFile], 1, /^validate-body: body_invalid\n {2}\/text: is required$/m],
    ['no body', 'POST /notes', [], 0, /^ {2}a body must be application\/json, at most 64 bytes, as its schema says$/m],
    [
      'a preflight',
      'OPTIONS /orders',
      ['--header', 'Origin: https://app.example', '--header', 'Access-Control-Request-Method: POST'],
      0,
      /^result: 204$/m,
    ],
  ];
  for (const [name, request, flags, exitCode, says] of outcomes) {
    it(name, async () => {
      const { code, out, err } = await ask(request, ...flags);
      assert.deepEqual([code, err], [exitCode, '']);
      assert.match(out, says);
    });
  }

  it('-o json gives the explanation, layer by layer', async () => {
    const { out } = await ask('POST /orders', '-o', 'json', ...TRADER);
    const { rule, layers, status } = JSON.parse(out) as Explanation;
    assert.deepEqual([rule, status], ['orders', null]);
    assert.deepEqual(
      layers.map(({ layer }) => layer),
      ['route', 'limit-by-address', 'cors', 'jwks', 'authenticate', 'csrf', 'limit-by-subject', 'authorize'],
    );
  });

  it('a policy in Shadow refuses nothing, and the layers say what it would', async () => {
    const { code, out } = await run('--policies', directory, '--access-policy', 'browser', '--request', 'GET /orders');
    assert.equal(code, 0);
    assert.match(out, /^authorize: token_missing \(mode Shadow: not carried out\)$/m);
  });

  const wrong: readonly (readonly [name: string, argv: readonly string[], says: readonly RegExp[]])[] = [
    ['no directory', ['--request', 'GET /'], [/^portcullis explain: --policies is required/]],
    ['no request', ['--policies', directory], [/--request is required: method and path, such as 'POST \/orders'/]],
    [
      'everything at once',
      ['--request=/x', '--policies=x', '--claims', '[]', '--header', 'x', '--from', 'y', '--at', 'z', '-o', 'yaml'],
      [
        /--request must be method and path.*not "\/x"/,
        /--claims must be a JSON object/,
        /--header must be 'NAME: VALUE', not "x"/,
        /--from must be an IP address, not "y"/,
        /--at: write an instant such as 2026-01-31T00:00:00Z/,
        /-o must be json, not "yaml"/,
        /^see portcullis explain --help$/m,
      ],
    ],
    ['claims that are not JSON', ['--policies', directory, '--request', 'GET /', '--claims', '{'], [/a JSON object/]],
    ['no file of claims', ['--policies', directory, '--request', 'GET /', '--claims', '@/nope'], [/ENOENT.*\/nope/]],
    [
      'no file of a body',
      ['--policies', directory, '--request', 'GET /', '--body', '/nope'],
      [/--body cannot be read: ENOENT/],
    ],
    [
      'a body too large',
      ['--policies', directory, '--request', 'GET /', '--body', largeFile],
      [/--body cannot be read: .* has 65537 bytes; bodies of up to 65536 are explained/],
    ],
    ['a token', ['--policies', directory, '--request', 'GET /', '--token', 'x'], [/--token needs the keys of a pod/]],
    ['a flag that is none', ['--policies', directory, '--reqest', 'GET /'], [/did you mean --request\?/]],
    ['no such directory', ['--policies', '/nope', '--request', 'GET /'], [/policies cannot be read: ENOENT/]],
    [
      'two policies and no choice',
      ['--policies', directory, '--request', 'GET /'],
      [/more than one AccessPolicy.*choose with --access-policy/],
    ],
  ];
  for (const [name, argv, says] of wrong) {
    it(`says what is wrong: ${name}`, async () => {
      const { code, out, err } = await run(...argv);
      assert.deepEqual([code, out], [2, '']);
      for (const words of says) assert.match(err, words);
    });
  }

  it('says every problem of the policies, with its place', async () => {
    const faulty = scratchDirectory({
      'a.yaml': EVERY_LAYER.replace('allow: [{ permissions', 'alow: [{ permissions'),
    });
    const { code, err } = await run('--policies', faulty, '--access-policy', 'api', '--request', 'GET /');
    assert.equal(code, 2);
    assert.match(err, /a\.yaml:18:\d+ spec\.rules\[1\]\.alow: unknown field; did you mean allow\?/);
  });
});

describe('portcullis explain POD', () => {
  it('is what it is without --policies and --request', async () => {
    const { code, err } = await run('pod-1', 'GET');
    assert.deepEqual([code, err], [2, 'portcullis explain: wants POD METHOD PATH, not 2 of them; see --help\n']);
  });

  it('has the same help', async () => {
    assert.equal((await run('--help')).out, (await run('--policies', 'x', '--help')).out);
  });
});
