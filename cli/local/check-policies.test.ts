import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { checkPolicies, type PolicyChoice } from './check-policies.ts';

const choice: PolicyChoice = {
  directory: 'policies',
  accessPolicy: null,
  rateLimitPolicy: null,
  redisUrl: null,
};

const KEYS = `apiVersion: portcullis.dev/v1alpha1
kind: SigningKeySet
metadata: {name: trading}
spec:
  algorithm: ES256
  issuer: https://auth.trading.example
  audiences: [trading-api]
  maxTokenLifetime: 1h
`;

const ACCESS = `apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: {name: orders}
spec:
  authentication:
    jwt:
      - name: trading
        keySetRef: {name: trading}
  roles:
    - {name: viewer, permissions: [orders:read]}
    - {name: trader, inherits: [viewer], permissions: [orders:write]}
  rules:
    - name: list
      match: {paths: [/orders], methods: [GET]}
      allow:
        - permissions: [orders:read]
    - name: place
      match: {paths: [/orders], methods: [POST]}
      allow:
        - permissions: [orders:write]
    - name: read
      match: {paths: ["/orders/{id}"], methods: [GET]}
      allow:
        - {roles: [viewer], when: claims.sub == path.id}
`;

const LIMITS = `apiVersion: portcullis.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: standard}
spec:
  tiers:
    - {name: premium, when: claims.tier == "premium"}
  limits:
    - name: per-minute
      key: [user]
      rates: {anonymous: 10/1m, authenticated: 100/1m, premium: 1000/1m}
`;

const STORE = `apiVersion: v1
kind: Secret
metadata: {name: redis-url, labels: {portcullis.dev/allow-reference: "true"}}
stringData: {url: "redis://127.0.0.1:6379"}
`;

interface Sources {
  readonly keys?: string;
  readonly access?: string;
  readonly limits?: string;
  readonly more?: string;
}

function check(
  { keys = KEYS, access = ACCESS, limits = LIMITS, more = '' }: Sources,
  chosen: Partial<PolicyChoice> = {},
) {
  const files = { access, keys, limits, more };
  return checkPolicies(
    Object.entries(files).map(([name, text]) => ({ file: `policies/${name}.yaml`, text })),
    { ...choice, ...chosen },
  );
}

/** `from` replaced by `to` in a text that must hold it. */
function edited(text: string, from: string, to: string): string {
  assert.ok(text.includes(from), from);
  return text.replace(from, to);
}

function rule(text: string): string {
  return `${ACCESS}    - ${text}\n`;
}

