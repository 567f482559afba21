import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LABELS, OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import { withoutMaterial } from '../../policy/keys/keyring.ts';
import { SPEC } from '../../policy/keys/testing/fixtures.ts';
import { KubeError } from '../kube/kube-client.ts';
import { SECRETS, type Secret } from '../kube/objects.ts';
import { SIGNING_KEY_SETS } from '../resources.ts';
import { damagedKeySetStoreSuite, keySetStoreSuite } from './testing/key-set-store-suite.ts';
import { EXPORT, NAMES, OPERATOR, quiet, StorePlace } from './testing/store-place.ts';

const { namespace, name } = SPEC;

keySetStoreSuite('SecretKeySetStore in memory', async () => new StorePlace());
damagedKeySetStoreSuite('SecretKeySetStore in memory', async () => new StorePlace());

test('exports say what they are, and carry nothing of what users add', async () => {
  const place = new StorePlace();
  const outputs = await place.filled();
  const labels = {
    [LABELS.holds]: 'key-set-exports',
    [LABELS.ownerNamespace]: namespace,
    [LABELS.ownerName]: name,
  };
  const secret = await place.client.get(SECRETS, EXPORT);
  assert.deepEqual(secret?.metadata.labels, labels);
  assert.deepEqual(secret?.metadata.annotations, { [OWN_ANNOTATIONS.serial]: '1' });
  assert.equal(secret?.metadata.ownerReferences, undefined, 'garbage collection would delete them');
  assert.equal(secret?.type, 'Opaque');
  assert.deepEqual(filesOf(secret), { 'jwks.json': `${JSON.stringify(outputs.jwks, null, 2)}\n` });

  const theirs = { metadata: { labels: { team: 'a' }, annotations: { 'argocd.argoproj.io/tracking-id': 'x' } } };
  await place.client.patch(SECRETS, EXPORT, theirs);
  assert.equal(await place.open().isExported(outputs), true, 'what users add is no reason to write');
  const next = { ...outputs, serial: 2 };
  await place.open().writeOutputs(next);
  await place.open().writeExports(next);
  const { metadata } = (await place.client.get(SECRETS, EXPORT)) ?? {};
  assert.deepEqual([metadata?.labels, metadata?.annotations], [labels, { [OWN_ANNOTATIONS.serial]: '2' }]);
});

test('Fernet keys are exported one a line, the one that encrypts first and by itself', async () => {
  const place = new StorePlace();
  const outputs = await place.filled('Fernet');
  const secret = await place.client.get(SECRETS, { namespace, name: 'trading-fernet' });
  const keys = outputs.fernet?.map(({ key }) => key) ?? [];
  assert.deepEqual(filesOf(secret), { keys: `${keys.join('\n')}\n`, primary: keys[0] });
});

test('what users did to the exports is put right', async () => {
  const edits: readonly (readonly [string, object])[] = [
    ['another key set', { data: { 'jwks.json': 'e30=' } }],
    ['a further file', { data: { more: 'e30=' } }],
    ['no file', { data: null }],
    ['a later serial', { metadata: { annotations: { [OWN_ANNOTATIONS.serial]: '9' } } }],
    ['1 MiB', { data: { 'jwks.json': 'A'.repeat(1 << 20) } }],
  ];
  for (const [what, edit] of edits) {
    const place = new StorePlace();
    const outputs = await place.filled();
    await place.client.patch(SECRETS, EXPORT, edit);
    assert.equal(await place.open().isExported(outputs), false, what);
    await place.open().writeExports(outputs);
    assert.equal(await place.open().isExported(outputs), true, what);
  }
});

test('exports that cannot change any more are reported before they must', async () => {
  const place = new StorePlace();
  const outputs = await place.filled();
  await place.client.patch(SECRETS, EXPORT, { immutable: true });
  assert.equal(await place.open().isExported(outputs), false);
  await assert.rejects(place.open().writeExports(outputs), { code: 'exports_refused', message: /is immutable/ });
});

for (const [what, secret, says] of [
  ['a foreign Secret', {}, /^Secret auth\/trading-jwks is not one that Portcullis made; nothing .* spec\.secretName/],
  ['one with a label of ours', { labels: { [LABELS.holds]: 'key-set-exports' } }, /is not one that Portcullis made/],
  ['a bundle', { labels: { [LABELS.holds]: 'bundle' } }, /is not one that Portcullis made/],
  ["another key set's", { labels: ours('other') }, /holds what apps read of key set auth\/other; .*spec\.secretName/],
  ['an immutable one', { labels: ours(name), immutable: true }, /is immutable or not of type Opaque.*: delete it/],
  ['one of another type', { labels: ours(name), type: 'kubernetes.io/basic-auth' }, /not of type Opaque.*: delete it/],
] satisfies [string, Partial<Secret> & { labels?: object }, RegExp][]) {
  test(`${what} in the way of exports is refused with a remedy and left as it is`, async () => {
    const place = new StorePlace();
    const { labels, ...rest } = { labels: {}, type: 'Opaque', ...secret };
    const made = await place.client.create(SECRETS, { metadata: { ...EXPORT, labels }, ...rest, data: { a: 'YQ==' } });
    const { outputs } = quiet('ES256');
    await place.open().writeOutputs(outputs);
    assert.equal(await place.open().isExported(outputs), false);
    await assert.rejects(place.open().writeExports(outputs), { code: 'exports_refused', message: says });
    assert.deepEqual(await place.client.get(SECRETS, EXPORT), made);

    const elsewhere = place.store({ secretName: 'keys-for-apps' });
    if ('immutable' in secret || 'type' in secret) return;
    await elsewhere.writeExports(outputs);
    assert.equal(await elsewhere.isExported(outputs), true);
    await elsewhere.erase(null);
    assert.equal(await elsewhere.isExported(null), true, 'what is not ours does not count');
    assert.deepEqual(await place.client.get(SECRETS, EXPORT), made);
  });
}

