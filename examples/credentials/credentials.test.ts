import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { loadPolicies } from '../../cli/explain/load-policies.ts';
import { explain } from '../../sidecar/explain/explain.ts';
import { signedHeaders } from '../signed-requests/sign.ts';

const directory = import.meta.dirname;
const text = readFileSync(join(directory, 'policies.yaml'), 'utf8');
const find = (pattern: RegExp): string => pattern.exec(text)?.[1] ?? assert.fail(String(pattern));
const apiKey = find(/(pk_\S+)/);
const bot = { id: 'bot-1', secret: find(/secrets: \["([^"]+)"/) };

describe('examples/credentials', () => {
  const cases: readonly (readonly [name: string, headers: Readonly<Record<string, string>>, code: string | null])[] = [
    ['the API key that it names', { 'X-API-Key': apiKey }, null],
    ['a signed request', signedHeaders(bot, { method: 'GET', url: new URL('http://api.example/orders') }), null],
    ['another key', { 'X-API-Key': `${apiKey.slice(0, -1)}_` }, 'api_key_invalid'],
    ['nothing', {}, 'token_missing'],
  ];
  for (const [name, headers, code] of cases) {
    it(`${name}: ${code ?? 'let in'}`, async () => {
      const warnings: string[] = [];
      const choice = { directory, accessPolicy: null, rateLimitPolicy: null, redisUrl: null };
      const policies = await loadPolicies(choice, (line) => warnings.push(line));
      const request = {
        method: 'GET',
        target: '/orders',
        host: 'api.example',
        headers: Object.entries(headers),
        client: '192.0.2.1',
        credential: null,
      };
      assert.equal((await explain(policies, request, Date.now())).code, code);
      assert.deepEqual(
        warnings.filter((line) => !line.includes('each pod remembers nonces for itself')),
        [],
      );
    });
  }
});
