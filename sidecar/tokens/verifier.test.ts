import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { JWT_ALGORITHMS, type JwtAlgorithm } from '../../policy/bundle/types.ts';
import { isSymmetric } from '../../policy/keys/algorithms.ts';
import { makeTestKey, mintToken, testAuthenticator, validClaims } from './testing/token-fixtures.ts';
import type { TokenVerdict, VerifiedToken } from './token-verifier.ts';
import { createTokenVerifier } from './verifier.ts';

const NOW = 1_800_000_000_000;
const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 1000) };
const es = makeTestKey('ES256', 'es');
const next = makeTestKey('ES256', 'next');
const rs = makeTestKey('RS256', 'rs');
const hs = makeTestKey('HS256', 'hs');
const keys = JWT_ALGORITHMS.map(
  (algorithm) =>
    [es, rs, hs].find((key) => key.verification.algorithm === algorithm) ?? makeTestKey(algorithm, algorithm),
);
const ours = testAuthenticator(keys);
const token = mintToken(es, validClaims(NOW));

function accepted(verdict: TokenVerdict): VerifiedToken {
  assert.ok(typeof verdict === 'object', `refused: ${JSON.stringify(verdict)}`);
  return verdict;
}

describe('verification', () => {
  for (const key of keys) {
    const { algorithm, kid } = key.verification;
    it(`accepts ${algorithm}, with what it says about the token`, async () => {
      const verified = accepted(await createTokenVerifier([ours]).verify(mintToken(key, validClaims(NOW)), NOW));
      const { claims, ...rest } = verified;
      assert.deepEqual(rest, {
        authenticator: 'trading',
        kid,
        refuseAfter: NOW + 300_000 + 60_000,
        refuseBefore: NOW - 60_000,
        identity: null,
      });
      assert.equal(claims['sub'], 'alice');
    });
  }

  it('answers at once for secrets and for a token seen before', async () => {
    const verifier = createTokenVerifier([ours]);
    for (const key of keys) {
      const verdict = verifier.verify(mintToken(key, validClaims(NOW, { at: 1 })), NOW);
      assert.equal(verdict instanceof Promise, !isSymmetric(key.verification.algorithm));
      await verdict;
    }
    const first = verifier.verify(token, NOW);
    assert.ok(first instanceof Promise);
    const verified = await first;
    assert.equal(verifier.verify(token, NOW), verified);
  });

  it('verifies a new token once for all requests that bring it together', async () => {
    const verifier = createTokenVerifier([ours]);
    const first = verifier.verify(token, NOW);
    assert.equal(verifier.verify(Buffer.from(token).toString(), NOW), first);
    accepted(await first);
    assert.equal(verifier.cachedTokens, 1);
  });

  it('tells those who wait together that the signature is bad, and looks again next time', async () => {
    const verifier = createTokenVerifier([ours]);
    const forged = mintToken(makeTestKey('ES256', 'es'), validClaims(NOW));
    const first = verifier.verify(forged, NOW);
    assert.deepEqual(await Promise.all([first, verifier.verify(forged, NOW)]), ['signature', 'signature']);
    assert.notEqual(verifier.verify(forged, NOW), first);
  });

  it('checks the time on every hit', async () => {
    const verifier = createTokenVerifier([ours]);
    const verified = accepted(await verifier.verify(token, NOW));
    assert.equal(verifier.verify(token, verified.refuseAfter - 1), verified);
    assert.equal(verifier.verify(token, verified.refuseBefore - 1), 'not_yet_valid');
    assert.equal(verifier.verify(token, verified.refuseAfter), 'expired');
    assert.equal(verifier.cachedTokens, 0);
  });

  it('keeps the bounds it was given', async () => {
    const verifier = createTokenVerifier([ours], { maxCachedTokens: 3 });
    for (let at = 0; at < 10; at++) accepted(await verifier.verify(mintToken(hs, validClaims(NOW, { at })), NOW));
    assert.equal(verifier.cachedTokens, 3);
  });

  it('lets the first of two authenticators of one issuer whose checks pass accept', async () => {
    const strict = testAuthenticator([es], { name: 'strict', requiredClaims: ['mfa'] });
    const verifier = createTokenVerifier([strict, ours]);
    assert.equal(accepted(await verifier.verify(token, NOW)).authenticator, 'trading');
    const strong = mintToken(es, validClaims(NOW, { mfa: true }));
    assert.equal(accepted(await verifier.verify(strong, NOW)).authenticator, 'strict');
    assert.equal(await createTokenVerifier([strict]).verify(token, NOW), 'missing_claim');
  });

  it('chooses by issuer when two issuers use one kid', async () => {
    const theirs = makeTestKey('ES256', 'es');
    const partner = testAuthenticator([theirs], { name: 'partner', issuer: 'https://partner.example' });
    const verifier = createTokenVerifier([ours, partner]);
    const ofPartner = validClaims(NOW, { iss: 'https://partner.example' });
    assert.equal(accepted(await verifier.verify(mintToken(theirs, ofPartner), NOW)).authenticator, 'partner');
    assert.equal(await verifier.verify(mintToken(es, ofPartner), NOW), 'signature');
    assert.equal(await verifier.verify(mintToken(theirs, validClaims(NOW)), NOW), 'signature');
  });

  it('refuses at load two different keys of one kid and issuer', () => {
    const twin = testAuthenticator([makeTestKey('ES256', 'es')], { name: 'twin' });
    assert.throws(() => createTokenVerifier([ours, twin]), /two different keys of this kid/);
  });
});