test('a quota that the users of the namespace have used up stands in the way too, and is said', async () => {
  const place = new StorePlace();
  const { outputs } = quiet('ES256');
  await place.open().writeOutputs(outputs);
  place.once('create', EXPORT.name, () => Promise.reject(new KubeError(403, 'Forbidden', 'exceeded quota: secrets')));
  await assert.rejects(place.open().writeExports(outputs), {
    code: 'exports_refused',
    message: /^Secret auth\/trading-jwks may not be written \(exceeded quota: secrets\); .*: raise the quota/,
  });
  await place.open().writeExports(outputs);
  assert.equal(await place.open().isExported(outputs), true);
});

test('a key set that is named like a bundle exports under another name only', async () => {
  const place = new StorePlace();
  const { outputs } = quiet('ES256');
  const keySet = { name: 'portcullis-access-web' };
  await place.store(keySet).writeOutputs(outputs);
  await assert.rejects(place.store(keySet).writeExports(outputs), {
    code: 'exports_refused',
    message: /^Secret auth\/portcullis-access-web-jwks would have a name that is kept for bundles; .*spec\.secretName/,
  });
  await place.store({ ...keySet, secretName: 'web-keys' }).writeExports(outputs);
  assert.equal(await place.store({ ...keySet, secretName: 'web-keys' }).isExported(outputs), true);
});

test('under another name the exports move', async () => {
  const place = new StorePlace();
  const outputs = await place.filled();
  const moved = place.store({ secretName: 'verifiers' });
  assert.equal(await moved.isExported(outputs), false);
  await moved.writeExports(outputs);
  assert.equal(await moved.isExported(outputs), true);
  assert.equal(await place.client.get(SECRETS, EXPORT), null);
  assert.equal(await place.open().isExported(outputs), false, 'by the old spec they are elsewhere');
});

test('Secrets that we never write are left alone, though somebody gave them our labels: we might not delete them', async () => {
  const place = new StorePlace();
  for (const [other, type] of [
    ['tls', 'kubernetes.io/tls'],
    ['portcullis-x', 'Opaque'],
  ] as const) {
    await place.client.create(SECRETS, { metadata: { namespace, name: other, labels: ours(name) }, type, data: {} });
  }
  const outputs = await place.filled();
  assert.equal(await place.open().isExported(outputs), true);
  await place.open().erase((await place.open().readKeyring())?.version ?? null);
  assert.equal(await place.open().isExported(null), true);
  assert.deepEqual(
    (await place.secrets()).filter((secret) => secret.startsWith(`${namespace}/`)),
    [`${namespace}/portcullis-x`, `${namespace}/tls`],
  );
});

test('Secrets that somebody made up in great number are read and removed few at a time', async () => {
  const place = new StorePlace();
  for (let i = 0; i < 50; i++) {
    await place.client.create(SECRETS, { metadata: { namespace, name: `a-${i}`, labels: ours(name) }, data: {} });
  }
  const outputs = await place.filled();
  let passes = 0;
  for (; passes < 50 && !(await place.open().isExported(outputs)); passes++) await place.open().writeExports(outputs);
  assert.equal(passes, Math.ceil(50 / 8) - 1);
  assert.deepEqual(
    (await place.secrets()).filter((secret) => secret.startsWith(`${namespace}/`)),
    [`${namespace}/${EXPORT.name}`],
  );
});

test('Secrets that a finalizer of somebody else keeps are waited for by nobody', async () => {
  const place = new StorePlace();
  for (let i = 0; i < 50; i++) {
    const metadata = { namespace, name: `a-${i}`, labels: ours(name), deletionTimestamp: '2026-01-01T00:00:00Z' };
    await place.client.create(SECRETS, { metadata });
  }
  const outputs = await place.filled();
  assert.equal(await place.open().isExported(outputs), true);
  await place.client.patch(SECRETS, EXPORT, { metadata: { labels: { [LABELS.ownerName]: 'other' } } });
  assert.equal(await place.open().isExported(outputs), false, "another key set's");
});

