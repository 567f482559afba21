import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { type Attack, describeAttacks, describeWithSidecar, request, requestLines } from '../support/attack-table.ts';
import { send } from '../support/raw-http.ts';
import { rule } from '../support/sidecar-under-test.ts';

const HOST = 'Host: api.example';
const rules = [
  rule('public', ['/public/**'], [{ anonymous: true }]),
  rule('files', ['/files/{name}'], [{ anonymous: true }]),
  rule('admin', ['/admin/**'], [{ roles: ['admin'] }]),
];

function get(path: string): string {
  return request(`GET ${path} HTTP/1.1`, HOST);
}

const refused: readonly Attack[] = [
  ['an encoded slash', '/public/a%2fb', '/public/a%2Db'],
  ['an encoded slash in upper case', '/public/a%2Fb', '/public/a/b'],
  ['an encoded backslash', '/public/a%5cb', '/public/a%5Eb'],
  ['a backslash', '/public/a\\b', '/public/a/b'],
  ['a backslash that climbs', '/public/..\\admin/x', '/public/..public'],
  ['an encoded NUL', '/public/a%00b', '/public/a%20b'],
  ['an encoded line break', '/public/a%0d%0ab', '/public/ab'],
  ['an encoded tab', '/public/a%09b', '/public/a%20b'],
  ['an encoded DEL', '/public/a%7fb', '/public/a%7Eb'],
  ['a control byte', '/public/a\x01b', '/public/ab'],
  ['a byte beyond ASCII', '/public/\xc3\xa4', '/public/%C3%A4'],
  ['an overlong slash', '/public/..%c0%afadmin', '/public/%c2%af'],
  ['an overlong dot', '/public/%c0%ae%c0%ae/admin/x', '/public/%c2%ae'],
  ['an overlong slash in three bytes', '/public/%e0%80%af', '/public/%e2%82%ac'],
  ['a lone continuation byte', '/public/%80', '/public/%C2%80'],
  ['UTF-8 cut short', '/public/%e2%82', '/public/%e2%82%ac'],
  ['a surrogate in UTF-8', '/public/%ed%a0%80', '/public/%ed%9f%bf'],
  ['beyond U+10FFFF', '/public/%f4%90%80%80', '/public/%f4%8f%bf%bf'],
  ['an invalid byte', '/public/%ff', '/public/%7Eff'],
  ['a percent sign alone', '/public/50%', '/public/50%25'],
  ['percent and one digit', '/public/a%2', '/public/a%20'],
  ['percent and letters', '/public/a%zz', '/public/azz'],
  ['%u encoding', '/public/%u002e', '/public/%25u002e'],
  ['parameters', '/public/a;b=c', '/public/a,b=c'],
  ['encoded parameters', '/public/a%3Bb', '/public/a%3Ab'],
  ['parameters behind dots', '/public/..;/admin/x', '/public/..,/x'],
  ['above the root', '/../public/x', '/./public/x'],
  ['above the root and back', '/public/../../public/x', '/public/../public/x'],
  ['above the root, encoded', '/%2e%2e/public/x', '/%2e/public/x'],
].map(([name = '', attack = '', honest = '']) => ({ name, attack: get(attack), status: 400, honest: get(honest) }));

describeAttacks('path: refused', { access: { rules } }, refused);

