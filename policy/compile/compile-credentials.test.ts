import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AccessPolicy } from '../api/access-policy.ts';
import { decodeResource } from '../api/decode.ts';
import { LABELS } from '../api/names.ts';
import { formatPath } from '../api/problem.ts';
import { API_VERSION } from '../api/resource.ts';
import type { SigningKeySet } from '../api/signing-key-set.ts';
import { compileAccessPolicy } from './compile-access-policy.ts';
import type { ReferencedSecret, ResolvedKeySet } from './references.ts';

const HASH = 'ab'.repeat(32);
const SECRET = 'LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=';
const KEYS_AT = 'spec.authentication.apiKeys[0].secretRef.name';
const CLIENTS_AT = 'spec.authentication.signedRequests[0].secretRef.name';

function decode(kind: string, name: string, spec: object) {
  const decoded = decodeResource({ apiVersion: API_VERSION, kind, metadata: { namespace: 'shop', name }, spec });
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  return decoded.resource;
}

function secret(name: string, data: Readonly<Record<string, string>>, labelled = true): ReferencedSecret {
  return { namespace: 'shop', name, labels: labelled ? { [LABELS.allowReference]: 'true' } : {}, data };
}

const keySet: ResolvedKeySet = {
  resource: decode('SigningKeySet', 'keys', {
    algorithm: 'ES256',
    issuer: 'i',
    audiences: ['a'],
    maxTokenLifetime: '1h',
    clockSkew: '30s',
  }) as SigningKeySet,
  outputs: { serial: 1, verificationKeys: [{ kid: 'k', algorithm: 'ES256', jwk: { kty: 'EC' } }] },
};

function compile(authentication: object, ...secrets: readonly ReferencedSecret[]) {
  return compileWith('redis://redis.shop', authentication, secrets);
}

function compileWith(defaultStore: string | null, authentication: object, secrets: readonly ReferencedSecret[]) {
  const policy = decode('AccessPolicy', 'orders', { authentication, roles: [{ name: 'trader' }] }) as AccessPolicy;
  const { content, findings } = compileAccessPolicy(policy, {
    keySets: [keySet],
    secrets,
    namespaces: [],
    storeOverride: null,
    defaultStore,
    defaultClientIp: null,
  });
  return {
    content,
    said: findings.map(({ severity, path, message }) => `${severity} ${formatPath(path)}: ${message}`),
  };
}

const withKeys = (yaml: string, labelled?: boolean) =>
  compile(
    { apiKeys: [{ name: 'people', secretRef: { name: 'keys' } }] },
    secret('keys', { 'keys.yaml': yaml }, labelled),
  );
const withClients = (yaml: string, more: object = {}) =>
  compile(
    { signedRequests: [{ name: 'bots', secretRef: { name: 'bots' }, ...more }] },
    secret('bots', { 'clients.yaml': yaml }),
  );

