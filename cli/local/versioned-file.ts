import { link, mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ignore } from './ignore.ts';

/** A temporary file this much older than the newest is what a process that died has left. */
const ABANDONED_MS = 60_000;

/** What stands in a version that says: there is nothing any more. No document of ours is this. */
const ERASED = 'null\n';

let temporaryFiles = 0;

/** One version of a file. */
export interface FileVersion {
  readonly version: number;
  readonly text: string;
  readonly path: string;
}

/**
 * A file kept as `<stem>.<version>.json`, of which the highest version counts. A version is made whole by one link(2),
 * which fails when it exists: of two writers one wins, none is half seen, and no lock outlives a killed process. Files
 * are 0600 and synced before they are seen.
 */
export class VersionedFile {
  readonly #directory: string;
  readonly #stem: string;

  constructor(directory: string, stem: string) {
    this.#directory = directory;
    this.#stem = stem;
  }

  /** The latest version; null: there is none, or it was erased. */
  async read(): Promise<FileVersion | null> {
    const latest = await this.#readLatest();
    return latest?.text === ERASED ? null : latest;
  }

  /**
   * Makes the next version, if the latest is still `expected` (null: there is none); false when it is not. A text of null
   * erases: versions go on from there, so that nobody who read the last one can write over the erasure.
   */
  async replaceLatest(expected: number | null, text: string | null): Promise<boolean> {
    const latest = await this.#readLatest();
    const found = latest === null || latest.text === ERASED ? null : latest.version;
    return found === expected && this.create((latest?.version ?? 0) + 1, text ?? ERASED);
  }

  /** Makes a version that must be the latest; false when it, or a later one, exists. Older versions are then removed. */
  async create(version: number, text: string): Promise<boolean> {
    const temporary = await this.#writeTemporary(text);
    const created = await link(temporary, this.#path(version)).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') return false;
        throw error;
      },
    );
    await this.#prune(temporary);
    // Others may have removed this version's predecessor and itself already, and gone on: then ours came too late.
    return created && (await this.#latest()) === version;
  }

  /** Removes every version, as if there had never been one. */
  async remove(): Promise<void> {
    // The oldest first: until the last one is gone, what is read is the latest.
    for (const version of (await this.#versions()).sort((a, b) => a - b)) {
      await unlink(this.#path(version)).catch(ignore('ENOENT'));
    }
  }

  /** Puts a text in the place of an existing version. */
  async replace(version: number, text: string): Promise<void> {
    await rename(await this.#writeTemporary(text), this.#path(version));
    await this.#syncDirectory();
  }

  async #readLatest(): Promise<FileVersion | null> {
    for (;;) {
      // Listed twice: a listing taken while one version replaces another may hold neither.
      const version = (await this.#latest()) ?? (await this.#latest());
      if (version === null) return null;
      const path = this.#path(version);
      const text = await readFile(path, 'utf8').catch(ignore('ENOENT'));
      if (text !== undefined) return { version, text, path };
    }
  }

  #path(version: number): string {
    return join(this.#directory, `${this.#stem}.${version}.json`);
  }

  async #versions(): Promise<number[]> {
    const names = (await readdir(this.#directory).catch(ignore('ENOENT'))) ?? [];
    const versions: number[] = [];
    for (const name of names) {
      if (!name.startsWith(`${this.#stem}.`) || !name.endsWith('.json')) continue;
      const digits = name.slice(this.#stem.length + 1, -'.json'.length);
      if (/^[1-9][0-9]{0,14}$/.test(digits)) versions.push(Number(digits));
    }
    return versions;
  }

  async #latest(): Promise<number | null> {
    const versions = await this.#versions();
    return versions.length === 0 ? null : Math.max(...versions);
  }

  async #writeTemporary(text: string): Promise<string> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    for (;;) {
      const path = join(this.#directory, `.${this.#stem}.${process.pid}.${temporaryFiles++}.tmp`);
      const file = await open(path, 'wx', 0o600).catch(ignore('EEXIST'));
      if (file === undefined) continue;
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      return path;
    }
  }

  async #prune(temporary: string): Promise<void> {
    const { mtimeMs } = await stat(temporary);
    await unlink(temporary);
    await this.#syncDirectory();
    const versions = await this.#versions();
    const latest = Math.max(...versions);
    for (const version of versions) {
      if (version < latest) await unlink(this.#path(version)).catch(ignore('ENOENT'));
    }
    for (const name of await readdir(this.#directory)) {
      if (!name.startsWith(`.${this.#stem}.`) || !name.endsWith('.tmp')) continue;
      const path = join(this.#directory, name);
      const other = await stat(path).catch(ignore('ENOENT'));
      if (other !== undefined && other.mtimeMs < mtimeMs - ABANDONED_MS) await unlink(path).catch(ignore('ENOENT'));
    }
  }

  async #syncDirectory(): Promise<void> {
    const directory = await open(this.#directory, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}
