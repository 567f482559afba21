import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { basePathOf, convertTemplate } from './path-template.ts';

const converted: readonly (readonly [template: string, path: string, base?: string])[] = [
  ['/orders', '/orders'],
  ['/', '/'],
  ['/', '/v1/', '/v1'],
  ['/orders/', '/orders/'],
  ['/orders//{id}', '/orders/{id}'],
  ['/orders/{id}', '/api/v1/orders/{id}', '/api/v1'],
  ['/users/{user-id}/{2fa}', '/users/{user_id}/{_2fa}'],
  ['/{a-b}/{a_b}', '/{a_b}/{a_b_2}'],
  ['/a b/c;d/100%', '/a%20b/c%3Bd/100%25'],
  ['/%6Frders/%7b', '/orders/%7B'],
  ['/a*b', '/a%2Ab'],
];

const refused: readonly (readonly [template: string, says: RegExp])[] = [
  ['/a{b}', /"a\{b\}" is part text, part parameter/],
  ['/{a}.{b}', /part text, part parameter/],
  ['/{path+}', /write \*\* as the last segment/],
  ['/{}', /not the name of one segment/],
  ['/a/../b', /has the segment "\.\."/],
  ['/a%2Fb', /control character inside/],
  ['orders', /begins with "\/"/],
  [`/${'x'.repeat(256)}`, /at most 256 characters/],
];

describe('convertTemplate', () => {
  for (const [template, path, base = ''] of converted) {
    it(`${base} ${template} -> ${path}`, () => {
      const result = convertTemplate(base, template);
      assert.deepEqual(result.ok && result.path, path);
    });
  }

  for (const [template, says] of refused) {
    it(`refuses ${template.slice(0, 20)}`, () => {
      const result = convertTemplate('', template);
      assert.match(result.ok ? '' : result.message, says);
    });
  }

  it('gives templates that match the same requests one shape', () => {
    const shapes = ['/users/{id}', '/users/{name}', '/%75sers/{id}', '/users/me'].map((template) => {
      const result = convertTemplate('', template);
      return result.ok && result.shape;
    });
    assert.equal(shapes[0], shapes[1]);
    assert.equal(shapes[0], shapes[2]);
    assert.notEqual(shapes[0], shapes[3]);
  });
});

describe('basePathOf', () => {
  const cases: readonly (readonly [url: string, path: string | null])[] = [
    ['https://api.example.com/v1/', '/v1'],
    ['https://api.example.com', ''],
    ['/', ''],
    ['/api', '/api'],
    ['api/v2', '/api/v2'],
    ['//host/x?y#z', '/x'],
    ['{scheme}://{host}/{base}', '/b'],
    ['https://h/{unknown}', null],
  ];
  const defaults = new Map(Object.entries({ scheme: 'https', host: 'h', base: 'b' }));
  for (const [url, path] of cases) it(`${url} -> ${path}`, () => assert.equal(basePathOf(url, defaults), path));
});
