import { createHash, X509Certificate } from 'node:crypto';
import { type Browser, launch } from 'puppeteer-core';
import { missingPrograms } from './system-programs.ts';

const CHROMIUM = '/usr/bin/chromium';

/** What a browser of a test believes. */
export interface BrowserSettings {
  /** PEM of the servers' own certificates: these keys are trusted, and nothing else beside the usual authorities. */
  readonly certificates: readonly string[];
  readonly hosts: readonly string[];
  /** Where these lead; default the loopback. */
  readonly address?: string;
}

/** Why there can be no browser here, naming what to install, or null. */
export function missingBrowser(): string | null {
  return missingPrograms({ [CHROMIUM]: 'chromium' });
}

/** Starts Chromium without a window, with a profile of its own. */
export function startBrowser({ certificates, hosts, address = '127.0.0.1' }: BrowserSettings): Promise<Browser> {
  const trusted = certificates.map((pem) => {
    const spki = new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' });
    return createHash('sha256').update(spki).digest('base64');
  });
  return launch({
    executablePath: CHROMIUM,
    args: [
      `--ignore-certificate-errors-spki-list=${trusted.join()}`,
      `--host-resolver-rules=${hosts.map((host) => `MAP ${host} ${address}`).join()}`,
      '--disable-dev-shm-usage',
      // Chromium's sandbox refuses to run as root.
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ],
  });
}
