import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeBundle } from '../../policy/bundle/encode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import type { Bundle } from '../../policy/bundle/types.ts';
import type { AccessContent } from '../../policy/compile/compile-access-policy.ts';
import type { IssuerContent } from '../../policy/compile/compile-issuer.ts';
import type { LimitsContent } from '../../policy/compile/compile-limits.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { ignore } from './ignore.ts';
import { replaceFile } from './replace-file.ts';

/** Writes signed bundles under a state directory; key and serials outlive the process. One writer a directory at a time. */
export class BundleWriter {
  readonly publicKey: KeyObject;
  readonly #directory: string;
  readonly #privateKey: KeyObject;
  readonly #written = new Map<string, string>();
  #serial: number;

  private constructor(directory: string, privateKey: KeyObject, serial: number) {
    this.#directory = directory;
    this.#privateKey = privateKey;
    this.publicKey = createPublicKey(privateKey);
    this.#serial = serial;
  }

  /** Opens or begins a state directory. Throws config_invalid when what is there cannot be used. */
  static async open(directory: string): Promise<BundleWriter> {
    return new BundleWriter(directory, await signingKey(keyPath(directory)), await lastSerial(serialPath(directory)));
  }

  /** Where the bundle of one kind is; `candidate`: of a policy that is only tried. */
  directoryOf(kind: Bundle['kind'], candidate = false): string {
    return join(this.#directory, candidate ? 'candidates' : 'bundles', kind.toLowerCase());
  }

  /** Takes a bundle away, if there is one. */
  async forget(kind: Bundle['kind']): Promise<void> {
    await rm(join(this.directoryOf(kind), BUNDLE_FILE), { force: true });
    this.#written.delete(this.directoryOf(kind));
  }

  /** Writes a bundle under a new serial, unless it says what the last one said; whether it did. */
  async write(content: AccessContent | LimitsContent | IssuerContent, candidate = false): Promise<boolean> {
    const directory = this.directoryOf(content.kind, candidate);
    const text = JSON.stringify(content);
    if (this.#written.get(directory) === text) return false;
    const serial = this.#serial + 1;
    const file = encodeBundle({ ...content, serial }, this.#privateKey);
    // The serial first: a crash in between skips one, the other order would use one twice.
    await replaceFile(serialPath(this.#directory), `${serial}\n`);
    this.#serial = serial;
    await replaceFile(join(directory, BUNDLE_FILE), file);
    this.#written.set(directory, text);
    return true;
  }
}

const keyPath = (directory: string) => join(directory, 'bundle-signing-key.pem');
const serialPath = (directory: string) => join(directory, 'bundle-serial');

async function signingKey(path: string): Promise<KeyObject> {
  const pem = await readIfThere(path);
  if (pem === null) {
    const { privateKey } = generateKeyPairSync('ed25519');
    await replaceFile(path, privateKey.export({ format: 'pem', type: 'pkcs8' }));
    return privateKey;
  }
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Said below; OpenSSL's own words help nobody.
  }
  throw new PortcullisError('config_invalid', `${path} holds no Ed25519 private key; delete it and a new one is made`);
}

async function lastSerial(path: string): Promise<number> {
  const text = (await readIfThere(path)) ?? '0';
  if (/^[0-9]{1,15}$/.test(text.trim())) return Number(text);
  throw new PortcullisError('config_invalid', `${path} holds no whole number; delete it to count from 1 again`);
}

async function readIfThere(path: string): Promise<string | null> {
  return (await readFile(path, 'utf8').catch(ignore('ENOENT'))) ?? null;
}
