import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { JwksConfig } from '../../policy/bundle/types.ts';
import { FakeIssuer } from './testing/fake-issuer.ts';
import { makeTestKey, testAuthenticator } from './testing/token-fixtures.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const config: JwksConfig = {
  uri: 'https://issuer.example/jwks.json',
  ca: null,
  algorithms: ['ES256'],
  refreshMs: 10 * MINUTE,
  onFailure: 'LastGood',
  allowPrivateAddresses: false,
};
const one = makeTestKey('ES256', 'one');
const two = makeTestKey('ES256', 'two');

const using = (...configs: readonly Partial<JwksConfig>[]) =>
  configs.map((more) => testAuthenticator([], { keySet: null, keySetSerial: 0, jwks: { ...config, ...more } }));

describe('keys of issuers outside', () => {
  let issuer: FakeIssuer;
  const kids = (more: Partial<JwksConfig> = {}) => issuer.jwks.keysOf({ ...config, ...more })?.map(({ kid }) => kid);
  beforeEach(() => {
    issuer = new FakeIssuer([one]);
  });

  it('are fetched at once, then every refresh, up to a tenth sooner', async () => {
    issuer.jwks.open(using({}));
    assert.equal(kids(), undefined);
    await issuer.pass(0);
    assert.deepEqual(kids(), ['one']);
    await issuer.pass(9.4 * MINUTE);
    assert.equal(issuer.fetches.length, 1);
    issuer.keys = [two];
    await issuer.pass(0.2 * MINUTE);
    assert.equal(issuer.fetches.length, 2);
    assert.deepEqual(kids(), ['two']);
  });

  it('have another version when they change, and only then', async () => {
    issuer.jwks.open(using({}));
    await issuer.pass(HOUR);
    const { version } = issuer.jwks;
    await issuer.pass(HOUR);
    assert.equal(issuer.jwks.version, version);
    issuer.keys = [one, two];
    await issuer.pass(HOUR);
    assert.equal(issuer.jwks.version, version + 1);
  });

  it('are asked for by one fetch at a time and none within 10 s of the last', async () => {
    issuer.hold();
    issuer.jwks.open(using({}));
    const first = issuer.jwks.refetch(config);
    assert.ok(first !== null && issuer.jwks.refetch(config) === first);
    await issuer.answer();
    await first;
    await issuer.pass(9_999);
    assert.equal(issuer.jwks.refetch(config), null);
    assert.equal(issuer.fetches.length, 1);
    await issuer.pass(1);
    await issuer.jwks.refetch(config);
    assert.equal(issuer.jwks.refetch(config), null);
    assert.equal(issuer.fetches.length, 2);
    await issuer.pass(9.4 * MINUTE);
    assert.equal(issuer.fetches.length, 2, 'the refresh counts from the last fetch');
  });

  it('stay under LastGood for as long as it takes, asked for ten times as often', async () => {
    issuer.jwks.open(using({}));
    await issuer.pass(0);
    issuer.keys = null;
    await issuer.pass(24 * HOUR);
    assert.deepEqual(kids(), ['one']);
    const failed = issuer.outcomes.filter((outcome) => 'error' in outcome).length;
    assert.ok(failed > 1_400 && failed < 1_600, String(failed));
    assert.ok((issuer.jwks.ages().get(config.uri) ?? 0) >= 86_000);
    issuer.keys = [two];
    await issuer.pass(MINUTE);
    assert.deepEqual(kids(), ['two']);
  });

  it('go under Deny when they are twice refresh old, and come back', async () => {
    const deny = { onFailure: 'Deny' } as const;
    issuer.jwks.open(using(deny));
    await issuer.pass(0);
    issuer.keys = null;
    await issuer.pass(20 * MINUTE - 1);
    assert.deepEqual(kids(deny), ['one']);
    const { version } = issuer.jwks;
    await issuer.pass(1);
    assert.equal(kids(deny), undefined);
    assert.notEqual(issuer.jwks.version, version);
    issuer.keys = [one];
    await issuer.pass(MINUTE);
    assert.deepEqual(kids(deny), ['one']);
    assert.equal(issuer.jwks.version, version + 2);
  });

  it('stay when the issuer publishes nothing of use', async () => {
    issuer.jwks.open(using({}));
    await issuer.pass(0);
    for (const keys of [[], [makeTestKey('ES384', 'other')]]) {
      issuer.keys = keys;
      await issuer.pass(HOUR);
      assert.deepEqual(kids(), ['one']);
    }
  });

  it('are stale when none ever came, or none for twice refresh, until some come', async () => {
    const stale = () => [...issuer.jwks.stale()];
    issuer.keys = null;
    issuer.jwks.open(using({}));
    assert.deepEqual(stale(), [], 'nobody knows yet');
    await issuer.pass(0);
    assert.deepEqual(stale(), [[config.uri, null]]);
    issuer.keys = [one];
    await issuer.pass(2 * MINUTE);
    assert.deepEqual(stale(), []);
    issuer.keys = null;
    await issuer.pass(18 * MINUTE);
    assert.deepEqual(stale(), []);
    await issuer.pass(3 * MINUTE);
    const [[uri, age] = []] = stale();
    assert.equal(uri, config.uri);
    assert.ok(age! > 20 * 60 && age! <= 23 * 60, String(age));
    issuer.keys = [one];
    await issuer.pass(2 * MINUTE);
    assert.deepEqual(stale(), []);
  });

  it('are fetched once for all who use them alike, and no more when nobody does', async () => {
    issuer.jwks.open(using({}, {}, { uri: 'https://other.example/' }));
    await issuer.pass(0);
    assert.deepEqual(issuer.fetches, [config.uri, 'https://other.example/']);
    issuer.jwks.keepOnly(using({}));
    issuer.jwks.open(using({}));
    assert.equal(kids({ uri: 'https://other.example/' }), undefined);
    await issuer.pass(9.6 * MINUTE);
    assert.deepEqual(issuer.fetches.slice(2), [config.uri]);
    issuer.jwks.keepOnly([]);
    await issuer.pass(HOUR);
    assert.equal(issuer.fetches.length, 3);
    assert.deepEqual([...issuer.jwks.ages()], []);
  });

  it('are there at once when only their settings change, but for what the new ones leave out', async () => {
    issuer.keys = [one, makeTestKey('ES384', 'three')];
    issuer.jwks.open(using({ algorithms: ['ES256', 'ES384'] }));
    await issuer.pass(0);
    issuer.hold();
    issuer.jwks.open(using({ refreshMs: MINUTE }, { ca: 'another' }, { algorithms: ['RS256'] }));
    assert.deepEqual(kids({ refreshMs: MINUTE }), ['one']);
    assert.equal(kids({ ca: 'another' }), undefined);
    assert.equal(kids({ algorithms: ['RS256'] }), undefined);
    issuer.jwks.keepOnly([]);
    await issuer.answer();
    assert.equal(issuer.outcomes.length, 1, 'what comes too late is not looked at');
  });
});
