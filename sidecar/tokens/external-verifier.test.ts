import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { JwksConfig, JwtAuthenticator } from '../../policy/bundle/types.ts';
import { createExternalVerifier } from './external-verifier.ts';
import { FakeIssuer } from './testing/fake-issuer.ts';
import { makeTestKey, mintToken, type TestKey, testAuthenticator, validClaims } from './testing/token-fixtures.ts';
import type { TokenVerdict, TokenVerifier } from './token-verifier.ts';

const NOW = 1_800_000_000_000;
const jwks: JwksConfig = {
  uri: 'https://login.example/jwks.json',
  ca: null,
  algorithms: ['ES256'],
  refreshMs: 600_000,
  onFailure: 'LastGood',
  allowPrivateAddresses: false,
};
const LOGIN = 'https://login.example';
const ownKey = makeTestKey('ES256', 'own');
const one = makeTestKey('ES256', 'one');
const two = makeTestKey('ES256', 'two');
const own = testAuthenticator([ownKey]);
const login = testAuthenticator([], { name: 'login', issuer: LOGIN, keySet: null, keySetSerial: 0, jwks });

const tokenOf = (key: TestKey, iss = LOGIN) => mintToken(key, validClaims(NOW, { iss }));
const said = (verdict: TokenVerdict) => (typeof verdict === 'string' ? verdict : verdict.authenticator);

describe('verifying tokens of issuers outside', () => {
  let issuer: FakeIssuer;
  const verifierOf = (authenticators: readonly JwtAuthenticator[], previous?: TokenVerifier) => {
    issuer.jwks.open(authenticators);
    return createExternalVerifier(authenticators, issuer.jwks, previous);
  };
  const verify = async (verifier: TokenVerifier, token: string) => said(await verifier.verify(token, NOW));
  beforeEach(() => {
    issuer = new FakeIssuer([one]);
  });

  it('waits for the first keys, and for nobody else', async () => {
    issuer.hold();
    const verifier = verifierOf([own, login]);
    const waiting = verify(verifier, tokenOf(one));
    assert.equal(await verify(verifier, tokenOf(ownKey, own.issuer)), 'trading');
    assert.equal(verifier.verify(tokenOf(one, 'https://stranger.example'), NOW), 'unknown_key');
    await issuer.answer();
    assert.equal(await waiting, 'login');
  });

  it('says so where no keys ever came, without asking again', async () => {
    issuer.keys = null;
    const verifier = verifierOf([own, login]);
    assert.equal(await verify(verifier, tokenOf(one)), 'jwks_unavailable');
    assert.equal(verifier.verify(tokenOf(one), NOW), 'jwks_unavailable');
    assert.equal(issuer.fetches.length, 1);
    assert.equal(await verify(verifier, tokenOf(ownKey, own.issuer)), 'trading');
    issuer.keys = [one];
    await issuer.pass(10_000);
    assert.equal(await verify(verifier, tokenOf(one)), 'login');
  });

  it('takes a new key the first time that a token names it; those verified before stay known', async () => {
    const verifier = verifierOf([login]);
    const before = tokenOf(one);
    assert.equal(await verify(verifier, before), 'login');
    issuer.keys = [one, two];
    issuer.now += 10_000;
    assert.equal(await verify(verifier, tokenOf(two)), 'login');
    assert.equal(issuer.fetches.length, 2);
    assert.ok(!(verifier.verify(before, NOW) instanceof Promise));
    issuer.keys = [two];
    await issuer.pass(600_000);
    assert.equal(await verify(verifier, before), 'unknown_key');
    assert.equal(await verify(verifier, tokenOf(two)), 'login');
  });

  it('refuses verified tokens, too, once their keys are too old under Deny', async () => {
    const deny = { ...login, jwks: { ...jwks, onFailure: 'Deny' } as const };
    const verifier = verifierOf([deny]);
    const token = tokenOf(one);
    assert.equal(await verify(verifier, token), 'login');
    issuer.keys = null;
    await issuer.pass(1_199_000);
    assert.equal(await verify(verifier, token), 'login');
    await issuer.pass(1_000);
    assert.equal(await verify(verifier, token), 'jwks_unavailable');
  });

  it('fetches once an interval, however many unknown keys are named', async () => {
    const verifier = verifierOf([login]);
    assert.equal(await verify(verifier, tokenOf(one)), 'login');
    for (let second = 0; second < 100; second++) {
      await issuer.pass(1_000);
      const verdicts = Array.from({ length: 20 }, (_, n) =>
        verify(verifier, tokenOf({ ...two, verification: { ...two.verification, kid: `k${n}` } })),
      );
      assert.deepEqual(new Set(await Promise.all(verdicts)), new Set(['unknown_key']));
    }
    assert.equal(issuer.fetches.length, 1 + 10);
  });

  it('binds keys to their issuer', async () => {
    const verifier = verifierOf([own, login]);
    assert.equal(await verify(verifier, tokenOf(one)), 'login');
    assert.equal(await verify(verifier, tokenOf(one, own.issuer)), 'issuer');
    assert.equal(await verify(verifier, tokenOf(ownKey)), 'issuer');
  });

  it("leaves a key set's key in place where an issuer of the same name publishes another of its kid", async () => {
    issuer.keys = [makeTestKey('ES256', 'own'), one];
    const verifier = verifierOf([{ ...login, issuer: own.issuer }, own]);
    assert.equal(await verify(verifier, tokenOf(one, own.issuer)), 'login');
    assert.equal(await verify(verifier, tokenOf(ownKey, own.issuer)), 'trading');
    assert.equal(await verify(verifier, tokenOf(issuer.keys[0] as TestKey, own.issuer)), 'signature');
  });

  it('keeps what was verified over a change of the policy', async () => {
    const first = verifierOf([login]);
    const [token, ownToken] = [tokenOf(one), tokenOf(ownKey, own.issuer)];
    assert.equal(await verify(first, token), 'login');
    const second = verifierOf([own, login], first);
    assert.ok(!(second.verify(token, NOW) instanceof Promise));
    assert.equal(await verify(second, ownToken), 'trading');
    const third = verifierOf([own], second);
    assert.ok(!(third.verify(ownToken, NOW) instanceof Promise));
    assert.equal(third.verify(token, NOW), 'unknown_key');
    const fourth = verifierOf([own, { ...login, audiences: ['another'] }], third);
    assert.equal(await verify(fourth, token), 'audience');
  });
});
