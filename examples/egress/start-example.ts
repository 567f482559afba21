import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningLocal, startLocal } from '../../cli/local/start-local.ts';
import type { LogSink } from '../../runtime/log.ts';
import type { HostPort } from '../../runtime/sidecar-arguments.ts';
import { startBroker } from './start-broker.ts';

/** Local mode with egress to a stand-in broker. */
export interface EgressExample {
  readonly local: RunningLocal;
  /** Where the policies stand; they may be changed. */
  readonly policies: string;
  stop(): Promise<void>;
}

/** Starts both in a temporary directory; egress listens at `egress`. */
export async function startExample(
  egress: HostPort,
  sink: LogSink,
  say: (line: string) => void,
): Promise<EgressExample> {
  const broker = await startBroker('key-of-the-desk');
  const directory = await mkdtemp(join(tmpdir(), 'portcullis-egress-'));
  const policies = join(directory, 'policies');
  await mkdir(policies);
  const text = await readFile(join(import.meta.dirname, 'policies.yaml'), 'utf8');
  await writeFile(
    join(policies, 'policies.yaml'),
    text.replace('BROKER_URL', broker.url).replace('BROKER_CA', JSON.stringify(broker.ca)),
  );
  const anywhere = { host: '127.0.0.1', port: 0 };
  const local = await startLocal(
    {
      policies,
      upstream: { host: '127.0.0.1', port: 9 }, // the application only asks here
      listen: anywhere,
      admin: anywhere,
      egress,
      state: join(directory, 'state'),
      redisUrl: null,
      accessPolicy: null,
      rateLimitPolicy: null,
    },
    { sink, say, now: Date.now, version: 'example' },
  );
  return {
    local,
    policies,
    stop: async () => {
      await local.stop();
      broker.close();
      await rm(directory, { recursive: true });
    },
  };
}
