import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { testExchange } from '../pipeline/testing/exchange-fixtures.ts';
import { csrf } from './csrf.ts';

describe('csrf', () => {
  const cases: readonly (readonly [
    name: string,
    method: string,
    headers: readonly string[],
    refused: boolean,
    more?: { readonly upgrade?: boolean; readonly fromHeader?: boolean; readonly tls?: boolean },
  ])[] = [
    ['a safe method', 'GET', ['origin', 'https://evil.example'], false],
    ['HEAD', 'HEAD', [], false],
    ['OPTIONS', 'OPTIONS', [], false],
    ['POST without Origin', 'POST', [], true],
    ['POST of another origin', 'POST', ['origin', 'https://evil.example'], true],
    ['POST of an origin in the policy', 'POST', ['origin', 'https://app.example'], false],
    ['POST of this host by https', 'POST', ['origin', 'https://api.example:8080'], false],
    ['POST of this host by http', 'POST', ['origin', 'http://api.example:8080'], false],
    [
      'POST of this host by http, where we speak TLS',
      'POST',
      ['origin', 'http://api.example:8080'],
      true,
      { tls: true },
    ],
    [
      'POST of this host by https, where we speak TLS',
      'POST',
      ['origin', 'https://api.example:8080'],
      false,
      { tls: true },
    ],
    [
      'POST of an origin in the policy, where we speak TLS',
      'POST',
      ['origin', 'https://app.example'],
      false,
      { tls: true },
    ],
    ['POST of this host at another port', 'POST', ['origin', 'https://api.example'], true],
    ['POST of a host that ends alike', 'POST', ['origin', 'https://evil-api.example:8080'], true],
    ['POST of a host that begins alike', 'POST', ['origin', 'https://api.example:8080.evil'], true],
    ['POST of the null origin', 'POST', ['origin', 'null'], true],
    ['POST of * as an origin', 'POST', ['origin', '*'], true],
    ['POST without Origin, same-origin by Fetch Metadata', 'POST', ['sec-fetch-site', 'same-origin'], false],
    ['POST without Origin, same-site', 'POST', ['sec-fetch-site', 'same-site'], true],
    [
      'POST of another origin that says same-origin',
      'POST',
      ['origin', 'https://evil.example', 'sec-fetch-site', 'same-origin'],
      true,
    ],
    ['a WebSocket of another origin', 'GET', ['origin', 'https://evil.example'], true, { upgrade: true }],
    ['a WebSocket of this host', 'GET', ['origin', 'https://api.example:8080'], false, { upgrade: true }],
    ['POST with the token in a header', 'POST', ['origin', 'https://evil.example'], false, { fromHeader: true }],
    ['an unknown method', 'BREW', [], true],
  ];
  for (const [name, method, headers, refused, { upgrade = false, fromHeader = false, tls = false } = {}] of cases) {
    it(`${name}: ${refused ? 'refused' : 'passes'}`, () => {
      const exchange = testExchange({ method, headers, upgrade, authority: 'api.example:8080' });
      exchange.identityFromCookie = !fromHeader;
      const decision = csrf(['https://app.example', '*'], tls ? 'https' : 'http', false).onRequest?.(exchange);
      assert.equal((decision as { code?: string } | undefined)?.code, refused ? 'origin_mismatch' : undefined);
    });
  }
});
