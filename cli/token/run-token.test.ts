import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import { generateKey } from '../../operator/signing-keys/generate-key.ts';
import { reconcileKeySet } from '../../operator/signing-keys/reconcile-key-set.ts';
import { JWT_ALGORITHMS } from '../../policy/bundle/types.ts';
import { KEY_SET_ALGORITHMS, type KeySetAlgorithm } from '../../policy/keys/algorithms.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import { HOUR, rotating } from '../../policy/keys/testing/fixtures.ts';
import { testAuthenticator } from '../../sidecar/tokens/testing/token-fixtures.ts';
import { createTokenVerifier } from '../../sidecar/tokens/verifier.ts';
import { DirectoryKeyStore } from '../local/directory-key-store.ts';
import { runToken } from './run-token.ts';

const NOW = 1_800_000_000_500;
const scratch = await mkdtemp(join(tmpdir(), 'portcullis-token-'));
after(() => rm(scratch, { recursive: true }));
const state = join(scratch, 'state');

const TERMS = { name: 'trading', issuer: 'https://auth.example', audiences: ['trading-api'] };

async function makeKeySet(namespace: string, algorithm: KeySetAlgorithm, maxTokenLifetimeMs: number) {
  const spec = { ...rotating({ prePublishMs: HOUR }), namespace, algorithm, maxTokenLifetimeMs };
  const store =
    algorithm === 'Fernet'
      ? new DirectoryKeyStore(state, spec)
      : await DirectoryKeyStore.open(state, { ...TERMS, namespace, maxTokenLifetimeMs });
  const { outputs } = await reconcileKeySet({
    spec,
    store,
    now: () => NOW,
    generateKey,
    recipients: async () => ({ kind: 'Off' }),
    acknowledgements: [],
  });
  assert(outputs !== null);
  return outputs;
}

const sets = new Map<string, KeySetOutputs>([
  ['default', await makeKeySet('default', 'ES256', HOUR)],
  ['auth', await makeKeySet('auth', 'HS256', 2_000)],
]);
for (const algorithm of KEY_SET_ALGORITHMS) {
  sets.set(algorithm.toLowerCase(), await makeKeySet(algorithm.toLowerCase(), algorithm, HOUR));
}
const bare = join(scratch, 'bare');
await DirectoryKeyStore.open(bare, { ...TERMS, namespace: 'auth', maxTokenLifetimeMs: HOUR });

async function run(...argv: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runToken(argv, {
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    now: () => NOW,
  });
  return { code, out: out.join(''), err: err.join('') };
}

const minted: readonly { name: string; argv: readonly string[]; set: string; seconds: number }[] = [
  { name: 'namespace default, 5m', argv: ['--key-set', 'trading'], set: 'default', seconds: 300 },
  {
    name: 'a given lifetime',
    argv: ['--key-set', 'default/trading', '--expires-in', '1h'],
    set: 'default',
    seconds: 3600,
  },
  {
    name: 'another namespace, HS256, maxTokenLifetime below 5m',
    argv: ['--key-set', 'auth/trading'],
    set: 'auth',
    seconds: 2,
  },
  ...JWT_ALGORITHMS.map((algorithm) => {
    const set = algorithm.toLowerCase();
    return { name: algorithm, argv: ['--key-set', `${set}/trading`], set, seconds: 300 };
  }),
];

