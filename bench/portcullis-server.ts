import { createPublicKey } from 'node:crypto';
import { openSync, readFileSync } from 'node:fs';
import { openLogSink } from '../runtime/log.ts';
import type { BundleLocation } from '../sidecar/bundle-source/bundle-source.ts';
import { startSidecar } from '../sidecar/start-sidecar.ts';

/** What the file named on the command line holds, as JSON. */
export interface ServerSettings {
  readonly port: number;
  readonly adminPort: number;
  readonly upstreamPort: number;
  /** PEM of the key that signed the bundles. */
  readonly publicKey: string;
  readonly access: BundleLocation;
  readonly limits: BundleLocation;
  readonly logFile: string;
}

/** The process that is measured: the sidecar and nothing else. */
async function main(settingsFile: string): Promise<void> {
  const settings = JSON.parse(readFileSync(settingsFile, 'utf8')) as ServerSettings;
  const host = '127.0.0.1';
  const sink = openLogSink(openSync(settings.logFile, 'a'));
  const sidecar = await startSidecar({
    listeners: [{ listen: { host, port: settings.port }, upstream: { host, port: settings.upstreamPort } }],
    admin: { host, port: settings.adminPort },
    bundles: {
      publicKey: createPublicKey(settings.publicKey),
      access: settings.access,
      limits: settings.limits,
    },
    sink,
    version: 'bench',
  });
  process.once('SIGTERM', () => {
    void sidecar.stop(100).then(() => {
      sink.close();
      process.exit(0);
    });
  });
}

const settingsFile = process.argv[2];
if (settingsFile === undefined) throw new Error('usage: node bench/portcullis-server.ts SETTINGS.json');
await main(settingsFile);
