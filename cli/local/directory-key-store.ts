import { chmod, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeySetStore, StoredKeyring } from '../../operator/signing-keys/key-set-store.ts';
import { count, list, name, object } from '../../policy/bundle/check.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { Keyring } from '../../policy/keys/keyring.ts';
import { decodeKeyring, encodeKeyring } from '../../policy/keys/keyring-document.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import { decodeOutputs, encodeOutputs } from '../../policy/keys/outputs-document.ts';
import { readDocument } from '../../policy/keys/read-document.ts';
import type { KeySetSpec } from '../../policy/keys/spec.ts';
import { type FileVersion, VersionedFile } from './versioned-file.ts';

let temporaryFiles = 0;

/** What tokens of a key set say, as its last spec had it. */
export type TokenTerms = Pick<KeySetSpec, 'namespace' | 'name' | 'issuer' | 'audiences' | 'maxTokenLifetimeMs'>;

/**
 * The keyring and outputs of one key set in `STATE/keys/<namespace>.<name>/` (0700): `keyring.<version>.json`,
 * `outputs.<serial>.json` and `token-terms.json` (0600). Several processes may share it: of two writers of one version
 * one gets `keyring_conflict`. Damaged files throw `keyring_invalid` with what to do; nothing is ever made anew over them.
 */
export class DirectoryKeyStore implements KeySetStore {
  readonly #directory: string;
  readonly #keySet: string;
  readonly #keyring: VersionedFile;
  readonly #outputs: VersionedFile;

  /** `namespace` and `name` must be names of Kubernetes objects: a directory is named after them. */
  constructor(stateDirectory: string, { namespace, name }: { readonly namespace: string; readonly name: string }) {
    for (const part of [namespace, name]) {
      if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(part))
        throw new RangeError(`not the name of a Kubernetes object: ${part}`);
    }
    this.#keySet = `${namespace}/${name}`;
    this.#directory = join(keysDirectory(stateDirectory), `${namespace}.${name}`);
    this.#keyring = new VersionedFile(this.#directory, 'keyring');
    this.#outputs = new VersionedFile(this.#directory, 'outputs');
  }

  /** A store for `spec`, whose terms are kept beside the keyring for `portcullis token`. Call again when the spec changes. */
  static async open(stateDirectory: string, spec: TokenTerms): Promise<DirectoryKeyStore> {
    const store = new DirectoryKeyStore(stateDirectory, spec);
    await store.#writeTokenTerms(spec);
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

  async readKeyring(): Promise<StoredKeyring | null> {
    const file = await this.#keyring.read();
    if (file === null) return null;
    const keyring = decoded(
      file,
      decodeKeyring,
      `restore it from a backup, or delete ${this.#directory} to begin with a new key (every token signed so far is then refused)`,
    );
    if (keyring.keySet !== this.#keySet)
      throw damaged(file.path, `it belongs to key set ${keyring.keySet}; put back the file of ${this.#keySet}`);
    return { keyring, version: String(file.version) };
  }

  async wasInitialised(): Promise<boolean> {
    return (await this.#outputs.read()) !== null;
  }

  async writeKeyring(keyring: Keyring, expectedVersion: string | null): Promise<void> {
    if (await this.#keyring.create(Number(expectedVersion ?? '0') + 1, encodeKeyring(keyring))) return;
    throw new PortcullisError(
      'keyring_conflict',
      `the keyring of ${this.#keySet} was changed by another process; plan again`,
      {
        retry: 'later',
      },
    );
  }

  async writeOutputs(outputs: KeySetOutputs): Promise<void> {
    const text = encodeOutputs(outputs);
    const latest = await this.#outputs.read();
    if (latest === null || latest.version < outputs.serial) await this.#outputs.create(outputs.serial, text);
    else if (latest.version === outputs.serial) await this.#outputs.replace(outputs.serial, text);
  }

  /** What tokens of this key set say; null when no spec was ever seen here. */
  async readTokenTerms(): Promise<TokenTerms | null> {
    const path = this.#termsPath();
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (text === null) return null;
    return decoded(
      { path, text },
      (document) => readDocument(document, terms),
      'delete this file and start portcullis local',
    );
  }

  async #writeTokenTerms({ namespace, name, issuer, audiences, maxTokenLifetimeMs }: TokenTerms): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await chmod(this.#directory, 0o700);
    const temporary = `${this.#termsPath()}.${process.pid}.${temporaryFiles++}.tmp`;
    const terms: TokenTerms = { namespace, name, issuer, audiences, maxTokenLifetimeMs };
    await writeFile(temporary, `${JSON.stringify(terms, null, 2)}\n`, { mode: 0o600, flush: true });
    await rename(temporary, this.#termsPath());
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