for (const { name, argv, set, seconds } of minted) {
  test(`a token alone on its line, which the published key verifies, and the sidecar: ${name}`, async () => {
    const { code, out, err } = await run('--state', state, '--claims', '{"sub":"u1","roles":["trader"]}', ...argv);
    assert.deepEqual([code, err], [0, '']);
    assert.match(out, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const token = out.trim();
    const { issuing, verificationKeys } = sets.get(set) ?? {};
    assert(issuing && verificationKeys);
    assert.deepEqual(decodeProtectedHeader(token), { alg: issuing.algorithm, kid: issuing.kid, typ: 'JWT' });
    const key = verificationKeys.find(({ kid }) => kid === issuing.kid);
    const { payload } = await jwtVerify(token, await importJWK({ ...key?.jwk }, issuing.algorithm), {
      currentDate: new Date(NOW),
    });
    const { jti, ...claims } = payload;
    assert.match(jti ?? '', /^[0-9a-f-]{36}$/);
    const iat = Math.floor(NOW / 1000);
    assert.deepEqual(claims, {
      sub: 'u1',
      roles: ['trader'],
      iss: 'https://auth.example',
      aud: ['trading-api'],
      iat,
      exp: iat + seconds,
    });
    const authenticator = testAuthenticator([], {
      issuer: TERMS.issuer,
      audiences: TERMS.audiences,
      keys: verificationKeys,
    });
    const verdict = await createTokenVerifier([authenticator]).verify(token, NOW);
    assert(typeof verdict === 'object', String(verdict));
    assert.equal(verdict.kid, issuing.kid);
  });
}

test('jti and nbf of the claims are kept', async () => {
  const { out } = await run('--state', state, '--key-set', 'trading', '--claims', '{"jti":"mine","nbf":7}');
  const { jti, nbf } = decodeJwt(out.trim());
  assert.deepEqual([jti, nbf], ['mine', 7]);
});

const good = ['--state', state, '--key-set', 'trading', '--claims', '{}'];

const refused: readonly { name: string; argv: readonly string[]; says: RegExp }[] = [
  {
    name: 'nothing given',
    argv: [],
    says: /missing --state DIR or --kube, --key-set NAME, --claims JSON; see portcullis token --help/,
  },
  { name: 'an unknown flag', argv: [...good, '--key'], says: /Unknown option '--key'.*--help/ },
  { name: 'a stray word', argv: [...good, 'x'], says: /Unexpected argument 'x'/ },
  {
    name: 'an unknown key set',
    argv: [...good, '--key-set', 'tradin'],
    says: /no key set default\/tradin .*it holds auth\/trading, default\/trading, eddsa\/trading/,
  },
  { name: 'a path for a key set', argv: [...good, '--key-set', '../../etc'], says: /no key set/ },
  {
    name: 'no state directory',
    argv: [...good, '--state', join(scratch, 'none')],
    says: /it holds none; run portcullis local with the same --state/,
  },
  {
    name: 'a key set without a key',
    argv: ['--state', bare, '--key-set', 'auth/trading', '--claims', '{}'],
    says: /has no key yet; run portcullis local/,
  },
  {
    name: 'a key set of Fernet',
    argv: [...good, '--key-set', 'fernet/trading'],
    says: /key set fernet\/trading is for Fernet, which signs no tokens; name one of another algorithm/,
  },
  { name: 'claims that are no JSON', argv: [...good, '--claims', 'sub=u1'], says: /--claims must be JSON, such as/ },
  {
    name: 'claims that are no object',
    argv: [...good, '--claims', '["sub"]'],
    says: /--claims must be a JSON object, such as/,
  },
  {
    name: 'reserved claims',
    argv: [...good, '--claims', '{"exp":1,"iss":"x"}'],
    says: /must not set iss, exp: .*--expires-in gives exp/,
  },
  {
    name: 'no duration',
    argv: [...good, '--expires-in', '5 minutes'],
    says: /--expires-in must be a duration such as 90s/,
  },
  {
    name: 'longer than maxTokenLifetime',
    argv: [...good, '--expires-in', '1h1s'],
    says: /from 1s to 3600s .*not 3601s/,
  },
  { name: 'less than a second', argv: [...good, '--expires-in', '999ms'], says: /from 1s/ },
];

for (const { name, argv, says } of refused) {
  test(`refused with exit code 2 and a remedy: ${name}`, async () => {
    const { code, out, err } = await run(...argv);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, says);
    assert.match(err, /^portcullis token: .*\n$/);
  });
}

test('--help', async () => {
  const { code, out } = await run('--help');
  assert.equal(code, 0);
  for (const flag of ['--state', '--key-set', '--claims', '--expires-in']) assert(out.includes(flag));
});
