import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startLocal } from '../../cli/local/start-local.ts';
import { CertificateSource, loadCertificate } from '../../sidecar/tls/certificate-source.ts';
import { readCertificate } from '../../sidecar/tls/read-certificate.ts';
import { skipOrFail } from '../cluster/skip-or-fail.ts';
import { testAuthority } from '../support/certificates.ts';
import { memoryLog } from '../support/memory-log.ts';
import { missingPrograms } from '../support/system-programs.ts';

const NAMES = { cert: 'tls.crt', key: 'tls.key' };
const read = (cert: string | Buffer, key: string | Buffer) =>
  readCertificate(Buffer.from(cert), Buffer.from(key), NAMES);

async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'portcullis-certificates-'));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

test('which certificates and keys can be served', async (t) => {
  const missing = missingPrograms({ openssl: 'openssl' });
  if (missing !== null) return skipOrFail(t, missing);
  const directory = await scratch(t);
  const make = async (name: string, ...algorithm: string[]) => {
    const [cert, key] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
    const subject = ['-subj', '/CN=a', '-days', '2', '-nodes', '-keyout', key, '-out', cert];
    execFileSync('openssl', ['req', '-x509', '-newkey', ...algorithm, ...subject], { stdio: 'ignore' });
    return { cert: await readFile(cert, 'latin1'), key: await readFile(key, 'latin1') };
  };
  const ec = await make('ec', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256');
  const good = {
    'ECDSA P-256': ec,
    'ECDSA P-384': await make('p384', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'),
    'RSA of 2048 bits': await make('rsa', 'rsa:2048'),
    Ed25519: await make('ed25519', 'ed25519'),
  };
  for (const [name, { cert, key }] of Object.entries(good)) {
    await t.test(name, () => assert.ok(read(cert, key).notAfter > Date.now() + 86_400_000));
  }
  const { cert: other } = await (await testAuthority()).issue();
  await t.test('a chain, the own certificate first', () => void read(ec.cert + other, ec.key));
  await t.test('CRLF line ends', () => void read(ec.cert.replaceAll('\n', '\r\n'), ec.key.replaceAll('\n', '\r\n')));

  const weak = await make('weak', 'rsa:1024');
  const encrypted = createPrivateKey(ec.key).export({
    ...{ type: 'pkcs8', format: 'pem' },
    ...{ cipher: 'aes-256-cbc', passphrase: 'x' },
  } as never) as unknown as string;
  const der = execFileSync('openssl', ['x509', '-outform', 'DER'], { input: ec.cert });
  const bad: Readonly<Record<string, readonly [string | Buffer, string | Buffer, RegExp]>> = {
    'nothing in tls.crt': ['', ec.key, /^tls.crt holds no certificate: write the chain as PEM/],
    'nothing in tls.key': [ec.cert, '', /^tls.key holds no private key: write it as PEM/],
    'the two swapped': [ec.key, ec.cert, /^tls.crt holds no certificate/],
    DER: [der, ec.key, /^tls.crt holds no certificate/],
    'a certificate cut short': [ec.cert.slice(0, 200), ec.key, /^tls.crt holds no certificate/],
    'a key cut short': [ec.cert, ec.key.slice(0, 80), /^tls.key holds no private key/],
    'a key with a passphrase': [ec.cert, encrypted, /^tls.key is encrypted: write it without a passphrase/],
    'another key': [ec.cert, good['RSA of 2048 bits'].key, /^tls.key does not belong to the first certificate/],
    'another certificate first': [other + ec.cert, ec.key, /the server's own certificate first$/],
    'RSA of 1024 bits': [
      weak.cert,
      weak.key,
      /^TLS cannot use tls.crt and tls.key \(ee key too small\): take an ECDSA/,
    ],
    'a broken certificate behind': [
      `${ec.cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
      ec.key,
      /^TLS cannot use/,
    ],
  };
  for (const [name, [cert, key, says]] of Object.entries(bad)) {
    await t.test(`not: ${name}`, () =>
      assert.throws(() => read(cert, key), { code: 'certificate_invalid', message: says }),
    );
  }
});

test('an expired certificate is served where there is no better one, and replaces none that is valid', async (t) => {
  const directory = await scratch(t);
  const authority = await testAuthority();
  const month = 30 * 86_400_000;
  const [expired, valid] = [await authority.issue('a', Date.now() - month), await authority.issue('a')];
  const files = { cert: join(directory, 'a.crt'), key: join(directory, 'a.key'), name: 'a', advice: '' };
  const used: number[] = [];
  const source = new CertificateSource(
    files,
    { use: ({ notAfter }) => void used.push(notAfter), refused: () => {} },
    Date.now,
  );
  for (const { cert, key } of [expired, valid, expired]) {
    await writeFile(files.cert, cert);
    await writeFile(files.key, key);
    await source.check();
  }
  assert.deepEqual(used, [expired.notAfter, valid.notAfter]);
  assert.match(source.state.error?.message ?? '', /^the new certificate expired at /);
});

test('one file of two is none', async (t) => {
  const directory = await scratch(t);
  const { cert } = await (await testAuthority()).issue();
  const files = { cert: join(directory, 'a.crt'), key: join(directory, 'a.key'), name: 'a', advice: '' };
  await writeFile(files.cert, cert);
  assert.equal(await loadCertificate(files), null);
});

test('local mode does not start without its certificate', async (t) => {
  const directory = await scratch(t);
  await mkdir(join(directory, 'policies'));
  const examples = join(import.meta.dirname, '../../examples/policies');
  for (const name of ['access.yaml', 'keys.yaml'])
    await writeFile(join(directory, 'policies', name), await readFile(join(examples, name)));
  const free = { host: '127.0.0.1', port: 0 };
  const start = (cert: string) =>
    startLocal(
      {
        policies: join(directory, 'policies'),
        upstream: free,
        listen: free,
        admin: free,
        tls: { cert, key: cert, name: 'a.crt and a.key', advice: '' },
        state: join(directory, 'state'),
        redisUrl: null,
        accessPolicy: null,
        rateLimitPolicy: null,
      },
      { sink: memoryLog(), say: () => {}, now: Date.now, version: '0.0.0' },
    );
  await assert.rejects(start(join(directory, 'gone')), {
    code: 'config_invalid',
    message: '--tls-cert and --tls-key: a.crt and a.key: there is no such file',
  });
  await writeFile(join(directory, 'bad'), 'x');
  await assert.rejects(start(join(directory, 'bad')), { code: 'config_invalid', message: /bad holds no certificate/ });
});
