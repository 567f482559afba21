import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PasswordClass } from '../../policy/bundle/tokens.ts';
import type { ApplicationAnswer } from '../engine/application-client.ts';
import { brokenRules } from './password-rules.ts';
import { answered, testTokenService } from './testing/token-service-fixture.ts';

const REGISTER = '/auth/register';
const ALL: readonly PasswordClass[] = ['Upper', 'Lower', 'Digit', 'Special'];

describe('password rules', () => {
  const cases: readonly (readonly [string, string, readonly PasswordClass[], readonly string[]])[] = [
    ['one that keeps all', 'Tr4ding!', ALL, []],
    ['nothing but short', 'a', ALL, ['too_short', 'no_upper', 'no_digit', 'no_special']],
    ['no character at all', '', ALL, ['too_short', 'no_upper', 'no_lower', 'no_digit', 'no_special']],
    ['letters of other alphabets', 'Ωμέγα٣-x', ALL, []],
    [
      'letters without case, which are no specials',
      '密码密码密码密码',
      ALL,
      ['no_upper', 'no_lower', 'no_digit', 'no_special'],
    ],
    ['seven characters that are fourteen units', '😀'.repeat(7), [], ['too_short']],
    ['eight characters outside the BMP', '😀'.repeat(8), [], []],
    ['a blank as a special', 'Trading 1', ALL, []],
    ['1025 bytes', 'x'.repeat(1025), [], ['too_long']],
    ['a NUL', 'password\0', [], ['nul']],
    ['half a pair', 'password\udc00', [], ['not_unicode']],
  ];
  for (const [name, password, classes, expected] of cases) {
    it(`${name}: ${expected.join(', ') || 'kept'}`, () => {
      const broken = brokenRules(password, { minLength: 8, classes });
      assert.deepEqual(
        broken.map(({ rule }) => rule),
        expected,
      );
    });
  }
});

describe('register', () => {
  const good = '{ "email": "a@example.com",\n "password": "Tr4ding!", "profile": {"n": 1.0} }';

  it('sends the very text that was checked, and passes the answer on, in ASCII', async () => {
    const upstream = async (path: string, json: string): Promise<ApplicationAnswer> => {
      sent.push([path, json]);
      return { status: 201, json: '{"name":"Zoë 😀"}' };
    };
    const sent: (readonly [string, string])[] = [];
    const { post } = testTokenService({}, { upstream });
    const { status, headers, body, json } = answered(await post(REGISTER, { body: good }));
    assert.deepEqual(sent, [['/internal/register', good]]);
    assert.deepEqual([status, headers], [201, ['content-type', 'application/json', 'cache-control', 'no-store']]);
    assert.match(body, /^[\x20-\x7e]*$/);
    assert.deepEqual(json, { name: 'Zoë 😀' });
  });

  it('names every broken rule, and asks the application nothing', async () => {
    const { post, sent } = testTokenService();
    const answer = await post(REGISTER, { body: { password: 'abc' } });
    assert.ok('denial' in answer);
    assert.deepEqual(
      [answer.denial, answer.violations?.map(({ pointer, code }) => `${pointer} ${code}`)],
      ['body_invalid', ['/password too_short', '/password no_upper', '/password no_digit', '/password no_special']],
    );
    assert.ok(!JSON.stringify(answer).includes('abc'));
    assert.deepEqual(sent, []);
  });

  const bodies: readonly (readonly [string, unknown, string])[] = [
    ['no password', { email: 'a' }, 'missing'],
    ['a password that is no text', { password: ['Tr4ding!'] }, 'malformed'],
    ['a password by way of the prototype', '{"__proto__":{"password":"Tr4ding!"}}', 'missing'],
    ['two passwords', '{"password":"Tr4ding!","password":"x"}', 'malformed'],
  ];
  for (const [name, body, code] of bodies) {
    it(`${name}: ${code}`, async () => {
      const { post, sent } = testTokenService();
      const answer = await post(REGISTER, { body });
      assert.equal('denial' in answer && answer.violations?.[0]?.code, code);
      assert.deepEqual(sent, []);
    });
  }

  const answers: readonly (readonly [string, ApplicationAnswer | 'upstream_timeout', number | string])[] = [
    ['a conflict', { status: 409, json: '{"error":"taken"}' }, 409],
    ['an empty answer', { status: 204, json: '' }, 204],
    ['no JSON', { status: 200, json: '<html>' }, 'upstream_protocol'],
    ['no answer', 'upstream_timeout', 'upstream_timeout'],
  ];
  for (const [name, upstream, expected] of answers) {
    it(`${name} of the application: ${expected}`, async () => {
      const { post } = testTokenService({}, { upstream: async () => upstream });
      const answer = await post(REGISTER, { body: good });
      assert.equal('denial' in answer ? answer.denial : answered(answer).status, expected);
    });
  }
});
