import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { canonicalRequest } from '../../policy/credentials/canonical-request.ts';
import { describeWithSidecar, requestLines } from '../support/attack-table.ts';
import { run } from '../support/sidecar-process.ts';
import { rule } from '../support/sidecar-under-test.ts';
import { signedHeaders } from '../support/sign-request.ts';
import { missingPrograms } from '../support/system-programs.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const EXAMPLES = join(ROOT, 'examples', 'signed-requests');
const client = { id: 'bot-1', secret: 'LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=' };
const python = missingPrograms({ python3: 'python3' });

/** What the page shows, so that a client can be tried against it. */
const VECTORS = [
  { method: 'GET', url: 'https://api.example/orders?limit=5&side=buy', body: '' },
  { method: 'POST', url: 'https://API.example:8443/tenants/a%20b/orders', body: '{"symbol":"BTC","quantity":1}' },
  { method: 'DELETE', url: 'http://10.0.0.7/', body: '' },
] as const;
const VECTOR_TIME = 1_800_000_000_000;
const VECTOR_NONCE = 'AAECAwQFBgcICQoLDA0ODw';

/** The part of docs/signed-requests.md between its marks. */
function vectorsText(): string {
  const parts = VECTORS.map((message) => {
    const { hostname, pathname, search } = new URL(message.url);
    const signed = canonicalRequest({
      client: client.id,
      timestamp: String(VECTOR_TIME / 1_000),
      nonce: VECTOR_NONCE,
      method: message.method,
      host: hostname,
      path: pathname,
      query: search,
      bodyHash: createHash('sha256').update(message.body).digest('hex'),
    });
    const headers = signedHeaders(client, message, VECTOR_TIME, VECTOR_NONCE);
    const body = message.body === '' ? ', no body' : `, body \`${message.body}\``;
    return `\`${message.method} ${message.url}\`${body}:\n\`\`\`\n${signed}\n\`\`\`\n\`X-Signature: ${headers['X-Signature']}\``;
  });
  return `Secret \`${client.secret}\`, client \`${client.id}\`:\n\n${parts.join('\n\n')}\n`;
}

describe('docs/signed-requests.md', () => {
  it('shows the vectors as they are', () => {
    const page = readFileSync(join(ROOT, 'docs', 'signed-requests.md'), 'utf8');
    const shown = /<!-- vectors -->\n([\s\S]*)<!-- end of vectors -->/.exec(page)?.[1];
    assert.equal(shown, vectorsText());
  });

  it('has the vectors that the Python client makes', { skip: python ?? false }, async () => {
    const script = `
import json, sys
sys.path.insert(0, sys.argv[1])
from client import signed_headers
print(json.dumps([signed_headers(sys.argv[2], sys.argv[3], v["method"], v["url"], v["body"].encode(), ${VECTOR_TIME / 1_000}, "${VECTOR_NONCE}") for v in json.loads(sys.argv[4])]))
`;
    const argv = ['-c', script, EXAMPLES, client.id, client.secret, JSON.stringify(VECTORS)];
    const made: unknown = JSON.parse(await python3(argv, {}));
    assert.deepEqual(
      made,
      VECTORS.map((message) => signedHeaders(client, message, VECTOR_TIME, VECTOR_NONCE)),
    );
  });
});

const signedRequests = [
  {
    name: 'bots',
    secret: 'test/bots',
    toleranceMs: 30_000,
    maxBytes: 65_536,
    onStoreFailure: 'Deny',
    clients: [{ id: client.id, secrets: [client.secret], subject: 'bot', roles: [], tenant: null, tier: null }],
  },
] as const;

describeWithSidecar(
  'clients of examples/signed-requests',
  { access: { rules: [rule('orders', ['/**'], [{ authenticated: true }])], signedRequests } },
  (sut) => {
    const environment = (secret = client.secret) => ({ CLIENT_ID: client.id, CLIENT_SECRET: secret });
    const clients: readonly (readonly [
      name: string,
      ask: (argv: readonly string[], secret?: string) => Promise<string>,
      skip: string | null,
    ])[] = [
      [
        'TypeScript',
        async (argv, secret) =>
          (await run([join(EXAMPLES, 'client.ts'), ...argv], { ...process.env, ...environment(secret) })).stdout,
        null,
      ],
      ['Python', (argv, secret) => python3([join(EXAMPLES, 'client.py'), ...argv], environment(secret)), python],
    ];
    for (const [name, ask, skip] of clients) {
      it(`${name}: with and without a body`, { skip: skip ?? false }, async () => {
        const base = `http://127.0.0.1:${sut().port}`;
        sut().upstream.clear();
        assert.match(await ask(['GET', `${base}/orders/a%20b?limit=5`]), /^200 /);
        assert.match(await ask(['POST', `${base}/orders`, '{"name":"Zoë","quantity":1}']), /^200 /);
        assert.match(await ask(['GET', base]), /^200 /);
        assert.deepEqual(requestLines(sut()), [
          'GET /orders/a%20b?limit=5 HTTP/1.1',
          'POST /orders HTTP/1.1',
          'GET / HTTP/1.1',
        ]);
        const wrong = Buffer.alloc(32, 7).toString('base64');
        assert.match(await ask(['GET', `${base}/orders`], wrong), /^401 .*signature_invalid/);
      });
    }
  },
);

function python3(argv: readonly string[], environment: Readonly<Record<string, string>>): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('python3', argv, { env: { ...process.env, ...environment }, timeout: 20_000 }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    );
  });
}
