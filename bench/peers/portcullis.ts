import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeBundle } from '../../policy/bundle/encode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import type { AccessBundle, Bundle } from '../../policy/bundle/types.ts';
import { freePort } from '../lab.ts';
import type { ServerSettings } from '../portcullis-server.ts';
import { PROXY_CORE } from '../proc-readings.ts';
import { copyStripped } from '../stripped-copy.ts';
import type { TokenSet } from '../tokens.ts';
import type { Peer } from './peer.ts';
import { accessBundle, BENCH_NAMESPACE, BENCH_POLICY, limitsBundle, NEVER_LEASED_MS } from './portcullis-bundles.ts';

const SERVER = fileURLToPath(new URL('../portcullis-server.ts', import.meta.url));

/** What differs from the usual case. */
export interface PortcullisOptions {
  /** Where the limit counts; without: in memory. */
  readonly redisUrl?: string;
  /** The limit is large enough to be leased from Redis; without, its window is too short for that. */
  readonly leased?: true;
  /** Runs a copy without types (as an image does) and not the source. */
  readonly stripped?: true;
  /** What the policy has besides, in place of the usual name's end. */
  readonly policy?: {
    readonly name: string;
    readonly change: (bundle: AccessBundle) => AccessBundle;
    readonly body?: string;
  };
}

/** The sidecar with JWT, roles, one limit a user, access log to a file and metrics. */
export function portcullis(tokens: TokenSet, { redisUrl, leased, stripped, policy }: PortcullisOptions = {}): Peer {
  const store = redisUrl === undefined ? 'memory' : leased ? 'Redis, leased' : 'Redis';
  return {
    name: `Portcullis ${tokens.algorithm}, ${policy?.name ?? `limit in ${store}, access log, metrics`}${stripped ? ', as JavaScript' : ''}`,
    tokens,
    ...(policy?.body === undefined ? {} : { body: policy.body }),
    launch: async (lab, upstreamPort) => {
      const directory = mkdtempSync(join(lab.scratch, 'portcullis-'));
      const { publicKey, privateKey } = generateKeyPairSync('ed25519');
      const write = (bundle: Bundle) => {
        const location = { directory: join(directory, bundle.kind), namespace: BENCH_NAMESPACE, name: BENCH_POLICY };
        mkdirSync(location.directory);
        writeFileSync(join(location.directory, BUNDLE_FILE), encodeBundle(bundle, privateKey));
        return location;
      };
      const settings: ServerSettings = {
        port: await freePort(),
        adminPort: await freePort(),
        upstreamPort,
        publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
        access: write((policy?.change ?? ((bundle) => bundle))(accessBundle(tokens))),
        limits: write(
          limitsBundle(redisUrl ?? null, redisUrl === undefined || leased === true ? 60_000 : NEVER_LEASED_MS),
        ),
        logFile: join(directory, 'access.log'),
      };
      const file = join(directory, 'settings.json');
      writeFileSync(file, JSON.stringify(settings));
      const server = stripped ? copyStripped(directory) : SERVER;
      const child = lab.children.start('portcullis', PROXY_CORE, process.execPath, [server, file]);
      return {
        child,
        port: settings.port,
        ready: { port: settings.adminPort, path: '/readyz' },
        logFile: settings.logFile,
      };
    },
  };
}
