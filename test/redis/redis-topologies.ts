import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { until, withAdmin } from './redis-clients.ts';
import { freePort, RedisServer } from './redis-server.ts';

const SENTINELS = 3;
const NODES = 3;
const SLOTS = 16_384;
const PRIMARY_NAME = 'mymaster';

/** A primary, a replica and three sentinels, which fail over after half a second of silence. */
export class SentinelGroup {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly #ports: readonly number[];
  readonly #processes: readonly ChildProcess[];
  readonly #directory: string;

  private constructor(
    [primary, replica]: readonly [RedisServer, RedisServer],
    ports: readonly number[],
    processes: readonly ChildProcess[],
    directory: string,
  ) {
    this.primary = primary;
    this.replica = replica;
    this.#ports = ports;
    this.#processes = processes;
    this.#directory = directory;
  }

  /** Resolves when every sentinel knows of the replica and of the others. */
  static async start(password: string): Promise<SentinelGroup> {
    const primary = await RedisServer.start(password, ['--masterauth', password]);
    const follow = ['--replicaof', '127.0.0.1', String(primary.port), '--masterauth', password];
    const replica = await RedisServer.start(password, follow);
    await withAdmin(replica, (admin) =>
      until(async () => (await admin.info('replication')).includes('link_status:up')),
    );
    const directory = mkdtempSync(join(tmpdir(), 'portcullis-sentinel-'));
    const ports: number[] = [];
    const processes: ChildProcess[] = [];
    for (let i = 0; i < SENTINELS; i++) {
      const port = await freePort();
      const file = join(directory, `${i}.conf`);
      const lines = [
        `port ${port}`,
        'bind 127.0.0.1',
        `dir ${directory}`,
        `sentinel monitor ${PRIMARY_NAME} 127.0.0.1 ${primary.port} 2`,
        `sentinel auth-pass ${PRIMARY_NAME} ${password}`,
        `sentinel down-after-milliseconds ${PRIMARY_NAME} 500`,
        `sentinel failover-timeout ${PRIMARY_NAME} 3000`,
      ];
      writeFileSync(file, lines.join('\n'));
      processes.push(spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' }));
      ports.push(port);
    }
    const group = new SentinelGroup([primary, replica], ports, processes, directory);
    for (const port of ports) await until(() => knowsAll(port));
    return group;
  }

  url(password: string): string {
    return `redis+sentinel://:${password}@${this.#ports.map((port) => `127.0.0.1:${port}`).join(',')}/${PRIMARY_NAME}`;
  }

  async remove(): Promise<void> {
    for (const child of this.#processes) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    await Promise.all([this.primary.remove(), this.replica.remove()]);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function knowsAll(port: number): Promise<boolean> {
  const client = new Redis({ host: '127.0.0.1', port, retryStrategy: () => 50 });
  client.on('error', () => {});
  try {
    const state = (await client.call('sentinel', 'master', PRIMARY_NAME)) as Record<string, string> | string[];
    const text = JSON.stringify(state);
    return /"num-slaves"[,:]"1"/.test(text) && /"num-other-sentinels"[,:]"2"/.test(text);
  } catch {
    return false;
  } finally {
    client.disconnect();
  }
}

/** Three nodes with a third of the slots each, no replicas; a lost node takes only its slots with it. */
export class RedisCluster {
  readonly nodes: readonly RedisServer[];

  private constructor(nodes: readonly RedisServer[]) {
    this.nodes = nodes;
  }

  static async start(): Promise<RedisCluster> {
    const nodes: RedisServer[] = [];
    for (let i = 0; i < NODES; i++) nodes.push(await startNode());
    for (const [i, node] of nodes.entries()) {
      const from = Math.floor((i * SLOTS) / NODES);
      const to = Math.floor(((i + 1) * SLOTS) / NODES) - 1;
      await withAdmin(node, async (admin) => {
        await admin.call('cluster', 'addslotsrange', from, to);
        for (const other of nodes.slice(0, i)) {
          const bus = await withAdmin(other, async (them) => busPort(String(await them.call('cluster', 'nodes'))));
          await admin.call('cluster', 'meet', '127.0.0.1', other.port, bus);
        }
      });
    }
    const cluster = new RedisCluster(nodes);
    await cluster.healthy();
    return cluster;
  }

  get url(): string {
    return `redis+cluster://${this.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  }

  /** Resolves when every node knows an owner for every slot. */
  async healthy(): Promise<void> {
    for (const node of this.nodes) {
      await withAdmin(node, (admin) =>
        until(async () => {
          const info = String(await admin.call('cluster', 'info'));
          return /cluster_state:ok/.test(info) && /cluster_slots_ok:16384/.test(info) && /known_nodes:3/.test(info);
        }),
      );
    }
  }

  /** A group whose keys are on the node with this index. */
  async groupOn(index: number): Promise<string> {
    for (let i = 0; ; i++) {
      const group = `ns/policy-${i}`;
      const slot = await this.slotOf(group);
      if (Math.floor((slot * NODES) / SLOTS) === index && slot % 5000 > 10) return group;
    }
  }

  slotOf(group: string): Promise<number> {
    return withAdmin(this.nodes[0]!, async (admin) => Number(await admin.call('cluster', 'keyslot', `{${group}}`)));
  }

  /** Moves a group with all its keys from a node to another one, as resharding does; `halfway`: when the keys are there but the slot is not. */
  async move(group: string, from: number, to: number, halfway: () => Promise<void>): Promise<void> {
    const slot = await this.slotOf(group);
    const [source, target] = [this.nodes[from]!, this.nodes[to]!];
    const [sourceId, targetId] = await Promise.all(
      [source, target].map((node) => withAdmin(node, async (admin) => String(await admin.call('cluster', 'myid')))),
    );
    await withAdmin(target, (admin) => admin.call('cluster', 'setslot', slot, 'importing', sourceId!));
    await withAdmin(source, async (admin) => {
      await admin.call('cluster', 'setslot', slot, 'migrating', targetId!);
      for (;;) {
        const keys = (await admin.call('cluster', 'getkeysinslot', slot, 100)) as string[];
        if (keys.length === 0) break;
        await admin.call('migrate', '127.0.0.1', target.port, '', 0, 5000, 'keys', ...keys);
      }
    });
    await halfway();
    for (const node of [target, source, ...this.nodes]) {
      await withAdmin(node, (admin) => admin.call('cluster', 'setslot', slot, 'node', targetId!));
    }
  }

  async remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.remove()));
  }
}

async function startNode(): Promise<RedisServer> {
  const options = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--cluster-port'];
  return RedisServer.start('', [...options, String(await freePort()), '--cluster-require-full-coverage', 'no']);
}

function busPort(nodes: string): string {
  return /@(\d+)[^\n]* myself|@(\d+)[^\n]*myself/.exec(nodes)?.slice(1).find(Boolean) ?? '';
}
