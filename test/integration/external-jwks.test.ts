import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startLocal } from '../../cli/local/start-local.ts';
import type { JwksConfig, JwtAuthenticator } from '../../policy/bundle/types.ts';
import { makeTestKey, mintToken, testAuthenticator, validClaims } from '../../sidecar/tokens/testing/token-fixtures.ts';
import { memoryLog } from '../support/memory-log.ts';
import { type OidcIssuer, startOidcIssuer } from '../support/oidc-issuer.ts';
import { send } from '../support/raw-http.ts';
import { recordingUpstream } from '../support/recording-upstream.ts';
import { portOf, rule, type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const MIN_INTERVAL_MS = 10_000;

describe('an issuer outside, oidc-provider', () => {
  let issuer: OidcIssuer;
  let sut: SidecarUnderTest;
  /** When the sidecar last had reason to fetch. */
  let fetchedAt: number;

  const external = (more: Partial<JwksConfig> = {}): JwtAuthenticator =>
    testAuthenticator([], {
      name: 'login',
      keySet: null,
      keySetSerial: 0,
      issuer: issuer.issuer,
      audiences: [issuer.audience],
      jwks: {
        uri: issuer.jwksUri,
        ca: issuer.ca,
        algorithms: ['RS256'],
        refreshMs: 3_600_000,
        onFailure: 'LastGood',
        allowPrivateAddresses: true,
        ...more,
      },
    });
  const access = (jwt: readonly JwtAuthenticator[]) => ({
    jwt,
    rules: [rule('all', ['/**'], [{ authenticated: true }])],
  });
  const statusWith = async (token: string): Promise<number> =>
    (await send(sut.port, `GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`)).status;
  const metric = async (line: RegExp): Promise<number> =>
    Number(line.exec((await send(sut.adminPort, 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n')).body)?.[1] ?? 0);
  const untilFetchIsAllowed = () => sleep(Math.max(0, fetchedAt + MIN_INTERVAL_MS + 100 - performance.now()));

  before(async () => {
    issuer = await startOidcIssuer('first');
    sut = await startSidecarUnderTest({ access: access([external()]) });
    fetchedAt = performance.now();
  });
  after(async () => {
    await sut.stop();
    await issuer.close();
  });

  it('is believed from the first request on, and no stranger by its name', async () => {
    assert.equal(await statusWith(await issuer.token()), 200);
    assert.deepEqual(sut.sidecar.status().keySets, {}, 'nothing to acknowledge');
    const claims = validClaims(Date.now(), { iss: issuer.issuer, aud: issuer.audience });
    assert.equal(await statusWith(mintToken(makeTestKey('RS256', 'first'), claims)), 401);
    assert.equal(await metric(/jwks_fetches_total\{uri="[^"]+",success="true"\} (\d+)/), 1);
    assert.match(sut.log().join('\n'), /"keys":\["first"\].*JWKS fetched/);
  });

  it('rotates under load, signing by a key that nobody has seen, without a request refused', async () => {
    const statuses = new Map<number, number>();
    const old = await issuer.token();
    let running = true;
    const clients = Array.from({ length: 4 }, async () => {
      while (running) {
        for (const token of [await issuer.token(), old]) {
          const status = await statusWith(token);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
      }
    });
    await untilFetchIsAllowed();
    const before = issuer.jwksRequests;
    issuer.rotate('second', ['first']);
    await sleep(1_000);
    running = false;
    await Promise.all(clients);
    fetchedAt = performance.now();
    assert.deepEqual([...statuses.keys()], [200]);
    assert.equal(issuer.jwksRequests, before + 1);
    console.log(`  ${statuses.get(200)} requests over a rotation`);
  });

  it('is not asked more often by a flood of unknown keys', async () => {
    const before = issuer.jwksRequests;
    const claims = validClaims(Date.now(), { iss: issuer.issuer, aud: issuer.audience });
    const key = makeTestKey('ES256', 'flood');
    const startedAt = performance.now();
    let sent = 0;
    while (performance.now() - startedAt < MIN_INTERVAL_MS + 2_000) {
      const batch = Array.from({ length: 8 }, () => {
        const kid = `flood-${sent++}`;
        return statusWith(mintToken(key, claims, { alg: 'RS256', kid }));
      });
      assert.deepEqual(new Set(await Promise.all(batch)), new Set([401]));
    }
    fetchedAt = performance.now();
    const asked = issuer.jwksRequests - before;
    assert.ok(asked <= 2, `${asked} fetches for ${sent} unknown keys`);
    assert.equal(await statusWith(await issuer.token()), 200);
    console.log(`  ${asked} fetches for ${sent} unknown keys in 12 s`);
  });

  it('is not fetched anew, nor forgotten, when the policy changes', async () => {
    const [before, token] = [issuer.jwksRequests, await issuer.token()];
    await sut.publish({ access: { ...access([external()]), securityHeaders: [['x-second', '1']] } });
    assert.equal(await statusWith(token), 200);
    assert.equal(issuer.jwksRequests, before);
    // Other settings for the same place: known at once, though the issuer is silent now.
    issuer.publishes = false;
    await sut.publish({ access: access([external({ refreshMs: 7_200_000 })]) });
    assert.equal(await statusWith(token), 200);
    assert.equal(await statusWith(await issuer.token()), 200);
  });

  it('has its tokens refused, and counted, where its keys never came; others pass', async () => {
    const own = makeTestKey('ES256', 'own');
    await sut.publish({ access: access([testAuthenticator([own]), external({ ca: null })]) });
    assert.equal(await statusWith(await issuer.token()), 401);
    assert.equal(await statusWith(mintToken(own, validClaims(Date.now()))), 200);
    assert.equal(await metric(/jwt_validation_failures_total\{reason="jwks_unavailable"\} (\d+)/), 1);
    assert.equal((await send(sut.adminPort, 'GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n')).status, 200);
    assert.match(sut.log().join('\n'), /certificate.*JWKS not fetched/);
  });

  it('is not asked at a private address where the policy does not allow it', async () => {
    issuer.publishes = true;
    const before = issuer.jwksRequests;
    await sut.publish({ access: access([external({ allowPrivateAddresses: false })]) });
    assert.equal(await statusWith(await issuer.token()), 401);
    assert.equal(issuer.jwksRequests, before);
    assert.match(sut.log().join('\n'), /localhost leads to .*which is loopback.*JWKS not fetched/);
  });
});

const policyOf = ({ issuer, jwksUri, audience, ca }: OidcIssuer): string => `apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: {name: orders}
spec:
  authentication:
    jwt:
      - name: login
        jwks: {uri: "${jwksUri}", caSecretRef: {name: login-ca}, allowPrivateAddresses: true}
        issuer: "${issuer}"
        audiences: ["${audience}"]
  rules:
    - {name: all, match: {paths: ["/**"]}, allow: [{authenticated: true}]}
---
apiVersion: v1
kind: Secret
metadata: {name: login-ca, labels: {portcullis.dev/allow-reference: "true"}}
stringData:
  ca.crt: ${JSON.stringify(ca)}
`;

it('an issuer outside, in local mode, by a policy and a Secret', async () => {
  const issuer = await startOidcIssuer('first');
  const upstream = await recordingUpstream();
  const directory = await mkdtemp(join(tmpdir(), 'portcullis-local-'));
  const policies = join(directory, 'policies');
  await mkdir(policies);
  await writeFile(join(policies, 'access.yaml'), policyOf(issuer));
  const local = await startLocal(
    {
      policies,
      upstream: { host: '127.0.0.1', port: upstream.port },
      listen: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      state: join(directory, 'state'),
      redisUrl: null,
      accessPolicy: null,
      rateLimitPolicy: null,
    },
    { sink: memoryLog(), say: () => {}, now: Date.now, version: '0.0.0' },
  );
  try {
    const ask = async (token: string) =>
      (await send(portOf(local.sidecar), `GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`)).status;
    const token = await issuer.token();
    assert.equal(await ask(token), 200);
    assert.equal(await ask(`${token.slice(0, -8)}AAAAAAAA`), 401);
  } finally {
    await local.stop();
    await Promise.all([upstream.close(), issuer.close()]);
    await rm(directory, { recursive: true });
  }
});
