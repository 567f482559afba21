import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { LABELS } from '../../policy/api/names.ts';
import { SECRETS, type Secret } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { authorityBundle, CERTIFICATE_TIMES } from './certificates.ts';
import { certificateReconcile, MUTATING, VALIDATING, webhookDnsNames } from './certificates-reconcile.ts';
import { certificateSecret, readCertificates, readServerCertificate } from './certificates-secret.ts';
import { makeAuthority, makeLeaf } from './certificates-x509.ts';
import { WEBHOOK_CONFIG } from './testing/webhook-config.ts';

const KEY = { namespace: WEBHOOK_CONFIG.namespace, name: WEBHOOK_CONFIG.webhook.certificateSecret };
const { mutatingConfiguration, validatingConfiguration } = WEBHOOK_CONFIG.webhook;
const START = Date.UTC(2026, 0, 1);
const YEAR = CERTIFICATE_TIMES.authorityLifeMs;

describe('certificateReconcile', () => {
  let client: MemoryKubeClient;
  let now: number;
  const leader = () =>
    certificateReconcile({ client, config: WEBHOOK_CONFIG, times: CERTIFICATE_TIMES, now: () => now });
  const state = async () => readCertificates((await client.get(SECRETS, KEY))!);
  const published = async () => {
    const mutating = await client.get(MUTATING, { name: mutatingConfiguration });
    const validating = await client.get(VALIDATING, { name: validatingConfiguration });
    return [mutating, validating].map((found) =>
      Buffer.from(found?.webhooks?.[0]?.clientConfig.caBundle ?? '', 'base64').toString(),
    );
  };
  const createConfigurations = async (caBundle?: string) => {
    const webhooks = [{ name: 'one', clientConfig: caBundle === undefined ? {} : { caBundle } }];
    await client.create(MUTATING, { metadata: { name: mutatingConfiguration }, webhooks });
    await client.create(VALIDATING, { metadata: { name: validatingConfiguration }, webhooks });
  };
  beforeEach(() => {
    client = new MemoryKubeClient();
    now = START;
  });

  it('makes an authority and a certificate for the Service, and publishes', async () => {
    await createConfigurations();
    assert.deepEqual(await leader()(''), { afterMs: CERTIFICATE_TIMES.checkMs });
    const { authorities, leaf } = await state();
    assert.equal(authorities.length, 1);
    assert.deepEqual(leaf?.dnsNames, webhookDnsNames(WEBHOOK_CONFIG));
    assert.equal(leaf?.notAfter, START + CERTIFICATE_TIMES.leafLifeMs);
    assert.deepEqual(await published(), [authorityBundle(await state()), authorityBundle(await state())]);
  });

  it('writes nothing when nothing is to be done', async () => {
    await createConfigurations();
    const reconcile = leader();
    await reconcile('');
    client.requests.length = 0;
    now += CERTIFICATE_TIMES.checkMs;
    await reconcile('');
    assert.deepEqual(
      client.requests.map(({ verb }) => verb),
      ['get', 'get', 'get'],
    );
  });

  it('comes again soon while a configuration is not there yet', async () => {
    assert.deepEqual(await leader()(''), { afterMs: 1000 });
  });

  it('publishes again what somebody removed', async () => {
    await createConfigurations();
    const reconcile = leader();
    await reconcile('');
    await client.patch(MUTATING, { name: mutatingConfiguration }, { webhooks: [{ name: 'one', clientConfig: {} }] });
    await reconcile('');
    assert.equal(new Set(await published()).size, 1);
  });

  it('of two that start at once, both end with the same certificate', async () => {
    await createConfigurations();
    await Promise.all([leader()(''), leader()('')]);
    assert.equal((await state()).authorities.length, 1);
    assert.deepEqual(await published(), [authorityBundle(await state()), authorityBundle(await state())]);
  });

  it('makes anew what is damaged', async () => {
    await createConfigurations();
    await leader()('');
    await client.patch(SECRETS, KEY, { data: { 'tls.crt': 'AAAA', 'authorities.json': 'AAAA' } });
    await leader()('');
    const { authorities, leaf } = await state();
    assert.equal(leaf?.signer, authorities[0]?.certificate);
    assert.equal((await published())[0], authorities[0]?.certificate);
  });

  it('replaces a certificate of another Service', async () => {
    await createConfigurations();
    await leader()('');
    const webhook = { ...WEBHOOK_CONFIG.webhook, serviceName: 'renamed' };
    const config = { ...WEBHOOK_CONFIG, webhook };
    await certificateReconcile({ client, config, times: CERTIFICATE_TIMES, now: () => now })('');
    assert.equal((await state()).leaf?.dnsNames[0], 'renamed');
  });

  it('leaves another’s Secret as it is, and says what to do', async () => {
    const foreign: Secret = { metadata: { ...KEY, labels: {} }, data: { 'tls.crt': 'AAAA' } };
    await client.create(SECRETS, foreign);
    await assert.rejects(leader()(''), {
      code: 'config_invalid',
      message:
        'Secret portcullis-system/portcullis-webhook-certificates is not one of Portcullis: remove it, or give webhook.certificateSecret another name',
    });
    assert.equal((await client.get(SECRETS, KEY))?.data?.['tls.crt'], 'AAAA');
  });

  it('a leader that was held up puts no older bundle over a newer one', async () => {
    await createConfigurations();
    const slow = leader();
    const sizes: number[] = [];
    client.cache(MUTATING).onChange((found) => {
      sizes.push(found?.webhooks?.[0]?.clientConfig.caBundle?.length ?? 0);
    });
    let held = true;
    client.before = async ({ verb }) => {
      if (verb !== 'patch' || !held) return;
      held = false;
      await leader()('');
      now += YEAR - CERTIFICATE_TIMES.authorityOverlapMs + 1;
      await leader()('');
    };
    await slow('');
    assert.equal((await state()).authorities.length, 2);
    assert.deepEqual(
      sizes,
      sizes.toSorted((a, b) => a - b),
    );
    assert.deepEqual(await published(), [authorityBundle(await state()), authorityBundle(await state())]);
  });

  it('waits for an authority that another leader published', async () => {
    await createConfigurations();
    const [one, other] = [leader(), leader()];
    await one('');
    now += CERTIFICATE_TIMES.settleMs;
    await one('');
    const first = (await state()).leaf?.signer;
    now = START + YEAR - CERTIFICATE_TIMES.authorityOverlapMs + 1; // the certificate has expired: the first authority signs again
    await other('');
    assert.equal((await state()).authorities.length, 2);
    assert.equal((await state()).leaf?.signer, first);
    now += CERTIFICATE_TIMES.leafLifeMs - 1;
    await one('');
    assert.equal((await state()).leaf?.signer, first, 'one has seen it for no time');
    now += CERTIFICATE_TIMES.leafLifeMs - 1;
    await one('');
    assert.notEqual((await state()).leaf?.signer, first);
  });
});