describe('policies of a directory', () => {
  it('are accepted, with every default filled in', () => {
    const { policies, problems } = check({});
    assert.deepEqual(problems, []);
    const compiled = policies!.compile(() => ({ serial: 5, verificationKeys: [] }));
    assert.equal(compiled.access.content!.jwt[0]!.keySetSerial, 5);
    assert.equal(compiled.access.content!.jwt[0]!.issuer, 'https://auth.trading.example');
    assert.deepEqual(compiled.access.content!.jwt[0]!.from, [
      { kind: 'header', header: 'authorization', scheme: 'Bearer' },
    ]);
    assert.deepEqual(compiled.access.content!.roles[1], {
      name: 'trader',
      permissions: ['orders:write', 'orders:read'],
    });
    assert.deepEqual(compiled.access.content!.rules[2]!.allow[0]!.roles, ['viewer', 'trader']);
    assert.deepEqual(compiled.limits!.content!.limits[0]!.rates['premium'], { limit: 1000, windowMs: 60_000 });
  });

  it('read schemas of ConfigMaps, as Kubernetes writes them', () => {
    const access = rule(
      '{name: note, match: {paths: [/notes]}, allow: [{authenticated: true}], body: {schemaRef: {configMap: {name: s, key: n.json}}}}',
    );
    const labels = '{portcullis.dev/allow-reference: "true"}';
    const configMap = (metadata: string, data: string) =>
      `apiVersion: v1\nkind: ConfigMap\nmetadata: ${metadata}\ndata: ${data}\n`;
    const good = check({ access, more: configMap(`{name: s, labels: ${labels}}`, `{n.json: '{"type":"object"}'}`) });
    assert.deepEqual(good.problems, []);
    const { content } = good.policies!.compile(() => ({ serial: 5, verificationKeys: [] })).access;
    assert.deepEqual(content!.rules.at(-1)?.body?.schema, { type: 'object' });
    const texts = (more: string) => check({ access, more }).problems.map(({ text }) => text.replace(/^.*?: /, ''));
    assert.deepEqual(texts(configMap('{name: s}', '{}')), [
      'ConfigMap default/s may not be read by policies; give it the label portcullis.dev/allow-reference: "true"',
    ]);
    assert.match(texts(configMap('{}', '{}'))[0]!, /is required: the name of the ConfigMap/);
    assert.match(texts(configMap('{name: s}', '{n.json: {}}'))[0]!, /must be a string; write it as a block, after \|/);
  });

  it('of the example are accepted', () => {
    const directory = new URL('../../examples/policies/', import.meta.url);
    const files = readdirSync(directory).map((file) => ({
      file,
      text: readFileSync(new URL(file, directory), 'utf8'),
    }));
    const { policies, problems } = checkPolicies(files, choice);
    assert.deepEqual(problems, []);
    assert.notEqual(policies, null);
  });

  const table: readonly [name: string, sources: Sources, ...texts: string[]][] = [
    [
      'unknown field',
      { access: edited(ACCESS, 'methods: [GET]}', 'method: [GET]}') },
      'policies/access.yaml:14:33 spec.rules[0].match.method: unknown field; did you mean methods?',
    ],
    [
      'bad duration',
      { keys: edited(KEYS, '1h', '1 hour') },
      'policies/keys.yaml:8:3 spec.maxTokenLifetime: write a duration such as 90s, 10m or 1h30m (units h, m, s, ms)',
    ],
    [
      'bad rate',
      { limits: edited(LIMITS, '10/1m', '10 per minute') },
      'policies/limits.yaml:10:15 spec.limits[0].rates.anonymous: write a rate such as 10/1m (a count of at least 1, a slash, and a duration of at most 744h), or Unlimited',
    ],
    [
      'a role that inherits itself',
      { access: edited(ACCESS, '[orders:read]}', '[orders:read], inherits: [trader]}') },
      'policies/access.yaml:10:61 spec.roles[0].inherits[0]: role "viewer" inherits itself (viewer -> trader -> viewer); remove one of these',
      'policies/access.yaml:11:33 spec.roles[1].inherits[0]: role "trader" inherits itself (trader -> viewer -> trader); remove one of these',
    ],
    [
      'an unknown permission',
      { access: edited(ACCESS, '- permissions: [orders:write]', '- permissions: [orders:wirte]') },
      'policies/access.yaml:20:25 spec.rules[1].allow[0].permissions[0]: unknown permission "orders:wirte"; did you mean "orders:write"?',
    ],
    [
      'an unknown role',
      { access: edited(ACCESS, 'roles: [viewer], when', 'roles: [boss], when') },
      'policies/access.yaml:24:20 spec.rules[2].allow[0].roles[0]: unknown role "boss"; there are viewer, trader',
    ],
    [
      'a missing key set',
      { access: edited(ACCESS, 'keySetRef: {name: trading}', 'keySetRef: {name: tradings}') },
      'policies/access.yaml:8:21 spec.authentication.jwt[0].keySetRef.name: key set default/tradings does not exist; there is only default/trading',
    ],
    [
      'a key set of another namespace',
      { access: edited(ACCESS, 'keySetRef: {name: trading}', 'keySetRef: {name: trading, namespace: auth}') },
      'policies/access.yaml:8:36 spec.authentication.jwt[0].keySetRef.namespace: key set auth/trading does not exist, or may not be used from namespace default; in its spec its owner writes usableFrom: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}} (not with an HS algorithm)',
    ],
    [
      'two rules with the same match',
      { access: rule('{name: again, match: {paths: [/orders], methods: [POST]}, allow: [{roles: [trader]}]}') },
      'policies/access.yaml:25:21 spec.rules[3].match: has the same match as rule "place"; put the entries of both under one rule\'s allow, or remove one',
    ],
    [
      'two rules with the same match but for the name of a parameter',
      {
        access: rule('{name: again, match: {paths: ["/orders/{order}"], methods: [GET]}, allow: [{roles: [trader]}]}'),
      },
      'policies/access.yaml:25:21 spec.rules[3].match: has the same match as rule "read"; put the entries of both under one rule\'s allow, or remove one',
    ],
    [
      'a rule that can never match',
      {
        access: `${rule('{name: all, match: {paths: [/a], methods: [GET, POST]}, allow: [{anonymous: true}]}')}    - {name: one, match: {paths: [/a], methods: [POST]}, allow: [{anonymous: true}]}\n`,
      },
      'policies/access.yaml:26:19 spec.rules[4].match: can never match: every request that it describes is decided by rule "all"; remove it, or match something that those leave',
    ],
    [
      'a rule that can match in part only',
      {
        access: rule('{name: both, match: {paths: [/orders], methods: [POST, DELETE]}, allow: [{roles: [trader]}]}'),
      },
      'policies/access.yaml:25:20 spec.rules[3].match: rule "place" decides POST /orders already; remove that from one of the two',
    ],
    [
      'a tier without a rate',
      { limits: edited(LIMITS, ', premium: 1000/1m', '') },
      'policies/limits.yaml:10:7 spec.limits[0].rates.premium: tier "premium" has no rate; write premium: 10/1m, premium: Unlimited, or a default for the tiers not named',
    ],
    [
      'a rate without a tier',
      { limits: edited(LIMITS, 'premium: 1000/1m', 'premium: 1000/1m, premum: 1/1m') },
      'policies/limits.yaml:10:74 spec.limits[0].rates.premum: unknown tier "premum"; did you mean "premium"?',
    ],
    [
      'CEL that is not bool',
      { access: edited(ACCESS, 'claims.sub == path.id', 'path.id') },
      'policies/access.yaml:24:29 spec.rules[2].allow[0].when: expression is of type string, not bool; compare it, as in `… == true` (at character 1 of the expression)',
    ],
    [
      'CEL with a regular expression that RE2 refuses',
      { access: edited(ACCESS, 'when: claims.sub == path.id', `when: 'path.id.matches("(?=a)")'`) },
      /access\.yaml:24:29 spec\.rules\[2\]\.allow\[0\]\.when: .*\(at character 17 of the expression\)/.source,
    ],
    [
      'CEL that reads a parameter that the path does not have',
      { access: edited(ACCESS, 'path.id', 'path.order') },
      'policies/access.yaml:24:29 spec.rules[2].allow[0].when: reads path.order, but /orders/{id} has no {order}; name the parameter so, or split the rule',
    ],
    [
      'YAML that is broken',
      { limits: edited(LIMITS, 'key: [user]', 'key: [user') },
      'policies/limits.yaml:10:7 not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    [
      'the same object twice',
      { more: KEYS },
      'policies/more.yaml:3:12 metadata.name: SigningKeySet default/trading stands at policies/keys.yaml:1 already; give one of them another name',
    ],
    [
      'a kind misspelt',
      { access: edited(ACCESS, 'AccessPolicy', 'AcessPolicy') },
      'policies/access.yaml:2:1 kind: must be one of SigningKeySet, AccessPolicy, RateLimitPolicy; did you mean AccessPolicy?',
    ],
    [
      'a store whose Secret is missing',
      { limits: edited(LIMITS, 'spec:', 'spec:\n  store: {redis: {secretRef: {name: redis-url}}}') },
      'policies/limits.yaml:5:31 spec.store.redis.secretRef.name: Secret default/redis-url does not exist; add it, with the URL as its key url',
    ],
    [
      'a store whose Secret is not for policies',
      {
        limits: edited(LIMITS, 'spec:', 'spec:\n  store: {redis: {secretRef: {name: redis-url}}}'),
        more: edited(STORE, '"true"', '"yes"'),
      },
      'policies/limits.yaml:5:31 spec.store.redis.secretRef.name: Secret default/redis-url may not be read by policies; give it the label portcullis.dev/allow-reference: "true"',
    ],
    [
      'two stores',
      {
        access: edited(ACCESS, 'spec:', 'spec:\n  store: {redis: {secretRef: {name: other}}}'),
        limits: edited(LIMITS, 'spec:', 'spec:\n  store: {redis: {secretRef: {name: redis-url}}}'),
        more: `${STORE}---\n${STORE.replace('redis-url', 'other').replace('6379', '6380')}`,
      },
      'policies/limits.yaml:5:3 spec.store: is another store than that of AccessPolicy default/orders; name the same Secret in both, or leave one out',
    ],
    [
      'a Secret in no base64, whose value is not shown',
      { more: edited(STORE, 'stringData: {url: "redis://127.0.0.1:6379"}', 'data: {url: "redis://hunter2"}') },
      'policies/more.yaml:4:8 data.url: must be base64; write plain text under stringData',
    ],
    [
      'everything at once',
      {
        access: edited(
          edited(ACCESS, 'orders:read]}', 'orders:read], colour: red}'),
          'orders:write]\n',
          'orders:wirte]\n',
        ),
        limits: edited(LIMITS, '10/1m', 'ten'),
        keys: edited(KEYS, 'ES256', 'ES265'),
      },
      'policies/keys.yaml:5:3 spec.algorithm: must be one of HS256, HS384, HS512, RS256, PS256, ES256, ES384, EdDSA, Fernet, not "ES265"; did you mean ES256?',
      'policies/access.yaml:10:50 spec.roles[0].colour: unknown field; there are name, inherits, permissions',
      'policies/access.yaml:20:25 spec.rules[1].allow[0].permissions[0]: unknown permission "orders:wirte"; did you mean "orders:write"?',
      'policies/limits.yaml:10:15 spec.limits[0].rates.anonymous: write a rate such as 10/1m (a count of at least 1, a slash, and a duration of at most 744h), or Unlimited',
    ],
  ];
  for (const [name, sources, ...texts] of table) {
    it(`refuses ${name}`, () => {
      const { policies, problems } = check(sources);
      assert.equal(policies, null);
      const found = problems.filter(({ severity }) => severity === 'error').map(({ text }) => text);
      if (texts[0]!.includes('\\')) assert.match(found.join('\n'), new RegExp(texts[0]!));
      else assert.deepEqual(found, texts);
    });
  }

  const never: readonly [path: string, says: RegExp][] = [
    ['/a/../b', /without them|resolves to/],
    ['/a//b', /paths\[0\]: /],
    ['/a%2fb', /paths\[0\]: /],
    ['/a?b', /paths\[0\]: /],
    ['/a#b', /paths\[0\]: /],
    ['a', /paths\[0\]: /],
    ['/**/a', /paths\[0\]: /],
    ['/{x}/{x}', /uses \{x\} twice/],
    ['/a\\b', /paths\[0\]: /],
  ];
  for (const [path, says] of never) {
    it(`refuses the path ${path}, which no request has`, () => {
      const text = `{name: n, match: {paths: [${JSON.stringify(path)}]}, allow: [{anonymous: true}]}`;
      const { policies, problems } = check({ access: rule(text) });
      assert.equal(policies, null);
      assert.equal(problems.length, 1, problems.map(({ text: said }) => said).join('\n'));
      assert.match(problems[0]!.text, /^policies\/access\.yaml:25:33 spec\.rules\[3\]\.match\.paths\[0\]: /);
      assert.match(problems[0]!.text, says);
    });
  }

  const hostsAndMethods: readonly [match: string, says: RegExp][] = [
    ['hosts: [API.x], paths: [/n]', /hosts\[0\]: .*write a lower-case host without port/],
    ['hosts: ["api.x:80"], paths: [/n]', /hosts\[0\]: .*write a lower-case host without port/],
    ['paths: [/n], methods: [get]', /methods\[0\]: "get" is a method that no request arrives with.*did you mean GET\?/],
    ['paths: [/n], methods: [TRACE]', /methods\[0\]: TRACE is refused before any rule/],
    [
      'paths: [/n], methods: [PSOT]',
      /methods\[0\]: "PSOT" is a method that no request arrives with.*did you mean POST\?/,
    ],
  ];
  for (const [match, says] of hostsAndMethods) {
    it(`refuses match {${match}}, which no request has`, () => {
      const { policies, problems } = check({
        access: rule(`{name: n, match: {${match}}, allow: [{anonymous: true}]}`),
      });
      assert.equal(policies, null);
      assert.equal(problems.length, 1);
      assert.match(problems[0]!.text, says);
    });
  }

  it('refuses a path that ends with a slash where slashes are ignored', () => {
    const access = edited(
      rule('{name: n, match: {paths: [/a/]}, allow: [{anonymous: true}]}'),
      'spec:',
      'spec:\n  pathMatching: {trailingSlash: Ignore}',
    );
    assert.match(check({ access }).problems[0]!.text, /:26:33 spec\.rules\[3\]\.match\.paths\[0\]: .*; write \/a$/);
  });

  it('warns about proxies that everybody may be, and goes on', () => {
    const access = edited(ACCESS, 'spec:', 'spec:\n  clientIP: {trustedHops: 1, trustedProxies: [0.0.0.0/0]}');
    const { policies, problems } = check({ access });
    assert.notEqual(policies, null);
    assert.match(
      problems[0]!.text,
      /^policies\/access\.yaml:5:47 spec\.clientIP\.trustedProxies\[0\]: warning: 0\.0\.0\.0\/0 is every address/,
    );
  });

  it('warns about objects that it does not read', () => {
    const { policies, problems } = check({ more: 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n' });
    assert.notEqual(policies, null);
    assert.match(problems[0]!.text, /^policies\/more\.yaml:2:1 kind: warning: Deployment is left out/);
  });

  it('take the store from a Secret, unless it is replaced', () => {
    const sources = {
      limits: edited(LIMITS, 'spec:', 'spec:\n  store: {redis: {secretRef: {name: redis-url}}}'),
      more: STORE,
    };
    const stores = (chosen: Partial<PolicyChoice>) => {
      const { access, limits } = check(sources, chosen).policies!.compile(() => ({ serial: 1, verificationKeys: [] }));
      return [access.content!.store?.redisUrl, limits!.content!.store?.redisUrl];
    };
    assert.deepEqual(stores({}), [undefined, 'redis://127.0.0.1:6379']);
    assert.deepEqual(stores({ redisUrl: 'redis://r:1' }), ['redis://r:1', 'redis://r:1']);
  });

  it('are chosen by name where there are several', () => {
    const more = edited(ACCESS, '{name: orders}', '{name: other}');
    assert.match(
      check({ more }).problems[0]!.text,
      /more than one AccessPolicy, default\/orders, default\/other; choose with --access-policy/,
    );
    const chosen = (accessPolicy: string) => check({ more }, { accessPolicy });
    assert.equal(chosen('other').policies?.accessPolicy.metadata.name, 'other');
    assert.equal(chosen('default/orders').policies?.accessPolicy.metadata.name, 'orders');
    assert.match(
      chosen('third').problems[0]!.text,
      /there is no AccessPolicy third; there are default\/orders, default\/other/,
    );
  });

  it('need an access policy, and no rate limits', () => {
    assert.match(check({ access: '' }).problems[0]!.text, /^policies: there is no AccessPolicy; add one/);
    const { policies, problems } = check({ limits: '' });
    assert.deepEqual([problems, policies?.limitPolicy], [[], null]);
  });
});
