import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missingPrograms } from './system-programs.ts';

/** A GnuPG home of its own, with keys without passphrases. */
export class GpgHome {
  readonly directory = mkdtempSync(join(tmpdir(), 'gpg-'));

  /** Runs `gpg`; its standard output. Rejects with what it said. */
  run(args: readonly string[], input: string | Uint8Array = ''): Promise<Buffer> {
    const unattended = ['--batch', '--quiet', '--no-tty', '--pinentry-mode', 'loopback', '--passphrase', ''];
    return new Promise((resolve, reject) => {
      const options = { encoding: 'buffer', maxBuffer: 2 ** 30 } as const;
      const gpg = execFile('gpg', ['--homedir', this.directory, ...unattended, ...args], options, (error, stdout) =>
        error === null ? resolve(stdout) : reject(error),
      );
      gpg.stdin?.on('error', () => {});
      gpg.stdin?.end(input);
    });
  }

  /** Makes a primary key that signs and, where `encryption` names its algorithm, a subkey that encrypts; the fingerprint. */
  async generate(name: string, signing: string, encryption: string | null, { expires = 'never', at = '' } = {}) {
    const when = at === '' ? [] : ['--faked-system-time', `${at}!`];
    await this.run([...when, '--quick-generate-key', name, signing, 'sign', expires]);
    const listed = String(await this.run(['--with-colons', '--list-keys', `=${name}`]));
    const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(listed)?.[1] ?? '';
    if (encryption !== null) await this.run([...when, '--quick-add-key', fingerprint, encryption, 'encr', expires]);
    return fingerprint;
  }

  async publicKey(name: string): Promise<string> {
    return String(await this.run(['--armor', '--export', `=${name}`]));
  }

  /** The shell command that decrypts with these keys. */
  get decryptCommand(): string {
    return `gpg --homedir ${this.directory} --batch --quiet --no-tty --decrypt`;
  }

  /** Ends its agent and removes it. */
  async close(): Promise<void> {
    await new Promise((resolve) => execFile('gpgconf', ['--homedir', this.directory, '--kill', 'all'], resolve));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Why there is no gpg here, or null; it is installed where that is possible. */
export function missingGpg(): string | null {
  return missingPrograms({ gpg: 'gnupg', gpgconf: 'gnupg' });
}