for (const [what, verb, secret] of [
  ['what it replaces', 'get', EXPORT.name],
  ['the outputs', 'get', NAMES.outputs],
  ['creating', 'create', EXPORT.name],
  ['replacing', 'replace', EXPORT.name],
] as const) {
  test(`a writer that is overtaken before ${what} leaves no older exports behind`, async () => {
    const place = new StorePlace();
    const { outputs } = quiet('ES256');
    const later = { ...outputs, serial: 2 };
    if (verb === 'replace') {
      await place.open().writeOutputs(outputs);
      await place.open().writeExports(outputs);
      await place.client.patch(SECRETS, EXPORT, { data: null });
    }
    await place.open().writeOutputs(outputs);
    let overtaken = false;
    place.once(verb, secret, async () => {
      overtaken = true;
      await place.open().writeOutputs(later);
      await place.open().writeExports(later);
    });
    const writing = place.open().writeExports(outputs);
    if (verb === 'get') await writing.catch(() => undefined);
    else await assert.rejects(writing, { code: 'keyring_conflict', retry: 'later' });
    assert(overtaken);
    assert.equal(await place.open().isExported(later), true);
  });
}

test('erasing goes by exports, outputs, keyring; stopped anywhere it can be done again', async () => {
  const place = new StorePlace();
  await place.filled();
  const all = await place.secrets();
  const order = [EXPORT.name, NAMES.outputs, NAMES.keyring];
  for (const [done, stopAt] of order.entries()) {
    place.once('delete', stopAt, () => Promise.reject(new KubeError(503, 'ServiceUnavailable', 'away')));
    await assert.rejects(eraseNow(place), { reason: 'ServiceUnavailable' });
    const left = all.filter((secret) => !order.slice(0, done).some((gone) => secret.endsWith(`/${gone}`)));
    assert.deepEqual(await place.secrets(), left);
  }
  await eraseNow(place);
  assert.deepEqual(await place.secrets(), [`${OPERATOR}/${NAMES.escrow}`]);
});

test('a key set that was made anew while its erasing was under way is left alone', async () => {
  for (const stopAt of [EXPORT.name, NAMES.outputs, NAMES.keyring]) {
    const place = new StorePlace();
    await place.filled();
    const { ring, outputs } = quiet('ES256');
    place.once('delete', stopAt, async () => {
      await eraseNow(place);
      await place.open().writeKeyring(ring, null);
      await place.open().writeOutputs(outputs);
      await place.open().writeExports(outputs);
    });
    await assert.rejects(eraseNow(place), { code: 'keyring_conflict' });
    assert.equal(await place.open().isExported(outputs), true, stopAt);
    assert.deepEqual(await place.open().readOutputs(), outputs, stopAt);
    assert.deepEqual((await place.open().readKeyring())?.keyring, ring, stopAt);
  }
});

for (const [what, metadata, status, traces] of [
  ['nothing', {}, undefined, null],
  ['conditions alone', {}, { serial: 0, conditions: [] }, null],
  ['a finalizer alone', { finalizers: ['portcullis.dev/keys'] }, undefined, null],
  ['the annotation', { annotations: { [OWN_ANNOTATIONS.initialised]: 'true' } }, undefined, { serial: 0 }],
  ['a serial', {}, { serial: 7 }, { serial: 7 }],
  ['a key that signs', {}, { activeKey: 'k1' }, { serial: 0 }],
] as const) {
  test(`traces of a keyring in a resource with ${what}`, async () => {
    const place = new StorePlace();
    await place.client.create(SIGNING_KEY_SETS, {
      metadata: { namespace, name, ...metadata },
      ...(status && { status }),
    });
    assert.deepEqual(await place.open().readTraces(), traces);
  });
}

test('exports are a trace, whose serial is not believed', async () => {
  const place = new StorePlace();
  const annotations = { [OWN_ANNOTATIONS.serial]: '999' };
  await place.client.create(SECRETS, { metadata: { ...EXPORT, labels: ours('other'), annotations } });
  assert.equal(await place.open().readTraces(), null, "another key set's");
  await place.client.patch(SECRETS, EXPORT, { metadata: { labels: ours(name) } });
  assert.deepEqual(await place.open().readTraces(), { serial: 0 });
});

test("another key set's escrow under the name is not believed", async () => {
  const place = new StorePlace();
  const index = { ...withoutMaterial(quiet('ES256').ring), keySet: 'auth/other' };
  await place.open().writeEscrow({ recipients: [], index, messages: {} }, null);
  await assert.rejects(place.open().readEscrow(), { code: 'keyring_invalid', message: /of auth\/other; restore it/ });
});

async function eraseNow(place: StorePlace): Promise<void> {
  await place.open().erase((await place.open().readKeyring())?.version ?? null);
}

function ours(keySet: string): Record<string, string> {
  return { [LABELS.holds]: 'key-set-exports', [LABELS.ownerNamespace]: namespace, [LABELS.ownerName]: keySet };
}

function filesOf(secret: Secret | null): Record<string, string> {
  const decode = (value: string) => Buffer.from(value, 'base64').toString('utf8');
  return Object.fromEntries(Object.entries(secret?.data ?? {}).map(([file, value]) => [file, decode(value)]));
}
