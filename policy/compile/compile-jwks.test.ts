import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AccessPolicy } from '../api/access-policy.ts';
import { decodeResource } from '../api/decode.ts';
import { LABELS } from '../api/names.ts';
import { formatPath } from '../api/problem.ts';
import { API_VERSION } from '../api/resource.ts';
import { compileAccessPolicy } from './compile-access-policy.ts';
import type { ReferencedSecret } from './references.ts';

const URI = 'https://login.example.com/jwks.json';
/** Of a key that is nowhere any more. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBRTCB66ADAgECAhBhBsY9fEy3t7uTK4F90OjJMAoGCCqGSM49BAMCMBoxGDAW
BgNVBAMTD2Zha2UtYXBpLXNlcnZlcjAeFw0yNjExMjAxODQ2MTFaFw0yNjExMjIx
ODQ2MTFaMBoxGDAWBgNVBAMTD2Zha2UtYXBpLXNlcnZlcjBZMBMGByqGSM49AgEG
CCqGSM49AwEHA0IABLH7Xk0PVtIoYRoAS6ipC3mkxKpGMsk4dqBlMaA2BgG17xBG
iXBMhiZHN027uQS7cCzE4hqFBUsGko1PwVMxQsWjEzARMA8GA1UdEQQIMAaHBH8A
AAEwCgYIKoZIzj0EAwIDSQAwRgIhAI6jthZ+RbQrbzQO0jGLYxhU0VZgn2nD9QKr
7P22EcLRAiEA6ASTFwO1QgxrHwYyHtkWu3p5uJ/fngAICs5tSAD0vac=
-----END CERTIFICATE-----`;
const CA_PATH = 'spec.authentication.jwt[0].jwks.caSecretRef.name';

function compile(jwks: object, secrets: readonly ReferencedSecret[] = [], more: object = {}) {
  const jwt = [{ name: 'login', jwks: { uri: URI, ...jwks }, issuer: 'login', audiences: ['api'], ...more }];
  const metadata = { namespace: 'shop', name: 'orders' };
  const decoded = decodeResource({
    apiVersion: API_VERSION,
    kind: 'AccessPolicy',
    metadata,
    spec: { authentication: { jwt } },
  });
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  const none = { keySets: [], namespaces: [], storeOverride: null, defaultStore: null, defaultClientIp: null };
  const { content, findings } = compileAccessPolicy(decoded.resource as AccessPolicy, { ...none, secrets });
  return {
    jwt: content?.jwt[0],
    said: findings.map(({ code, path, message }) => `${code} ${formatPath(path)}: ${message}`),
  };
}

function secret(data: ReferencedSecret['data'], more: Partial<ReferencedSecret> = {}): ReferencedSecret {
  return { namespace: 'shop', name: 'ca', labels: { [LABELS.allowReference]: 'true' }, data, ...more };
}

describe('an issuer by its JWKS', () => {
  it('has every default filled in and no key set to acknowledge', () => {
    const { jwt, said } = compile({});
    assert.deepEqual(said, []);
    assert.deepEqual(jwt, {
      name: 'login',
      keySet: null,
      keySetSerial: 0,
      jwks: {
        uri: URI,
        ca: null,
        algorithms: ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'],
        refreshMs: 600_000,
        onFailure: 'LastGood',
        allowPrivateAddresses: false,
      },
      issuer: 'login',
      audiences: ['api'],
      clockSkewMs: 60_000,
      maxTokenLifetimeMs: 86_400_000,
      requiredClaims: [],
      from: [{ kind: 'header', header: 'authorization', scheme: 'Bearer' }],
      keys: [],
    });
  });

  it('has what is written', () => {
    const jwks = { algorithms: ['ES256'], refresh: '1h', onFailure: 'Deny', allowPrivateAddresses: true };
    const { jwt } = compile(jwks, [], { clockSkew: '0s', maxTokenLifetime: '1h' });
    const expected = { algorithms: ['ES256'], refreshMs: 3_600_000, onFailure: 'Deny', allowPrivateAddresses: true };
    assert.deepEqual(jwt?.jwks, { uri: URI, ca: null, ...expected });
    assert.deepEqual([jwt?.clockSkewMs, jwt?.maxTokenLifetimeMs], [0, 3_600_000]);
  });

  it('has the certificates of its Secret, without what stands around them', () => {
    const pem = `subject=CN = a\n${CERTIFICATE}\n\nsubject=CN = b\n${CERTIFICATE}\n`;
    const { jwt, said } = compile({ caSecretRef: { name: 'ca' } }, [secret({ 'ca.crt': pem })]);
    assert.deepEqual(said, []);
    assert.equal(jwt?.jwks?.ca, `${CERTIFICATE}\n${CERTIFICATE}\n`);
  });

  const rows: readonly [name: string, secrets: readonly ReferencedSecret[], said: RegExp][] = [
    [
      'no Secret',
      [],
      /^RefNotFound .*Secret shop\/ca does not exist; add it, with the certificates, PEM, as its key ca.crt/,
    ],
    ['a Secret of another namespace', [secret({ 'ca.crt': CERTIFICATE }, { namespace: 'auth' })], /^RefNotFound /],
    ['a Secret without the label', [secret({ 'ca.crt': CERTIFICATE }, { labels: {} })], /^RefNotPermitted .*label/],
    ['a Secret without the key', [secret({ url: CERTIFICATE })], /^RefNotFound .*has no key ca.crt/],
    ['no certificate', [secret({ 'ca.crt': 'hello' })], /^RefNotFound .*has no key ca.crt with certificates/],
    ['a broken certificate', [secret({ 'ca.crt': CERTIFICATE.replace('MII', 'AAA') })], /^RefNotFound /],
    ['a key instead', [secret({ 'ca.crt': CERTIFICATE.replaceAll('CERTIFICATE', 'PRIVATE KEY') })], /^RefNotFound /],
    ['too much', [secret({ 'ca.crt': `${CERTIFICATE}${' '.repeat(32_768)}` })], /^RefNotFound .*at most 32 KiB/],
  ];
  for (const [name, secrets, expected] of rows) {
    it(`is not compiled: ${name}`, () => {
      const { jwt, said } = compile({ caSecretRef: { name: 'ca' } }, secrets);
      assert.equal(jwt, undefined);
      assert.equal(said.length, 1);
      const [line = ''] = said;
      assert.match(line, expected);
      assert.ok(line.includes(`${CA_PATH}:`), line);
      assert.doesNotMatch(line, /MII|hello/);
    });
  }
});
