import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Decoded, decodeResource } from './decode.ts';
import { formatPath } from './problem.ts';
import { prePublishOf, type SigningKeySet } from './signing-key-set.ts';

const document = (kind: string, spec: unknown, metadata: object = { name: 'x' }) => ({
  apiVersion: 'portcullis.dev/v1alpha1',
  kind,
  metadata,
  spec,
});

const keySet = { algorithm: 'ES256', issuer: 'https://auth.example', audiences: ['api'], maxTokenLifetime: '1h' };

function problems(decoded: Decoded): string[] {
  assert.ok('problems' in decoded, 'taken');
  return decoded.problems.map(({ path, message }) => `${formatPath(path)}: ${message}`);
}

function resource<Kind extends string>(decoded: Decoded, kind: Kind) {
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  assert.equal(decoded.resource.kind, kind);
  return decoded.resource;
}

test('fills in every default of a key set but prePublish, which depends on the algorithm', () => {
  const decoded = resource(decodeResource(document('SigningKeySet', keySet)), 'SigningKeySet') as SigningKeySet;
  assert.deepEqual(decoded, {
    ...document('SigningKeySet', {
      ...keySet,
      rotation: { period: '720h', maxKeys: 8, ackTimeout: '24h', suspend: false },
      propagation: '120s',
      jwksMaxAge: '600s',
      clockSkew: '60s',
      revocations: [],
      deletionPolicy: 'Retain',
    }),
    metadata: { name: 'x', namespace: 'default' },
  });
  assert.equal(prePublishOf(decoded.spec), '24h');
  assert.equal(prePublishOf({ ...decoded.spec, algorithm: 'HS256' }), '1h');
});

test('defaults are not shared between resources', () => {
  const decode = () => resource(decodeResource(document('AccessPolicy', {})), 'AccessPolicy');
  const [one, other] = [decode(), decode()];
  assert.deepEqual(one, other);
  assert.notEqual(Reflect.get(one.spec, 'identity'), Reflect.get(other.spec, 'identity'));
});

test('reports every problem at once, each at its place', () => {
  const spec = {
    ...keySet,
    algorithm: 'ES265',
    audiences: [1],
    rotaton: {},
    propagation: 120,
    clockSkew: '1 minute',
    escrow: { on: true },
  };
  assert.deepEqual(problems(decodeResource(document('SigningKeySet', spec, { name: 'Upper', label: {} }))), [
    'metadata.label: unknown field; did you mean labels?',
    'metadata.name: write the name of a Kubernetes object: letters in lower case, digits, . and -',
    'spec.rotaton: unknown field; did you mean rotation?',
    'spec.algorithm: must be one of HS256, HS384, HS512, RS256, PS256, ES256, ES384, EdDSA, Fernet, not "ES265"; did you mean ES256?',
    'spec.audiences[0]: must be a string, not 1; put it in quotes: "1"',
    'spec.propagation: must be a string, not 120; write a duration such as 90s, 10m or 1h30m (units h, m, s, ms)',
    'spec.clockSkew: write a duration such as 90s, 10m or 1h30m (units h, m, s, ms)',
    'spec.escrow.on: unknown field; there are recipientsSecretRef, required',
    'spec.escrow.recipientsSecretRef: is required: The Secret whose values are armoured OpenPGP public keys, one recipient each.',
  ]);
});

test('an unknown field does not hide what rules say', () => {
  const spec = { ...keySet, nonsense: 1, rotation: { period: '1h' } };
  const said = problems(decodeResource(document('SigningKeySet', spec)));
  assert.equal(said.length, 2);
  assert.match(said[1]!, /^spec\.rotation\.period: rotation\.period must be longer/);
});

test('a role or tier is blamed where it is named', () => {
  const spec = {
    authentication: { jwt: [{ name: 'j', keySetRef: { name: 'k' } }] },
    roles: [{ name: 'a' }, { name: 'b', inherits: ['a', 'c'] }],
    rules: [{ name: 'r', match: { paths: ['/'] }, allow: [{ authenticated: true }, { roles: ['a', 'zz'] }] }],
  };
  assert.deepEqual(
    problems(decodeResource(document('AccessPolicy', spec))).map((said) => said.slice(0, said.indexOf(':'))),
    ['spec.roles[1].inherits[1]'],
  );
  spec.roles[1]!.inherits = ['a'];
  assert.deepEqual(
    problems(decodeResource(document('AccessPolicy', spec))).map((said) => said.slice(0, said.indexOf(':'))),
    ['spec.rules[0].allow[1].roles[1]'],
  );
});

const strangers: readonly [name: string, value: unknown, said: RegExp][] = [
  ['nothing', null, /^: must be one resource/],
  ['a list', [], /^: must be one resource/],
  ['another group', { apiVersion: 'v1', kind: 'Secret' }, /^apiVersion: must be portcullis.dev\/v1alpha1/],
  ['an unknown kind', document('AccessPolcy', {}), /^kind: .*did you mean AccessPolicy/],
  ['no metadata', { apiVersion: 'portcullis.dev/v1alpha1', kind: 'AccessPolicy', spec: {} }, /^metadata: is required/],
  ['a spec that is a list', document('AccessPolicy', []), /^spec: must be an object, not a list/],
  ['a member named like a method', document('AccessPolicy', { toString: 1 }), /^spec\.toString: unknown field/],
];

for (const [name, value, said] of strangers) {
  test(`refuses ${name}`, () => assert.match(problems(decodeResource(value))[0]!, said));
}

test('takes what kubectl get -o yaml prints, and does not read status', () => {
  const metadata = {
    name: 'x',
    namespace: 'n',
    uid: 'u',
    generation: 3,
    resourceVersion: '7',
    managedFields: [{}],
    labels: { a: 'b' },
  };
  const decoded = resource(
    decodeResource({ ...document('AccessPolicy', {}, metadata), status: 'anything' }),
    'AccessPolicy',
  );
  assert.deepEqual(decoded.metadata, { name: 'x', namespace: 'n', uid: 'u', generation: 3, labels: { a: 'b' } });
  assert.equal(decoded.status, undefined);
});

test('never throws, and what it took it takes again unchanged', () => {
  const runs = Number(process.env['FC_RUNS'] ?? 500);
  const kind = fc.constantFrom('SigningKeySet', 'AccessPolicy', 'RateLimitPolicy');
  const member = fc.constantFrom(
    'roles',
    'rules',
    'tiers',
    'limits',
    'rotation',
    'cors',
    'mode',
    'identity',
    'timeouts',
  );
  const spec = fc.oneof(fc.jsonValue(), fc.dictionary(member, fc.jsonValue(), { maxKeys: 2 }));
  fc.assert(
    fc.property(kind, spec, (kind, spec) => {
      const decoded = decodeResource(
        document(kind, kind === 'SigningKeySet' && typeof spec === 'object' ? { ...keySet, ...spec } : spec),
      );
      if ('resource' in decoded) assert.deepEqual(decodeResource(decoded.resource), decoded);
    }),
    { numRuns: runs },
  );
});
