import { chmod, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { KeySetStore, StoredEscrow, StoredKeyring } from '../../operator/signing-keys/key-set-store.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { type Check, count, list, name, object, record, refuse } from '../../policy/bundle/check.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { Escrow } from '../../policy/keys/escrow.ts';
import { decodeEscrow, encodeEscrow } from '../../policy/keys/escrow-document.ts';
import { keySetSpecOf } from '../../policy/keys/key-set-spec-of.ts';
import type { Keyring } from '../../policy/keys/keyring.ts';
import { decodeKeyring, encodeKeyring } from '../../policy/keys/keyring-document.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import { decodeOutputs, encodeOutputs } from '../../policy/keys/outputs-document.ts';
import { readDocument } from '../../policy/keys/read-document.ts';
import type { Traces } from '../../policy/keys/step.ts';
import { exportedFilesOf, readExportedFiles, writeExportedFiles } from './exported-files.ts';
import { ignore } from './ignore.ts';
import { replaceFile } from './replace-file.ts';
import { type FileVersion, VersionedFile } from './versioned-file.ts';

/** Which key set. */
export interface KeySetName {
  readonly namespace: string;
  readonly name: string;
}

/** What tokens of a key set say, as its last spec had it. */
export interface TokenTerms extends KeySetName {
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** Milliseconds. */
  readonly maxTokenLifetimeMs: number;
}

/** What tokens of a key set say; null: it is for Fernet and signs none. */
export function tokenTermsOf(resource: SigningKeySet): TokenTerms | null {
  const { issuer, audiences } = resource.spec;
  const { namespace, name, maxTokenLifetimeMs } = keySetSpecOf(resource);
  if (issuer === undefined || audiences === undefined || maxTokenLifetimeMs === null) return null;
  return { namespace, name, issuer, audiences, maxTokenLifetimeMs };
}

/**
 * What belongs to one key set in `STATE/keys/<namespace>.<name>/` (0700): `keyring.<version>.json`, `outputs.<serial>.json`,
 * `escrow.<version>.json`, `token-terms.json` and, for apps, `exports/` (0600). Several processes may share it: of two
 * writers of one version one gets `keyring_conflict`. Damaged files throw `keyring_invalid` with what to do; nothing is ever
 * made anew over them.
 */
export class DirectoryKeyStore implements KeySetStore {
  /** Where apps find the public JWK Set, or the Fernet keys. */
  readonly exportsDirectory: string;
  readonly #directory: string;
  readonly #keySet: string;
  readonly #keyring: VersionedFile;
  readonly #outputs: VersionedFile;
  readonly #escrow: VersionedFile;

  /** `namespace` and `name` must be names of Kubernetes objects: a directory is named after them. */
  constructor(stateDirectory: string, { namespace, name }: KeySetName) {
    for (const part of [namespace, name]) {
      if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(part))
        throw new RangeError(`not the name of a Kubernetes object: ${part}`);
    }
    this.#keySet = `${namespace}/${name}`;
    this.#directory = join(keysDirectory(stateDirectory), `${namespace}.${name}`);
    this.exportsDirectory = join(this.#directory, 'exports');
    this.#keyring = new VersionedFile(this.#directory, 'keyring');
    this.#outputs = new VersionedFile(this.#directory, 'outputs');
    this.#escrow = new VersionedFile(this.#directory, 'escrow');
  }

  /** A store whose terms are kept beside the keyring for `portcullis token`. Call again when the spec changes. */
  static async open(stateDirectory: string, terms: TokenTerms): Promise<DirectoryKeyStore> {
    const store = new DirectoryKeyStore(stateDirectory, terms);
    await store.#writeTokenTerms(terms);
    return store;
  }

  async readOutputs(): Promise<KeySetOutputs | null> {
    const file = await this.#outputs.read();
    if (file === null) return null;
    const outputs = decoded(file, decodeOutputs, 'delete this file; it is written again from the keyring');
    if (outputs.serial !== file.version)
      throw damaged(file.path, 'its serial is not the one in its name; delete this file');
    return outputs;
  }

  async isExported(outputs: KeySetOutputs | null): Promise<boolean> {
    return isDeepStrictEqual(await readExportedFiles(this.exportsDirectory), exportedFilesOf(outputs));
  }

  async readEscrow(): Promise<StoredEscrow | null> {
    const file = await this.#escrow.read();
    if (file === null) return null;
    const escrow = decoded(
      file,
      (text) => decodeEscrow(readDocument(text, texts)),
      'restore it from a backup, or delete this file: it is written again while the keyring is there',
    );
    return { escrow, version: String(file.version) };
  }

  async readTraces(): Promise<Traces | null> {
    const files = await readExportedFiles(this.exportsDirectory);
    return Object.keys(files).length === 0 ? null : { serial: 0 };
  }

  async readKeyring(): Promise<StoredKeyring | null> {
    const file = await this.#keyring.read();
    if (file === null) return null;
    const keyring = decoded(
      file,
      decodeKeyring,
      `restore it from a backup, or delete ${this.#directory} to begin with a new key (every token signed and ciphertext made so far is then refused)`,
    );
    if (keyring.keySet !== this.#keySet)
      throw damaged(file.path, `it belongs to key set ${keyring.keySet}; put back the file of ${this.#keySet}`);
    return { keyring, version: String(file.version) };
  }

  async writeKeyring(keyring: Keyring, expectedVersion: string | null): Promise<void> {
    const expected = versionOf(expectedVersion);
    if (!(await this.#keyring.replaceLatest(expected, encodeKeyring(keyring)))) throw this.#conflict('keyring');
  }

  async writeOutputs(outputs: KeySetOutputs): Promise<void> {
    const text = encodeOutputs(outputs);
    const latest = await this.#outputs.read();
    if (latest === null || latest.version < outputs.serial) await this.#outputs.create(outputs.serial, text);
    else if (latest.version === outputs.serial) await this.#outputs.replace(outputs.serial, text);
  }

  async writeExports(outputs: KeySetOutputs): Promise<void> {
    let live = await this.readOutputs();
    if (!isDeepStrictEqual(live, outputs)) return;
    for (;;) {
      await writeExportedFiles(this.exportsDirectory, exportedFilesOf(live));
      // Files know no conditional write: whoever writes looks again, so that the last to write has written what is live.
      const now = await this.readOutputs();
      if (isDeepStrictEqual(now, live)) return;
      live = now;
    }
  }

  async writeEscrow(escrow: Escrow, expectedVersion: string | null): Promise<void> {
    const text = `${JSON.stringify(encodeEscrow(escrow), null, 2)}\n`;
    const expected = versionOf(expectedVersion);
    if (!(await this.#escrow.replaceLatest(expected, text))) throw this.#conflict('escrow');
  }

  async erase(expectedVersion: string | null): Promise<void> {
    const expected = versionOf(expectedVersion);
    if (((await this.#keyring.read())?.version ?? null) !== expected) throw this.#conflict('keyring');
    await writeExportedFiles(this.exportsDirectory, {});
    await this.#outputs.remove();
    if (expected !== null && !(await this.#keyring.replaceLatest(expected, null))) throw this.#conflict('keyring');
  }

  /** What tokens of this key set say; null: no spec with any was ever seen here. */
  async readTokenTerms(): Promise<TokenTerms | null> {
    const path = this.#termsPath();
    const text = await readFile(path, 'utf8').catch(ignore('ENOENT'));
    if (text === undefined) return null;
    return decoded(
      { path, text },
      (document) => readDocument(document, terms),
      'delete this file and start portcullis local',
    );
  }

  #conflict(document: string): PortcullisError {
    const message = `the ${document} of ${this.#keySet} was changed by another process; plan again`;
    return new PortcullisError('keyring_conflict', message, { retry: 'later' });
  }

  async #writeTokenTerms({ namespace, name, issuer, audiences, maxTokenLifetimeMs }: TokenTerms): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await chmod(this.#directory, 0o700);
    const terms: TokenTerms = { namespace, name, issuer, audiences, maxTokenLifetimeMs };
    await replaceFile(this.#termsPath(), `${JSON.stringify(terms, null, 2)}\n`);
  }

  #termsPath(): string {
    return join(this.#directory, 'token-terms.json');
  }
}

/** `namespace/name` of every key set in a state directory, sorted; empty when there is no such directory. */
export async function listKeySets(stateDirectory: string): Promise<readonly string[]> {
  const names = await readdir(keysDirectory(stateDirectory)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  // A namespace is a DNS label and has no dot; a name may.
  return names.map((name) => name.replace('.', '/')).sort();
}

function keysDirectory(stateDirectory: string): string {
  return join(stateDirectory, 'keys');
}

function versionOf(version: string | null): number | null {
  return version === null ? null : Number(version);
}

/** Of any length, unlike the texts of other documents. */
const anyText: Check<string> = (value, place) => (typeof value === 'string' ? value : refuse(place, 'a string'));
const texts = record(anyText);

const terms = object<TokenTerms>({
  namespace: name,
  name,
  issuer: name,
  audiences: list(name),
  maxTokenLifetimeMs: count(0),
});

function decoded<T>(
  { path, text }: Pick<FileVersion, 'path' | 'text'>,
  decode: (text: string) => T,
  remedy: string,
): T {
  try {
    return decode(text);
  } catch (error) {
    if (error instanceof PortcullisError) throw damaged(path, `${error.message}; ${remedy}`);
    throw error;
  }
}

function damaged(path: string, what: string): PortcullisError {
  return new PortcullisError('keyring_invalid', `${path}: ${what}`);
}