describe('the Secret', () => {
  it('gives back what was put in, with the keys of a kubernetes.io/tls Secret', async () => {
    const authority = await makeAuthority(START, CERTIFICATE_TIMES);
    const leaf = await makeLeaf(authority, ['a', 'b.c'], START, CERTIFICATE_TIMES);
    const state = { authorities: [{ ...authority, signedUntil: leaf.notAfter }], leaf };
    const secret = certificateSecret(KEY, state, null);
    assert.equal(secret.metadata.labels?.[LABELS.holds], 'webhook-certificates');
    assert.equal(secret.type, 'kubernetes.io/tls');
    assert.deepEqual(readCertificates(secret), state);
    const { certificate, privateKey, notAfter } = leaf;
    assert.deepEqual(readServerCertificate(secret), { certificate, privateKey, notAfter });
  });

  it('with the key of another certificate, or signed by nobody known, has nothing to serve', async () => {
    const authority = await makeAuthority(START, CERTIFICATE_TIMES);
    const stranger = await makeAuthority(START, CERTIFICATE_TIMES);
    const leaf = await makeLeaf(authority, ['a'], START, CERTIFICATE_TIMES);
    const mixed = { ...leaf, privateKey: stranger.privateKey };
    const { leaf: read } = readCertificates(certificateSecret(KEY, { authorities: [authority], leaf: mixed }, null));
    assert.equal(read, null);
    assert.equal(readServerCertificate(certificateSecret(KEY, { authorities: [], leaf: mixed }, null)), null);
    const orphan = readCertificates(certificateSecret(KEY, { authorities: [stranger], leaf }, null));
    assert.equal(orphan.leaf, null);
  });
});