describeWithSidecar('path: decided as it is forwarded', { access: { rules } }, (sut) => {
  const cases: readonly (readonly [string, string, string | 401])[] = [
    ['plain', '/public/a', '/public/a'],
    ['dot segments', '/x/../public/./a', '/public/a'],
    ['encoded dots', '/x/%2E%2e/public/%2e/a', '/public/a'],
    ['half-encoded dots', '/x/.%2e/public/a', '/public/a'],
    ['a dot segment at the end', '/public/a/..', '/public/'],
    ['double slashes', '//public///a', '/public/a'],
    ['dots behind double slashes', '/public/x//../a', '/public/a'],
    ['encoded letters', '/%70ublic/%61', '/public/a'],
    ['hex digits in lower case', '/public/%c3%a4', '/public/%C3%A4'],
    ['decoded once, never twice', '/public/%252e%252e/admin/x', '/public/%252e%252e/admin/x'],
    ['an encoded percent sign before 2f', '/public/%252fadmin', '/public/%252fadmin'],
    ['the query is left alone', '/public/a?next=/../admin/%2e%2e//x;y', '/public/a?next=/../admin/%2e%2e//x;y'],
    ['an encoded question mark is no query', '/public/a%3Fb', '/public/a%3Fb'],
    ['an encoded fragment is data', '/public/a%23b', '/public/a%23b'],
    ['up into a guarded path', '/public/../admin/x', 401],
    ['up, encoded', '/public/%2e%2e/admin/x', 401],
    ['up, half-encoded', '/public/.%2E/admin/x', 401],
    ['up behind a double slash', '/public//../admin/x', 401],
    ['a guarded path with double slashes', '//admin//x', 401],
    ['a guarded path with encoded letters', '/%61dmin/x', 401],
    ['a guarded path with a query that is not', '/admin/x?/public/a', 401],
    ['a guarded path whose query climbs', '/admin/x?/../../public/a', 401],
    ['one segment is one segment', '/files/a/b', 401],
    ['a path that only begins alike', '/publicity', 401],
    ['another case is another path', '/PUBLIC/a', 401],
    ['a trailing slash is another path', '/files/a/', 401],
  ];
  for (const [name, path, outcome] of cases) {
    it(`${name}: ${path} -> ${outcome}`, async () => {
      sut().upstream.clear();
      const answer = await send(sut().port, get(path));
      assert.equal(answer.status, outcome === 401 ? 401 : 200);
      assert.deepEqual(requestLines(sut()), outcome === 401 ? [] : [`GET ${outcome} HTTP/1.1`]);
    });
  }

  it('guarded paths open to whoever may, in any spelling', async () => {
    const token = sut().token({ roles: ['admin'] });
    for (const path of ['/admin/x', '/public/../admin/x', '/%61dmin//x']) {
      sut().upstream.clear();
      const answer = await send(sut().port, request(`GET ${path} HTTP/1.1`, HOST, `Authorization: Bearer ${token}`));
      assert.equal(answer.status, 200);
      assert.deepEqual(requestLines(sut()), ['GET /admin/x HTTP/1.1']);
    }
  });

  it('whatever is let in stays in: a lenient application reads every forwarded path as public', async () => {
    const part = fc.constantFrom(
      '/',
      '//',
      '..',
      '.',
      '%2e',
      '%2E',
      '%2f',
      '%5c',
      '\\',
      ';',
      ';a',
      '%3b',
      '%25',
      '%252e',
      '?',
      '#',
      'public',
      'admin',
      'a',
      '%61',
      '%c0%af',
      '%00',
    );
    const path = fc.array(part, { maxLength: 12 }).map((parts) => `/public/${parts.join('')}`);
    await fc.assert(
      fc.asyncProperty(path, async (raw) => {
        sut().upstream.clear();
        const answer = await send(sut().port, get(raw));
        assert.ok([200, 400, 401, 404].includes(answer.status), `${raw}: ${answer.status}`);
        const [line] = requestLines(sut());
        assert.equal(line !== undefined, answer.status === 200, raw);
        if (line !== undefined)
          assert.ok(lenientlyRead(line.split(' ')[1] ?? '').startsWith('/public'), `${raw} -> ${line}`);
      }),
      { numRuns: Number(process.env['FC_RUNS'] ?? 500) },
    );
  });
});

/** What a careless server makes of a target: cuts query and parameters, turns backslashes, decodes, then resolves dots. */
function lenientlyRead(target: string): string {
  const path = decodeURIComponent(target.split(/[?#]/, 1)[0] ?? '').replaceAll('\\', '/');
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    const name = segment.split(';', 1)[0] ?? '';
    if (name === '..') kept.pop();
    else if (name !== '.' && name !== '') kept.push(name);
  }
  return `/${kept.join('/')}`;
}

describeWithSidecar(
  'path: as the policy says',
  {
    access: {
      rules: [
        rule('exact', ['/Orders'], [{ anonymous: true }]),
        rule('admin', ['/orders/admin'], [{ roles: ['admin'] }]),
      ],
      pathMatching: { case: 'Insensitive', trailingSlash: 'Ignore', parameters: 'Allow' },
    },
  },
  (sut) => {
    const cases: readonly (readonly [string, string, number])[] = [
      ['case Insensitive', '/oRDERS', 200],
      ['trailingSlash Ignore', '/Orders/', 200],
      ['a guarded path in other case', '/ORDERS/Admin', 401],
      ['a guarded path with a trailing slash', '/orders/admin/', 401],
      ['parameters are part of the segment', '/orders;v=1', 401],
      ['parameters behind dots are refused all the same', '/x/..;/orders', 400],
    ];
    for (const [name, path, status] of cases) {
      it(`${name}: ${path} -> ${status}`, async () => {
        sut().upstream.clear();
        assert.equal((await send(sut().port, get(path))).status, status);
        assert.deepEqual(requestLines(sut()), status === 200 ? [`GET ${path} HTTP/1.1`] : []);
      });
    }
  },
);
