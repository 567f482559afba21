import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseQuery } from './query-parameters.ts';

test('query: names and values are decoded', () => {
  assert.deepEqual({ ...parseQuery('?a=1&b=x+y%20z&c&%64=e%3Df&&g=') }, { a: '1', b: 'x y z', c: '', d: 'e=f', g: '' });
  assert.deepEqual({ ...parseQuery('') }, {});
  assert.deepEqual({ ...parseQuery('?') }, {});
});

test('query: a repeated parameter cannot be read, the others can', () => {
  const query = parseQuery('?a=1&b=2&a=3&a=4');
  assert.equal(query['b'], '2');
  assert.throws(() => query['a'], /more than once/);
});

test('query: __proto__ is a name like any other', () => {
  const query = parseQuery('?__proto__=x');
  assert.equal(Object.getPrototypeOf(query), null);
  assert.deepEqual(Object.keys(query), ['__proto__']);
});

test('query: invalid percent-encoding throws', () => {
  assert.throws(() => parseQuery('?a=%zz'), URIError);
  assert.throws(() => parseQuery('?a=%c0%ae'), URIError);
});
