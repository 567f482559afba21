import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CERTIFICATE_TIMES } from '../../operator/injection/certificates.ts';
import { makeAuthority, makeLeaf } from '../../operator/injection/certificates-x509.ts';

/** A certificate and its key; PEM. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
  /** Epoch milliseconds. */
  readonly notAfter: number;
}

/** An authority that clients of a test trust. */
export interface TestAuthority {
  /** PEM. */
  readonly ca: string;
  /** ECDSA P-256, for one name, valid for a week from `now`. */
  issue(name?: string, now?: number): Promise<TestCertificate>;
}

/** Makes one, valid for a year before and after. */
export async function testAuthority(): Promise<TestAuthority> {
  const year = CERTIFICATE_TIMES.authorityLifeMs;
  const authority = await makeAuthority(Date.now() - year, { ...CERTIFICATE_TIMES, authorityLifeMs: 2 * year });
  return {
    ca: authority.certificate,
    issue: async (name = 'localhost', now = Date.now()) => {
      const {
        certificate: cert,
        privateKey: key,
        notAfter,
      } = await makeLeaf(authority, [name], now, CERTIFICATE_TIMES);
      return { cert, key, notAfter };
    },
  };
}

/** Mounts a Secret's keys as the kubelet does (KEP-1412): a new directory, and `..data` renamed to point to it. */
export async function mountSecret(directory: string, data: Readonly<Record<string, string>>): Promise<void> {
  const version = `..${process.hrtime.bigint()}`;
  await mkdir(join(directory, version), { recursive: true });
  for (const [name, text] of Object.entries(data)) await writeFile(join(directory, version, name), text);
  await symlink(version, join(directory, '..data_tmp'));
  await rename(join(directory, '..data_tmp'), join(directory, '..data'));
  for (const name of Object.keys(data)) {
    await symlink(join('..data', name), join(directory, name)).catch(() => {}); // it is there already
  }
}