describe('compileApiKeys', () => {
  it('reads hashes, whom they stand for and when they end', () => {
    const yaml = `- {sha256: "${HASH.toUpperCase()}", subject: ann, roles: [trader], tenant: acme, tier: gold, expires: 2027-01-01T00:00:00Z}
- {sha256: "${'cd'.repeat(32)}", subject: bob}`;
    const { content, said } = withKeys(yaml);
    assert.deepEqual(said, []);
    assert.deepEqual(content?.apiKeys, [
      {
        name: 'people',
        header: 'x-api-key',
        keys: [
          {
            sha256: HASH,
            subject: 'ann',
            roles: ['trader'],
            tenant: 'acme',
            tier: 'gold',
            expiresAt: 1_798_761_600_000,
          },
          { sha256: 'cd'.repeat(32), subject: 'bob', roles: [], tenant: null, tier: null, expiresAt: null },
        ],
      },
    ]);
  });

  it('a policy without credentials of a kind has no member for them', () => {
    const { content } = compile({});
    assert.deepEqual(
      ['apiKeys', 'signedRequests', 'revocation'].filter((member) => content && member in content),
      [],
    );
  });

  const refused: readonly (readonly [name: string, yaml: string, message: RegExp])[] = [
    ['no list', `sha256: "${HASH}"`, /must be a YAML list of 1 to 1000 entries; write - \{sha256/],
    ['an empty list', '[]', /must be a YAML list of 1 to 1000/],
    ['no YAML', '- {', /must be a YAML list/],
    ['aliases', `- &a {sha256: "${HASH}", subject: ann}\n- *a`, /must be a YAML list/],
    ['a text', '- pk_secret', /entry 1: must be a mapping/],
    [
      'a member in other words',
      `- {sha256: "${HASH}", subject: ann, role: trader}`,
      /entry 1 \(ann\): unknown member "role"; did you mean "roles"/,
    ],
    [
      'a key in place of its hash',
      '- {sha256: pk_secretsecretsecret, subject: ann}',
      /entry 1 \(ann\): sha256 must be 64 hex digits/,
    ],
    ['no hash', '- {subject: ann}', /entry 1 \(ann\): sha256 must be 64 hex digits/],
    ['a number', `- {sha256: ${'1'.repeat(64)}, subject: ann}`, /sha256 must be 64 hex digits, in quotes/],
    ['nobody', `- {sha256: "${HASH}"}`, /entry 1: subject must be a text/],
    ['a subject that breaks lines', `- {sha256: "${HASH}", subject: "a\\nb"}`, /subject must be a text/],
    [
      'one role that is no list',
      `- {sha256: "${HASH}", subject: ann, roles: trader}`,
      /roles must be a list of texts, such as \[trader\]/,
    ],
    ['a tenant that is a number', `- {sha256: "${HASH}", subject: ann, tenant: 7}`, /tenant must be a text/],
    [
      'an end that is none',
      `- {sha256: "${HASH}", subject: ann, expires: 2027-01-01}`,
      /expires must be an instant such as/,
    ],
    [
      'one key twice',
      `- {sha256: "${HASH}", subject: ann}\n- {sha256: "${HASH}", subject: bob}`,
      /entry 2 \(bob\): this key stands in the policy already/,
    ],
  ];
  for (const [name, yaml, message] of refused) {
    it(`refuses ${name}, and shows no value`, () => {
      const { content, said } = withKeys(yaml);
      assert.equal(content, null);
      assert.equal(said.length, 1, said.join('\n'));
      assert.match(said[0] ?? '', message);
      assert.ok(said[0]?.startsWith(`error ${KEYS_AT}: Secret shop/keys`));
      assert.ok(!said[0]?.includes('pk_secret') && !said[0]?.includes(HASH));
    });
  }

  it('refuses a Secret without the key, and says the line to write', () => {
    const apiKeys = [{ name: 'people', secretRef: { name: 'keys' } }];
    const { said } = compile({ apiKeys }, secret('keys', { 'api-keys.yaml': 'x', other: 'y' }));
    assert.match(
      said[0] ?? '',
      /has no key keys\.yaml, only api-keys\.yaml, other; write under stringData keys\.yaml: \|\n {2}- \{sha256/,
    );
  });

  it('refuses a Secret that is not there, or not labelled', () => {
    assert.match(compile({ apiKeys: [{ name: 'a', secretRef: { name: 'keys' } }] }).said[0] ?? '', /does not exist/);
    assert.match(withKeys('[]', false).said[0] ?? '', /give it the label portcullis\.dev\/allow-reference: "true"/);
  });

  it('warns of roles that the policy has not, once each', () => {
    const yaml = `- {sha256: "${HASH}", subject: ann, roles: [tradr]}\n- {sha256: "${'cd'.repeat(32)}", subject: bob, roles: [tradr, trader]}`;
    const { content, said } = withKeys(yaml);
    assert.equal(content?.apiKeys?.[0]?.keys.length, 2);
    assert.deepEqual(said, [
      `warning ${KEYS_AT}: gives keys a role that the policy has not: role "tradr"; did you mean "trader"?`,
    ]);
  });
});

describe('compileSignedRequests', () => {
  it('reads clients; the subject is the id unless it says another', () => {
    const { content, said } = withClients(`- {id: bot-1, secrets: [${SECRET}], roles: [trader]}`, { tolerance: '10s' });
    assert.deepEqual(said, []);
    assert.deepEqual(content?.signedRequests, [
      {
        name: 'bots',
        secret: 'shop/bots',
        toleranceMs: 10_000,
        maxBytes: 65_536,
        onStoreFailure: 'Deny',
        clients: [{ id: 'bot-1', secrets: [SECRET], subject: 'bot-1', roles: ['trader'], tenant: null, tier: null }],
      },
    ]);
  });

  const short = Buffer.from('0123456789abcdefghijklmnopqrstu').toString('base64');
  const typed = Buffer.from('my secret is long enough, but I typed it').toString('base64');
  const refused: readonly (readonly [name: string, yaml: string, message: RegExp])[] = [
    ['no id', `- {secrets: [${SECRET}]}`, /entry 1: id must be 1 to 64 letters/],
    ['an id with a colon', `- {id: "a:b", secrets: [${SECRET}]}`, /id must be 1 to 64 letters/],
    ['no secrets', '- {id: bot-1}', /entry 1 \(bot-1\): secrets must be a list of one secret, or two/],
    ['three secrets', `- {id: bot-1, secrets: [${SECRET}, b, c]}`, /secrets must be a list of one secret, or two/],
    ['a secret that is no base64', '- {id: bot-1, secrets: ["s3cret!"]}', /secrets\[0\] must be base64/],
    [
      'a secret without its padding',
      `- {id: bot-1, secrets: ["${SECRET.slice(0, -1)}"]}`,
      /secrets\[0\] must be base64/,
    ],
    [
      '31 bytes',
      `- {id: bot-1, secrets: ["${short}"]}`,
      /secrets\[0\] must have 32 to 512 bytes, not 31; make one with: openssl/,
    ],
    [
      'a secret that was typed',
      `- {id: bot-1, secrets: ["${typed}"]}`,
      /can be guessed: it contains the word "secret"/,
    ],
    [
      'one secret twice',
      `- {id: bot-1, secrets: ["${SECRET}"]}\n- {id: bot-2, secrets: ["${SECRET}"]}`,
      /entry 2 \(bot-2\): secrets\[0\] stands in the policy already/,
    ],
    [
      'one id twice',
      `- {id: bot-1, secrets: ["${SECRET}"]}\n- {id: bot-1, secrets: ["${Buffer.from(SECRET).toString('base64')}"]}`,
      /entry 2 \(bot-1\): this id stands in the policy already/,
    ],
  ];
  for (const [name, yaml, message] of refused) {
    it(`refuses ${name}, and shows no secret`, () => {
      const { content, said } = withClients(yaml);
      assert.equal(content, null);
      assert.equal(said.length, 1, said.join('\n'));
      assert.match(said[0] ?? '', message);
      assert.ok(said[0]?.startsWith(`error ${CLIENTS_AT}: Secret shop/bots`));
      for (const hidden of [SECRET.slice(0, 12), short, typed, 's3cret']) assert.ok(!said[0]?.includes(hidden));
    });
  }

  it('refuses bodies above 1Mi', () => {
    const { said } = withClients(`- {id: bot-1, secrets: [${SECRET}]}`, { maxBytes: '2Mi' });
    assert.match(said[0] ?? '', /signedRequests\[0\]\.maxBytes: must be at most 1Mi/);
  });
});

describe('compile: revocation, skew, and where credentials stand', () => {
  const jwt = (more: object = {}) => ({ name: 'trading', keySetRef: { name: 'keys' }, ...more });
  const keys = secret('keys', { 'keys.yaml': `- {sha256: "${HASH}", subject: ann}` });
  const bots = secret('bots', { 'clients.yaml': `- {id: bot-1, secrets: [${SECRET}]}` });
  const apiKey = (name: string, header: string) => ({ name, header, secretRef: { name: 'keys' } });

  it('fills in what revocation leaves out', () => {
    assert.deepEqual(compile({ revocation: {} }).content?.revocation, {
      onStoreFailure: 'Deny',
      maxStalenessMs: 1_000,
    });
  });

  it("clockSkew may be less than the key set's, and not more", () => {
    assert.equal(compile({ jwt: [jwt()] }).content?.jwt[0]?.clockSkewMs, 30_000);
    assert.equal(compile({ jwt: [jwt({ clockSkew: '5s' })] }).content?.jwt[0]?.clockSkewMs, 5_000);
    assert.match(
      compile({ jwt: [jwt({ clockSkew: '31s' })] }).said[0] ?? '',
      /^error spec\.authentication\.jwt\[0\]\.clockSkew: must be at most clockSkew of key set shop\/keys, which is 30s/,
    );
  });

  it('a parameter of the query is a place of tokens', () => {
    const { content } = compile({ jwt: [jwt({ from: [{ header: 'Authorization' }, { query: 'token' }] })] });
    assert.deepEqual(content?.jwt[0]?.from[1], { kind: 'query', parameter: 'token' });
  });

  const places: readonly (readonly [name: string, authentication: object, message: RegExp | null])[] = [
    ['two issuers in one header', { jwt: [jwt(), { ...jwt(), name: 'b' }] }, null],
    [
      'two schemes in one header',
      {
        jwt: [
          jwt({
            from: [
              { header: 'X-T', scheme: 'A' },
              { header: 'X-T', scheme: 'B' },
            ],
          }),
        ],
      },
      null,
    ],
    [
      'lists of keys in headers of their own',
      { apiKeys: [apiKey('a', 'X-A'), { ...apiKey('b', 'X-B'), secretRef: { name: 'more' } }] },
      null,
    ],
    [
      'two lists of keys in one header',
      { apiKeys: [apiKey('a', 'X-Key'), { ...apiKey('b', 'x-key'), secretRef: { name: 'more' } }] },
      /apiKeys\[1\]\.header: is read already: a key of apiKeys "a"/,
    ],
    [
      'a key where tokens stand',
      { jwt: [jwt()], apiKeys: [apiKey('a', 'authorization')] },
      /apiKeys\[0\]\.header: is read already: a token after Bearer/,
    ],
    [
      'a bare token beside one with a scheme',
      { jwt: [jwt({ from: [{ header: 'X-T' }, { header: 'x-t', scheme: 'A' }] })] },
      /from\[1\]\.header: is read already: the whole of it is a token/,
    ],
    [
      'the header of cookies',
      { jwt: [jwt({ from: [{ header: 'Cookie' }] })] },
      /cookies have several names in one header; write from: \[\{cookie: NAME\}\]/,
    ],
    [
      'a header that only proxies may set',
      { jwt: [jwt({ from: [{ header: 'X-Forwarded-Access-Token' }] })] },
      /from\[0\]\.header: X-Forwarded-Access-Token of a client never gets here/,
    ],
    [
      'the twin of one',
      { apiKeys: [apiKey('a', 'X_Portcullis_Key')] },
      /apiKeys\[0\]\.header: X_Portcullis_Key of a client never gets here/,
    ],
    [
      'a key where signatures stand',
      { apiKeys: [apiKey('a', 'X-Nonce')], signedRequests: [{ name: 's', secretRef: { name: 'bots' } }] },
      /signedRequests reads X-Nonce; name another header/,
    ],
  ];
  for (const [name, authentication, message] of places) {
    it(`${name}: ${message === null ? 'accepted' : 'refused'}`, () => {
      const more = secret('more', { 'keys.yaml': `- {sha256: "${'cd'.repeat(32)}", subject: bob}` });
      const { said } = compile(authentication, keys, bots, more);
      if (message === null) assert.deepEqual(said, []);
      else assert.match(said.join('\n'), message);
    });
  }

  it('warns where each pod would remember for itself', () => {
    const authentication = { signedRequests: [{ name: 's', secretRef: { name: 'bots' } }], revocation: {} };
    const { content, said } = compileWith(null, authentication, [bots]);
    assert.ok(content);
    assert.deepEqual(
      said.map((line) => line.split(',')[0]),
      [
        'warning spec.authentication.signedRequests: each pod remembers nonces for itself',
        'warning spec.authentication.revocation: each pod knows only what was revoked in it',
      ],
    );
  });
});
