import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CorsConfig } from '../../policy/bundle/types.ts';
import type { Answer } from '../pipeline/filter.ts';
import { testExchange } from '../pipeline/testing/exchange-fixtures.ts';
import { cors } from './cors.ts';

const config: CorsConfig = {
  origins: ['https://app.example'],
  methods: ['GET', 'POST'],
  headers: ['authorization'],
  exposeHeaders: ['x-request-id'],
  credentials: true,
  maxAgeMs: 600_500,
};
const ASK = ['access-control-request-method', 'POST'];

function preflight(more: Partial<CorsConfig>, headers: readonly string[], method = 'OPTIONS'): Answer | undefined {
  return cors({ ...config, ...more }).onRequest?.(testExchange({ method, headers })) as Answer | undefined;
}
function added(more: Partial<CorsConfig>, headers: readonly string[]): readonly string[] {
  const answer: string[] = [];
  cors({ ...config, ...more }).onResponse?.(testExchange({ headers }), answer);
  return answer;
}

describe('cors', () => {
  it('answers a preflight of an allowed origin', () => {
    assert.deepEqual(preflight({}, ['origin', 'https://app.example', ...ASK]), {
      kind: 'answer',
      status: 204,
      headers: [
        'access-control-allow-methods',
        'GET, POST',
        'access-control-allow-headers',
        'authorization',
        'access-control-max-age',
        '600',
      ],
      body: '',
    });
  });

  it('answers a preflight of any other origin without letting it in', () => {
    assert.deepEqual(preflight({}, ['origin', 'https://evil.example', ...ASK])?.headers, []);
  });

  const noPreflight: readonly (readonly [name: string, headers: readonly string[], method: string])[] = [
    ['OPTIONS without Origin', ASK, 'OPTIONS'],
    ['OPTIONS without a requested method', ['origin', 'https://app.example'], 'OPTIONS'],
    ['another method', ['origin', 'https://app.example', ...ASK], 'POST'],
  ];
  for (const [name, headers, method] of noPreflight) {
    it(`${name} goes on`, () => assert.equal(preflight({}, headers, method), undefined));
  }

  const answers: readonly (readonly [
    name: string,
    more: Partial<CorsConfig>,
    origin: string,
    headers: readonly string[],
  ])[] = [
    [
      'an allowed origin',
      {},
      'https://app.example',
      [
        'vary',
        'Origin',
        'access-control-allow-origin',
        'https://app.example',
        'access-control-allow-credentials',
        'true',
        'access-control-expose-headers',
        'x-request-id',
      ],
    ],
    ['another origin', {}, 'https://evil.example', ['vary', 'Origin']],
    ['an origin that ends alike', {}, 'https://evil-app.example', ['vary', 'Origin']],
    ['the null origin', {}, 'null', ['vary', 'Origin']],
    ['no origin', {}, '', ['vary', 'Origin']],
    [
      'any origin, without credentials',
      { origins: ['*'], credentials: false, exposeHeaders: [] },
      'https://any.example',
      ['access-control-allow-origin', '*'],
    ],
    ['any origin is allowed and none was sent', { origins: ['*'], credentials: false }, '', []],
  ];
  for (const [name, more, origin, headers] of answers) {
    it(`adds to the answer: ${name}`, () =>
      assert.deepEqual(added(more, origin === '' ? [] : ['origin', origin]), headers));
  }
});
