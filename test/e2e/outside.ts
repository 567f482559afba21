import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Manifest, World } from './world.ts';

/** What a server outside the cluster is asked to do. */
export type OutsideCommand =
  | { readonly do: 'token' }
  /** The issuer signs by a new key from now on. */
  | { readonly do: 'rotate'; readonly kid: string }
  /** The broker answers so many requests 429 with Retry-After: 1. */
  | { readonly do: 'limitNext'; readonly count: number }
  /** Requests since the last time. */
  | { readonly do: 'brokerSaw' };

/** A request that reached the broker. */
export interface BrokerRequest {
  readonly method: string;
  readonly url: string;
  readonly apiKey: string | undefined;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly limited: boolean;
}

/** Where the servers are, with the authorities that vouch for them (PEM). */
export interface OutsideServers {
  readonly issuer: {
    readonly issuer: string;
    readonly jwksUri: string;
    readonly audience: string;
    readonly ca: string;
  };
  readonly broker: { readonly url: string; readonly ca: string };
}

/** Servers outside the cluster, reached from pods by names of a namespace. */
export interface Outside extends OutsideServers {
  /** Services and Secrets by which pods reach and trust them; the Secrets are issuer-ca and broker-ca. */
  readonly objects: readonly Manifest[];
  ask<Answer>(command: OutsideCommand): Promise<Answer>;
  close(): void;
}

/** Starts an issuer of tokens (oidc-provider) and a broker beside the cluster. */
export async function startOutside({ cluster, list }: World, namespace: string): Promise<Outside> {
  const host = (name: string) => `${name}.${namespace}.svc.cluster.local`;
  const [program = '', ...enter] = cluster.enter;
  const script = join(import.meta.dirname, 'outside-process.ts');
  const child = spawn(program, [...enter, process.execPath, script, host('issuer'), host('broker')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: cluster.env,
  });
  const waiting: ((answer: unknown) => void)[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(JSON.parse(line)));
  const answer = <Answer>(): Promise<Answer> =>
    new Promise((resolve, reject) => {
      if (child.exitCode !== null) return reject(new Error(`the servers ended with code ${child.exitCode}`));
      waiting.push((said) => resolve(said as Answer));
    });
  const servers = await answer<OutsideServers>();
  const [node] = await list('nodes', 'default');
  const address = node.status.addresses.find(({ type }: { type: string }) => type === 'InternalIP').address;
  const objects = [
    ...server('issuer', Number(new URL(servers.issuer.issuer).port), address, servers.issuer.ca),
    ...server('broker', Number(new URL(servers.broker.url).port), address, servers.broker.ca),
  ];
  return {
    ...servers,
    objects,
    ask: (command) => {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      return answer();
    },
    close: () => child.stdin.end(),
  };
}

/** A Service that leads to one address, and the authority of who is there. */
function server(name: string, port: number, address: string, ca: string): readonly Manifest[] {
  const ports = [{ name: 'https', port }];
  return [
    { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { ports } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports,
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
    },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `${name}-ca`, labels: { 'portcullis.dev/allow-reference': 'true' } },
      stringData: { 'ca.crt': ca },
    },
  ];
}
