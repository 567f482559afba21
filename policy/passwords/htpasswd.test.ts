import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseHtpasswd } from './htpasswd.ts';

const DIGEST = 'C6UzMDM.H6dfI/f/IKcEe.7uLJWvvJ4Ljtq4Q1eEGkZv0F1yY8y2q';
const ann = `ann:$2y$12$${DIGEST}`;

describe('htpasswd', () => {
  it('reads users of every bcrypt prefix, comments and blank lines, and claims in YAML or JSON', () => {
    const text = `# traders\n${ann}\r\n\nbob b:$2b$15$${DIGEST}\n__proto__:$2a$12$${DIGEST}\n`;
    const claims = 'ann: {roles: [trader], active: false}\n__proto__: {tenant_id: acme}\n';
    for (const source of [claims, '{"ann":{"roles":["trader"],"active":false},"__proto__":{"tenant_id":"acme"}}']) {
      const read = parseHtpasswd(text, source);
      assert.ok(read.ok);
      assert.deepEqual(Object.keys(read.users.hashes), ['ann', 'bob b', '__proto__']);
      assert.equal(read.users.hashes['ann'], `$2y$12$${DIGEST}`);
      assert.deepEqual(Object.entries(read.users.claims), [
        ['ann', { roles: ['trader'], active: false }],
        ['__proto__', { tenant_id: 'acme' }],
      ]);
    }
    assert.equal(Reflect.get({}, 'tenant_id'), undefined);
  });

  const broken: readonly (readonly [string, string, string | null, RegExp])[] = [
    ['a cost of 11', `# a\nann:$2y$11$${DIGEST}`, null, /^users.htpasswd, line 2: hashed at cost 11; hash again at 12/],
    ['a cost of 16', `ann:$2y$16$${DIGEST}`, null, /line 1: hashed at cost 16, which takes seconds/],
    [
      'an MD5 hash',
      'ann:$apr1$Zv0F1yY8$y2qC6UzMDMH6dfIfIKcEe1',
      null,
      /line 1: no bcrypt hash .*portcullis htpasswd NAME/,
    ],
    ['a password in clear', 'ann:hunter2', null, /line 1: no bcrypt hash/],
    ['the crippled $2x$', `ann:$2x$12$${DIGEST}`, null, /line 1: no bcrypt hash/],
    ['a blank after the hash', `${ann} `, null, /line 1: no bcrypt hash/],
    ['a user twice', `${ann}\n${ann}`, null, /line 2: the user stands there twice/],
    ['no colon', 'ann', null, /line 1: write NAME:HASH/],
    ['no name', `:$2y$12$${DIGEST}`, null, /line 1: write NAME:HASH/],
    ['a control character in a name', `a\tb:$2y$12$${DIGEST}`, null, /line 1: write NAME:HASH/],
    ['no user', '# nobody\n', null, /holds no user/],
    ['claims that are no mapping', ann, '- ann', /^claims: write a mapping/],
    ['claims that are nothing', ann, '', /^claims: write a mapping/],
    ['claims that are no YAML', ann, 'ann: {}\nbob: {ann: [', /^claims, line 2: write a mapping/],
    ['claims of nobody', ann, 'anne: {}', /^claims, line 1: such a user is not in users.htpasswd/],
    ['claims that are a list', ann, '\nann: [trader]', /^claims, line 2: write a mapping of claims/],
    ['claims of the token itself', ann, 'ann: {sub: root, exp: 9}', /leave out sub, exp: the token service sets it/],
    ['an active that is a text', ann, 'ann: {active: "no"}', /active must be true or false/],
    ['a user twice in the claims', ann, 'ann: {}\nann: {}', /line 2: write a mapping/],
    ['more claims than a token has room for', ann, `ann: {note: ${'x'.repeat(4_086)}}`, /4097 characters of claims/],
    [
      'aliases that grow without end',
      ann,
      `ann: &a {x: [1, 2, 3]}\n${'bcdefghi'.replace(/./g, (n, i) => `${n}: &${n} [${`*${'abcdefgh'[i]}, `.repeat(9)}]\n`)}`,
      /write a mapping|not in users/,
    ],
  ];
  for (const [name, users, claims, problem] of broken) {
    it(`${name}: refused, with the line and never what stands there`, () => {
      const read = parseHtpasswd(users, claims);
      assert.ok(!read.ok);
      assert.match(read.problems[0] ?? '', problem);
      assert.doesNotMatch(read.problems.join(), /hunter2|y2q|C6Uz|ann\b/);
    });
  }

  it('reports everything at once', () => {
    const read = parseHtpasswd(`ann:x\nbob:y\n${ann.replace('ann', 'cid')}`, 'dan: {}');
    assert.deepEqual(read.ok ? 0 : read.problems.length, 3);
  });
});