describe('a new bundle takes over what it would judge alike', () => {
  const cases = [
    { name: 'the same', after: [ours], kept: true },
    {
      name: 'another serial and a further key',
      after: [{ ...testAuthenticator([next, es]), keySetSerial: 2 }],
      kept: true,
    },
    { name: 'credentials from elsewhere', after: [{ ...ours, from: [] }], kept: true },
    {
      name: 'a further issuer',
      after: [testAuthenticator([rs], { name: 'x', issuer: 'https://x' }), ours],
      kept: true,
    },
    { name: 'the key removed', after: [testAuthenticator([next])], kept: false },
    { name: 'another key under the kid', after: [testAuthenticator([makeTestKey('ES256', 'es')])], kept: false },
    { name: 'another issuer', after: [{ ...ours, issuer: 'https://new.example' }], kept: false },
    { name: 'another audience', after: [{ ...ours, audiences: ['other'] }], kept: false },
    { name: 'another skew', after: [{ ...ours, clockSkewMs: 0 }], kept: false },
    { name: 'a shorter lifetime', after: [{ ...ours, maxTokenLifetimeMs: 1000 }], kept: false },
    { name: 'a further required claim', after: [{ ...ours, requiredClaims: ['sub', 'mfa'] }], kept: false },
    { name: 'an authenticator before it', after: [testAuthenticator([es], { name: 'first' }), ours], kept: false },
    { name: 'no authenticator', after: [], kept: false },
  ];
  for (const { name, after, kept } of cases) {
    it(`${name}: ${kept ? 'kept' : 'gone'}`, async () => {
      const before = createTokenVerifier([ours]);
      const old = accepted(await before.verify(token, NOW));
      old.identity = { user: 'by the old pointers' };
      const verifier = createTokenVerifier(after, {}, before);
      assert.equal(verifier.cachedTokens, kept ? 1 : 0);
      if (!kept) return;
      const verdict = verifier.verify(token, NOW);
      assert.ok(!(verdict instanceof Promise));
      assert.deepEqual({ ...accepted(verdict) }, { ...old, identity: null });
    });
  }
});

describe('random damage', () => {
  it('to a token of any algorithm: never verifies, never throws', async () => {
    const verifier = createTokenVerifier([ours]);
    const tokens = new Map<JwtAlgorithm, string>();
    for (const key of keys) tokens.set(key.verification.algorithm, mintToken(key, validClaims(NOW)));
    for (const good of tokens.values()) accepted(await verifier.verify(good, NOW));
    const damage = fc.record({
      algorithm: fc.constantFrom(...JWT_ALGORITHMS),
      kind: fc.constantFrom('replace', 'insert', 'remove', 'swap', 'duplicate'),
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      length: fc.integer({ min: 1, max: 8 }),
      text: fc.oneof(
        fc.stringMatching(/^[A-Za-z0-9_.=-]{1,4}$/),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }),
      ),
    });
    await fc.assert(
      fc.asyncProperty(damage, async ({ algorithm, kind, at, length, text }) => {
        const good = tokens.get(algorithm) ?? '';
        const start = Math.floor(at * good.length);
        const [head, cut, tail] = [good.slice(0, start), good.slice(start, start + length), good.slice(start + length)];
        const damaged = {
          replace: head + text + good.slice(start + text.length),
          insert: head + text + cut + tail,
          remove: head + tail,
          swap: tail + cut + head,
          duplicate: head + cut + cut + tail,
        }[kind];
        fc.pre(damaged !== good);
        const verdict = await verifier.verify(damaged, NOW);
        assert.equal(typeof verdict, 'string', `verified: ${damaged}`);
      }),
      RUNS,
    );
    assert.equal(verifier.cachedTokens, JWT_ALGORITHMS.length);
  });

  it('any text at all: refused', async () => {
    const verifier = createTokenVerifier([ours]);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), async (text) => {
        assert.equal(typeof (await verifier.verify(text, NOW)), 'string');
      }),
      RUNS,
    );
  });
});
